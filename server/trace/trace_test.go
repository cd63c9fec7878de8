package trace_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/presence"
	"tocsin/server/trace"
)

// next is the follower's next line, or none.
func next(f *trace.Follower) (trace.Line, bool) {
	synctest.Wait()
	select {
	case l := <-f.Lines():
		return l, true
	default:
		return trace.Line{}, false
	}
}

func node(t *testing.T, bus trace.Bus, name string) *trace.Tracer {
	t.Helper()
	n := trace.New(trace.Options{Node: name, Run: name + "-1", Bus: bus})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }() // ends with the context
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return n
}

func TestOneUserIsFollowedOverAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &presence.MemoryBus{}
		a, b := node(t, bus, "a"), node(t, bus, "b")
		if a.Wanted() || b.Wanted() {
			t.Fatal("somebody is wanted before anybody asks")
		}
		f, err := a.Follow("anna")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !a.Wanted() || !b.Wanted() {
			t.Fatal("not both nodes know that somebody is wanted")
		}
		a.Tell(trace.Line{What: trace.Connected, User: "anna"})
		b.Tell(trace.Line{What: trace.Delivered, User: "anna", To: 7})
		b.Tell(trace.Line{What: trace.Delivered, User: "bob", To: 8})
		for _, want := range []struct {
			node, what string
			to         uint64
		}{{"a", trace.Connected, 0}, {"b", trace.Delivered, 7}} {
			l, ok := next(f)
			if !ok || l.Node != want.node || l.What != want.what || l.To != want.to || l.At == "" {
				t.Errorf("%+v, want %+v", l, want)
			}
		}
		if l, ok := next(f); ok {
			t.Errorf("a line of somebody else's: %+v", l)
		}
		<-time.After(time.Minute) // by the clock of the test
		b.Tell(trace.Line{What: trace.Ended, User: "anna"})
		if _, ok := next(f); !ok {
			t.Error("nothing is told after a minute")
		}
		f.Close()
		f.Close()
		if a.Wanted() {
			t.Error("somebody is wanted still")
		}
		<-time.After(10 * time.Second)
		if synctest.Wait(); b.Wanted() {
			t.Error("the other node goes on telling")
		}
	})
}

func TestASlowFollowerMissesLinesAndHoldsUpNobody(t *testing.T) {
	n := trace.New(trace.Options{Node: "a"})
	f, err := n.Follow("anna")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2000 {
		n.Tell(trace.Line{What: trace.Delivered, User: "anna"})
	}
	if had, missed := len(f.Lines()), f.Missed(); had+missed != 2000 || missed == 0 || f.Missed() != 0 {
		t.Errorf("%d lines, %d missed", had, missed)
	}
}

func TestFollowersAreBounded(t *testing.T) {
	n := trace.New(trace.Options{})
	var last *trace.Follower
	for range trace.MaxFollowers {
		f, err := n.Follow("anna")
		if err != nil {
			t.Fatal(err)
		}
		last = f
	}
	if _, err := n.Follow("bob"); !errors.Is(err, trace.ErrTooMany) {
		t.Errorf("%v", err)
	}
	last.Close()
	if _, err := n.Follow("bob"); err != nil {
		t.Error(err)
	}
}

func TestNobodyTracesAndNothingIsTold(t *testing.T) {
	var none *trace.Tracer
	none.Tell(trace.Line{User: "anna"})
	n := trace.New(trace.Options{})
	if allocs := testing.AllocsPerRun(100, func() {
		if n.Wanted() {
			n.Tell(trace.Line{What: trace.Delivered, User: "anna"})
		}
	}); allocs != 0 || none.Wanted() {
		t.Errorf("%v allocations", allocs)
	}
}
