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

// lagging is a log whose tail stands still, once told to, until its leader is asked
// for the end.
type lagging struct {
	inbox.Log
	still chan struct{} // closed when the tail is to stand still
	asked chan struct{} // closed when the leader is asked after that
	once  *sync.Once
}

func (l lagging) Bounds(ctx context.Context) (inbox.Bounds, error) {
	select {
	case <-l.still:
		l.once.Do(func() { close(l.asked) })
	default:
	}
	return l.Log.Bounds(ctx)
}

func (l lagging) Scan(ctx context.Context, s inbox.Scan, each func(inbox.Message) error) error {
	return l.Log.Scan(ctx, s, func(m inbox.Message) error {
		select {
		case <-l.still:
			select {
			case <-l.asked:
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
		}
		return each(m)
	})
}

// one keeps the mark of one user.
type one struct {
	inbox.Marks
	mark inbox.Mark
}

func (k *one) Update(_ context.Context, _ string, change func(inbox.Mark) (inbox.Mark, error)) (m inbox.Mark, err error) {
	if m, err = change(k.mark); err == nil {
		k.mark = m
	}
	return m, err
}

// markAhead: what a client has read at a node that is ahead is read at one that is
// behind too, and not less.
func markAhead(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	w.Member("a", "ann", true)
	fast, _ := StartView(t, log, inbox.ViewOptions{})
	for _, what := range []string{"the cursor", "the mark"} {
		l := lagging{log, make(chan struct{}), make(chan struct{}), new(sync.Once)}
		slow, _ := StartView(t, l, inbox.ViewOptions{})
		close(l.still)
		for i := range 3 {
			Reach(t, fast, w.Alarm(fmt.Sprint("d", i), a, inbox.Major, what))
		}
		cursor, marks := Poll(t, fast, "ann", inbox.Start{}, 9).Cursor, &one{}
		if what == "the mark" { // is at the end; what is read now is less
			if _, err := fast.MarkRead(t.Context(), marks, "ann", nil, cursor, nil); err != nil {
				t.Fatal(err)
			}
			cursor = inbox.Earliest
		}
		counts, err := slow.MarkRead(t.Context(), marks, "ann", nil, cursor, nil)
		if err != nil || counts.Unread != 0 || marks.mark.Upto < fast.Head() {
			t.Errorf("%s is ahead: %+v, %+v, %v", what, counts, marks.mark, err)
		}
	}
}
