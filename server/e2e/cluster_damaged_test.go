package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A cluster of which one node has been killed, and its log damaged in the middle.
type damagedCluster struct {
	*cluster
	bad     *server
	entries int
}

func damageOneOfThree(t *testing.T, flags ...string) *damagedCluster {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) % 1e6
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 8))
	d := &damagedCluster{cluster: newCluster(t, append([]string{"--fold", "0", "--drain", "0s", "--linger", "0s"}, flags...)...)}
	var lines []string
	for n := range 400 {
		lines = append(lines, fmt.Sprintf(`{"id":"%d","device":"d%d","type":"t","qualifier":"%d","severity":"major"}`, n, n%7, n))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	waitFor(ctx, nil, func() bool { // a cluster that has just begun may be electing
		a, err := request(ctx, "POST", d.nodes[0].url()+"/v1/alarms", d.nodes[0].root(), array(lines))
		return err == nil && a.status == 202
	})
	d.entries = len(lines)
	d.bad = d.nodes[rng.IntN(len(d.nodes))] // whether or not it leads
	d.awaitEntries(d.bad)
	d.bad.kill()
	d.publish("meanwhile", d.others(d.bad)...)
	d.bad.damageLog(rng)
	return d
}

// publish has one more entry stored.
func (d *damagedCluster) publish(id string, nodes ...*server) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	if _, err := publishUntil(ctx, nodes, id); err != nil {
		d.t.Fatal(err)
	}
	d.entries++
}

// awaitEntries waits until a node serves all entries.
func (d *damagedCluster) awaitEntries(s *server) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	got := 0
	waitFor(ctx, nil, func() bool { got = len(everything(d.t, s)); return got == d.entries })
	if got != d.entries {
		d.t.Fatalf("%s serves %d entries, want %d\n%s", s.flags[1], got, d.entries, s.log)
	}
}

// awaitReady waits until a node's own files have what the others have.
func (d *damagedCluster) awaitReady(s *server) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	if waitFor(ctx, nil, func() bool { return s.ready(ctx) }); ctx.Err() != nil {
		d.t.Fatalf("%s is not ready\n%s", s.flags[1], s.log)
	}
}

// wantSameCopies stops the nodes, and wants their own files to have the same of the log.
func (d *damagedCluster) wantSameCopies() {
	d.t.Helper()
	var copies []string
	for _, s := range d.nodes {
		s.signal(syscall.SIGTERM)
	}
	for _, s := range d.nodes {
		for _, check := range s.examined().Checks {
			if log, is := strings.CutPrefix(check.Found, "LOG: "); is {
				span, _, _ := strings.Cut(log, " KiB")
				copies = append(copies, check.State+" "+span[:strings.LastIndex(span, ",")])
			}
		}
	}
	d.t.Log(copies)
	if len(copies) != 3 || copies[0] != copies[1] || copies[1] != copies[2] {
		d.t.Errorf("the nodes' own files have %q\n%s", copies, d.bad.log)
	}
}

// What a node of a cluster had not flushed when the power failed, it gets from the
// others: its own files are as whole as theirs afterwards.
func TestANodeOfAClusterGetsATornEndFromTheOthers(t *testing.T) {
	t.Parallel()
	d := damageOneOfThree(t, "--sync-interval", "10m")
	d.bad.start()
	d.awaitEntries(d.bad)
	d.publish("afterwards", d.nodes...)
	for _, s := range d.nodes {
		d.awaitEntries(s)
		d.awaitReady(s)
	}
	d.wantSameCopies()
}

// A node of a cluster whose log is damaged says so, whatever it is allowed to lose, and
// begins with an empty directory: the others give it all there is, and it is as good as
// they are.
func TestADamagedNodeOfAClusterBeginsAnew(t *testing.T) {
	t.Parallel()
	d := damageOneOfThree(t, "--sync", "always")
	bad := d.bad
	flags := bad.flags
	for _, more := range [][]string{nil, {"--accept-loss"}} {
		bad.flags = slices.Concat(flags, more)
		if err := bad.up(); err == nil || !strings.Contains(err.Error(), "put "+bad.data()+" aside and start with an empty directory") {
			t.Fatalf("with %q damaged data are served: %v\n%s", more, err, bad.log)
		}
	}
	bad.flags = flags
	if err := os.Rename(bad.data(), bad.data()+".damaged"); err != nil {
		t.Fatal(err)
	}
	bad.start()
	for _, s := range d.nodes {
		d.awaitEntries(s)
	}
	d.awaitReady(bad) // it serves what the others have before it has it itself
	// With one of the others gone everything is up to the one that began anew.
	gone := d.others(bad)[0]
	gone.kill()
	d.publish("afterwards", d.others(gone)...)
	d.awaitEntries(bad)
	gone.start()
	d.awaitEntries(gone)
	d.awaitReady(gone)
	d.wantSameCopies()
}
