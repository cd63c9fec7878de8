package transports

import (
	"context"
	"errors"
	"time"
)

// A Held is a poll that waits for something to tell, in a pump.
type Held struct {
	unit
	s        Session
	limit    int
	bytes    int
	until    time.Duration // by the pump's clock
	expires  time.Duration // when the right to read is over; 0 is never
	page     Page          // what is answered when the time is up
	answered func(Page, error)
}

// Hold prepares to wait for something to put on a page that is empty yet. The
// session's reader is the pump's from Start on, and closed after answered has
// returned. answered is called once: with the page when there are entries, a
// gap, counters that changed, the time is up, the node goes down or he was kicked; or with
// an error: Expired or Revoked when the client's right to read ended meanwhile,
// End's cause, those of the reader. It must not wait.
func (p *Pump) Hold(s Session, a Ask, empty Page, answered func(Page, error)) *Held {
	h := &Held{s: s, limit: a.Limit, bytes: p.l.PageBytes, page: empty, answered: answered}
	h.p, h.t = p, h
	s.Reader.OnRing(h.wake)
	h.until = p.now() + a.Wait
	if !s.Expires.IsZero() {
		h.expires = max(p.now()+time.Until(s.Expires), 1)
	}
	return h
}

// step implements turner.
func (h *Held) step(wait bool) bool {
	if h.over.Load() {
		return true
	}
	var cause causeOfEnd
	now := h.p.now()
	switch err := h.endedBy(); {
	case errors.As(err, &cause) && (errors.Is(cause.error, Drain) || errors.Is(cause.error, Kicked)):
		h.page.Drained = errors.Is(cause.error, Drain)
		h.answer(h.page, nil)
		return true
	case err != nil:
		h.answer(Page{}, cause.error)
		return true
	case h.expires != 0 && now >= h.expires:
		h.answer(Page{}, Expired)
		return true
	}
	b, ok := h.s.Reader.Look(h.limit)
	if !ok {
		if !wait {
			return false
		}
		var err error
		// Bounded by the reader and by the log.
		if b, err = h.s.Reader.Read(context.Background(), h.limit); err != nil {
			h.answer(Page{}, err)
			return true
		}
	}
	switch {
	case b.Gap != nil, len(b.Items) > 0, b.Counts != h.page.Counts:
		p := Page{Batch: b}
		p.cut(h.bytes)
		h.answer(p, nil)
	case now >= h.until:
		h.answer(h.page, nil)
	default:
		deadline := h.until
		if h.expires != 0 {
			deadline = min(deadline, h.expires)
		}
		h.park(deadline)
	}
	return true
}

// fail implements turner.
func (h *Held) fail(err error) { h.answer(Page{}, err) }

func (h *Held) answer(p Page, err error) {
	if h.over.Swap(true) {
		return
	}
	if err == nil {
		h.s.delivered(len(p.Items))
	}
	h.answered(p, err)
	h.s.Reader.Close()
	// It may stand in the wheel for a while yet; what it had need not.
	h.s, h.page, h.answered = Session{}, Page{}, nil
}
