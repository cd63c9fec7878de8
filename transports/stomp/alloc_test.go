//go:build !race

package stomp

import (
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

// taker is a connection whose client takes everything at once.
type taker struct{ transports.Conn }

func (taker) Headroom() int            { return 10 }
func (taker) Try([]byte) (bool, error) { return true, nil }

// A MESSAGE costs no memory but its buffer, which comes from a pool; where it has to
// be acknowledged, what is remembered of it.
func TestAllocsOfAMessage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pool
	log := &inbox.MemoryLog{}
	w := inboxtest.NewWriter(t, log)
	to := w.Route("crew")
	w.Member("crew", "ada", true)
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{})
	inboxtest.Reach(t, v, w.Alarm("d", to, inbox.Major, strings.Repeat("x", 300)))
	batch, err := inboxtest.Open(t, v, "ada", inbox.Start{Cursor: inbox.Earliest}).Read(t.Context(), 100)
	if err != nil || len(batch.Items) != 1 {
		t.Fatalf("%+v, %v", batch, err)
	}
	c := &Conversation{conn: taker{}}
	for _, one := range []struct {
		name string
		sub  *subscription
		most float64
	}{
		{"auto", &subscription{id: "sub-0"}, 0},
		{"client", &subscription{id: "sub-0", acks: true, pending: &pending{}}, 1},
	} {
		e := newEncoder(c, one.sub, v12)
		if got := testing.AllocsPerRun(1000, func() {
			e.Part(transports.Part{Batch: &batch, To: 1})
			if done, err := e.Flush(); !done || err != nil {
				t.Fatal(done, err)
			}
		}); got > one.most {
			t.Errorf("%s: %v allocations, at most %v", one.name, got, one.most)
		}
	}
}

// What is not acknowledged takes a bounded amount of memory, and the point never
// passes it.
func TestWhatIsNeverAcknowledgedIsBounded(t *testing.T) {
	for _, individual := range []bool{false, true} {
		p := &pending{individual: individual}
		for i := range 100_000 {
			p.sent(fmt.Sprint(i))
		}
		if len(p.list) > maxPending || cap(p.list) > 4*maxPending {
			t.Errorf("individual %v: %d are remembered in room for %d", individual, len(p.list), cap(p.list))
		}
		got := p.ack("99999")
		if individual {
			for i := 1; i < maxPending; i++ {
				got += p.ack(fmt.Sprint(i))
			}
			if got != "" {
				t.Errorf("the point moved to %q, past what is not acknowledged", got)
			}
			if got = p.ack("0"); got != fmt.Sprint(maxPending-1) || p.idle() {
				t.Errorf("the point moved to %q", got)
			}
		} else if got != "99999" || !p.idle() {
			t.Errorf("the point moved to %q", got)
		}
	}
}
