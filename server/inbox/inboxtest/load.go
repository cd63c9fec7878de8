package inboxtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"tocsin/server/inbox"
)

// movingOn does something between the beginning of a load and its first scan.
type movingOn struct {
	inbox.Log
	once *sync.Once
	do   func()
}

func (l movingOn) Scan(ctx context.Context, s inbox.Scan, each func(inbox.Message) error) error {
	if s.Newest {
		l.once.Do(l.do)
	}
	return l.Log.Scan(ctx, s, each)
}

// loadMoving: what is known only by what it moved on to has a history all the same,
// in the window and before it.
func loadMoving(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	w.Member("a", "ann", true)
	early, _ := StartView(t, log, inbox.ViewOptions{})
	Reach(t, early, w.Member("b", "bob", true))
	start := inbox.Start{Cursor: Poll(t, early, "ann", inbox.Start{}, 9).Cursor}
	move := func(n int) {
		for i := range 7 {
			w.Alarm(fmt.Sprint("d", i), a, inbox.Major, fmt.Sprint(n, "-", i))
		}
	}
	for n := range 5 {
		move(n)
	}
	for i := range 500 { // which leave the small window nothing of the others
		w.Alarm("filler", b, inbox.Minor, fmt.Sprint(i))
	}
	moved, _ := StartView(t, movingOn{log, new(sync.Once), func() { move(5) }}, inbox.ViewOptions{})
	tight, _ := StartView(t, movingOn{log, new(sync.Once), func() { move(6) }}, small)
	if g := Poll(t, moved, "ann", start, 9); len(g.Gaps) > 0 || len(g.Bodies) != 49 && len(g.Bodies) != 42 {
		t.Errorf("%d changes are told, gaps %v", len(g.Bodies), g.Gaps)
	}
	if g := Poll(t, tight, "ann", start, 9); len(g.Gaps) != 1 || g.Gaps[0] != inbox.GapCompacted || len(g.Bodies) != 7 {
		t.Errorf("from a small window: %d changes are told, gaps %v", len(g.Bodies), g.Gaps)
	}
}
