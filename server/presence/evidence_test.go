package presence_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/natslog"
	"tocsin/server/presence"
)

const patience = 30 * time.Second

// A node is one of several on one log and one feed.
type node struct {
	registry *presence.Registry
	evidence *presence.Evidence
	stop     func() // ends its recording
}

// world is a real log with a real feed beside it.
type world struct {
	*inboxtest.Writer
	t    *testing.T
	log  *natslog.Log
	view *inbox.View
	feed presence.Feed
}

func newWorld(t *testing.T) *world {
	t.Helper()
	l, err := natslog.Open(t.Context(), natslog.Options{Dir: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	w := &world{Writer: inboxtest.NewWriter(t, l), t: t, log: l}
	w.view, _ = inboxtest.StartView(t, l, inbox.ViewOptions{})
	if w.feed, err = l.Feed(t.Context(), natslog.FeedConfig{Name: "evidence", MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) node(run string) *node {
	w.t.Helper()
	n := &node{registry: presence.New(presence.Options{Node: "node of " + run, Run: run})}
	n.evidence = presence.NewEvidence(presence.EvidenceOptions{Feed: w.feed, View: w.view, Log: w.log, Registry: n.registry})
	recorder := presence.NewRecorder(n.registry, w.feed, nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		recorder.Run(ctx)
	}()
	n.stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(n.stop)
	return n
}

// entry is a stored one.
func (w *world) entry(seq uint64) inbox.Entry {
	w.t.Helper()
	inboxtest.Reach(w.t, w.view, seq)
	m, err := w.log.At(w.t.Context(), seq)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := inbox.Decode(m)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// reads delivers to a user at a node what his reader finds.
func (w *world) reads(n *node, user string, start inbox.Start) (again func()) {
	w.t.Helper()
	r := inboxtest.Open(w.t, w.view, user, start)
	s := n.registry.Connect(user, "sse").Subscribe()
	again = func() {
		w.t.Helper()
		for {
			b, err := r.Read(w.t.Context(), 2)
			if err != nil {
				w.t.Fatal(err)
			}
			if s.Reached(b.Reach(len(b.Items))); !b.More {
				return
			}
		}
	}
	again()
	return again
}

// until waits for the condition.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for began := time.Now(); !holds(); {
		if time.Since(began) > patience {
			w.t.Fatalf("never: %s", what)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-w.t.Context().Done():
		}
	}
}

func (w *world) reached(n *node, e inbox.Entry) bool {
	w.t.Helper()
	yes, err := n.evidence.Reached(w.t.Context(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	return yes
}

func (w *world) deliveries(n *node, e inbox.Entry) map[string]presence.Delivery {
	w.t.Helper()
	report, err := n.evidence.Deliveries(w.t.Context(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	by := map[string]presence.Delivery{}
	for _, d := range report.Deliveries {
		by[d.User] = d
	}
	return by
}

func TestEvidenceIsOfAllNodesAndOutlivesThem(t *testing.T) {
	w := newWorld(t)
	crew := w.Route("crew")
	w.Member("crew", "ada", true)
	w.Member("crew", "bob", true)
	inboxtest.Reach(t, w.view, w.Member("*", "eve", true))
	one, two := w.node("r1"), w.node("r2")
	again := w.reads(one, "ada", inbox.Start{})
	e := w.entry(w.Alarm("d1", crew, inbox.Critical, "hot"))
	if w.reached(one, e) || w.reached(two, e) {
		t.Error("it reached somebody before anybody read it")
	}
	again()
	if !w.reached(one, e) {
		t.Error("its own node does not know")
	}
	w.until("another node hears of it", func() bool { return w.reached(two, e) })
	one.stop()
	three := w.node("r3")
	got := w.deliveries(three, e)
	if d := got["ada"]; !d.Delivered || d.Transport != "sse" || d.Node != "node of r1" || d.At.Before(e.Stored) || d.At.Sub(e.Stored) > 5*time.Second {
		t.Errorf("ada's is %+v, the entry from %v", d, e.Stored)
	}
	if len(got) != 3 || got["bob"].Delivered || got["eve"].Delivered {
		t.Errorf("got %+v", got)
	}
	seen, err := three.evidence.Seen(t.Context(), "ada")
	if err != nil || len(seen) != 1 || seen[0].Position < e.Seq || seen[0].Node != "node of r1" {
		t.Errorf("seen %+v, %v", seen, err)
	}
}

func TestEvidenceOfSnapshotsAndCatchUps(t *testing.T) {
	w := newWorld(t)
	crew := w.Route("crew")
	for _, user := range []string{"snap", "behind", "late"} {
		inboxtest.Reach(t, w.view, w.Member("crew", user, true))
	}
	n := w.node("r1")
	first := inboxtest.Open(t, w.view, "behind", inbox.Start{})
	b, err := first.Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	e := w.entry(w.Alarm("d0", crew, inbox.Critical, "hot"))
	for _, device := range []string{"d1", "d2", "d3", "d4"} {
		w.entry(w.Alarm(device, crew, inbox.Minor, "warm"))
	}
	w.reads(n, "late", inbox.Start{})
	w.reads(n, "snap", inbox.Start{Snapshot: true})
	w.reads(n, "behind", inbox.Start{Cursor: b.Cursor})
	w.until("those who got it are known", func() bool {
		got := w.deliveries(n, e)
		return got["snap"].Delivered && got["behind"].Delivered
	})
	if d := w.deliveries(n, e)["late"]; d.Delivered {
		t.Errorf("who began after it: %+v", d)
	}
}
