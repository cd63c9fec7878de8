package alarm_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// A dying log fails for good at its n-th change: before it is made, after half of
// it, or after all of it.
type dying struct {
	inbox.Log
	left int
	how  string
}

var errDied = errors.New("died")

func (d *dying) dies() bool { d.left--; return d.left < 0 }

func (d *dying) Append(ctx context.Context, proposals ...inbox.Proposal) []inbox.Receipt {
	if !d.dies() {
		return d.Log.Append(ctx, proposals...)
	}
	done := map[string]int{"before": 0, "half": len(proposals) / 2, "after": len(proposals)}[d.how]
	if d.left < -1 {
		done = 0
	}
	d.Log.Append(ctx, proposals[:done]...)
	receipts := make([]inbox.Receipt, len(proposals))
	for i := range receipts {
		receipts[i].Err = errDied
	}
	return receipts
}

func (d *dying) Purge(ctx context.Context, below uint64) error {
	if !d.dies() {
		return d.Log.Purge(ctx, below)
	}
	if d.how == "after" {
		_ = d.Log.Purge(ctx, below)
	}
	return errDied
}

func TestRetentionInterruptedAtAnyStep(t *testing.T) {
	for _, how := range []string{"before", "half", "after"} {
		steps := 0
		for died := true; died; steps++ {
			p := newPast(t, &inbox.MemoryLog{}, monthly, 600)
			stay := p.of(p.open)
			d := &dying{Log: p.log, left: steps, how: how}
			worker := alarm.New(alarm.Options{Log: d, View: p.view, Router: p.dir, Epoch: p.view.Epoch(p.view.Head()),
				Retention: monthly.Retention, Now: func() time.Time { return p.now.Add(2 * month) }})
			below := p.view.Head()
			err := worker.Retain(t.Context())
			if died = err != nil; died && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			check := func(what string) {
				t.Helper()
				if t.Failed() {
					t.Fatalf("%s step %d (%s)", what, steps, how)
				}
				wantSameViews(t, p)
				if now := p.of(p.open); !reflect.DeepEqual(now, stay) {
					t.Errorf("what stays has changed")
				}
			}
			check("interrupted at")
			// A successor, on what the log has now.
			p.now = p.now.Add(2 * month)
			for range 2 { // the first may only complete a purge
				if err := p.engine.Retain(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			check("after")
			if p.first() < below {
				t.Fatalf("step %d (%s): the successor left the log begin at %d", steps, how, p.first())
			}
			wantForgotten(t, p)
		}
		if t.Logf("%s: %d steps", how, steps-1); steps < 5 {
			t.Errorf("%d steps: not even two batches, the announcement and the purge", steps-1)
		}
	}
}

func TestTwoWorkersAndPublishersDoNotDisturbAPurge(t *testing.T) {
	for name, log := range logs {
		t.Run(name, func(t *testing.T) {
			p := newPast(t, log(t), monthly, 300)
			other := newNodeWith(t, p.log, monthly)
			below := p.view.Head()
			p.now = p.now.Add(2 * month)
			other.now = p.now
			var all sync.WaitGroup
			for _, n := range []*node{p.node, other} {
				all.Go(func() {
					if err := n.engine.Retain(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Go(func() {
				for i := range 300 {
					if r := other.engine.Publish(t.Context(), "p", []alarm.Event{event("d", fmt.Sprint("more", i), "raised")})[0]; r.Status != "repeated" {
						t.Errorf("alarm %d: %+v", i, r)
					}
				}
			})
			all.Wait()
			wantSameViews(t, p)
			for _, id := range p.open {
				if a := p.get(id); strings.HasPrefix(a.Type, "more") && a.Count != 2 {
					t.Errorf("%s: count %d, want 2", a.Type, a.Count)
				}
			}
			if p.first() < below {
				t.Errorf("the log begins at %d, want %d at least", p.first(), below)
			}
		})
	}
}
