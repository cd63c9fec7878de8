package oplink

import (
	"bytes"
	"encoding/json"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// An encoder writes one client's events, each in a frame of its own.
type encoder struct {
	transports.Frames
	opening []byte // of an event
	cursors bool   // the client wants to hear of cursors

	greets  bool          // the answer to the subscription is collected, or was sent
	greeted chan struct{} // closed when it has been sent
	seen    uint64        // its place in the inbox, when a repair began
}

var _ transports.Voice = (*encoder)(nil)

// Hello answers the subscription: what is published from now on is delivered. When
// the delivery begins anew by itself, there is nothing to tell.
func (e *encoder) Hello(h transports.Hello) {
	first := !e.greets
	if first {
		e.greets = true
		e.Open()
		e.B = append(e.B, success...)
		e.Frames.Close()
	}
	if h.Gap {
		e.At = e.Told() // the one that comes is none to come back with
		return
	}
	if e.At = h.Cursor; first && e.cursors {
		e.event("@cursor", "cursor", e.At)
	}
}

// Part writes the entries, and the gap and the cursor for those who asked for them.
func (e *encoder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 && e.cursors {
		e.Open()
		e.B = append(e.B, `{"event":"@gap","data":`...)
		e.B = p.Gap.AppendJSON(e.B)
		e.B = append(e.B, '}')
		e.Frames.Close()
	}
	if had, err := inbox.ParseCursor(e.At); err == nil && p.Gap != nil && p.From == 0 {
		e.seen = had.Seq
	}
	for i := p.From; i < p.To; i++ {
		if !e.repeats(&p.Items[i]) {
			e.entry(&p.Items[i])
		}
	}
	e.Reach(&p)
	if e.cursors && (p.To > p.From || p.Gap != nil) {
		e.event("@cursor", "cursor", e.At)
	}
}

// repeats says whether the item is a notice that the client has had, or did not want
// when it subscribed. A repair, after the user's groups have changed, begins with
// everything open: of that only alarms can be news to a client that knows no gaps.
func (e *encoder) repeats(item *inbox.Item) bool {
	return !e.cursors && item.At <= e.seen && item.IsNotice()
}

func (e *encoder) event(name, member, value string) {
	e.Open()
	e.B = append(e.B, `{"event":"`...)
	e.B = append(e.B, name...)
	e.B = append(e.B, `","data":{"`...)
	e.B = append(e.B, member...)
	e.B = append(e.B, `":`...)
	e.B = inbox.AppendString(e.B, value)
	e.B = append(e.B, `}}`...)
	e.Frames.Close()
}

func (e *encoder) entry(item *inbox.Item) {
	e.Open()
	from := len(e.B)
	e.B = append(e.B, e.opening...)
	body := len(e.B)
	e.B = item.AppendJSON(e.B)
	if frame, ok := verbatim(e.B[body:]); ok {
		e.B = append(e.B[:from], frame...)
	} else {
		e.B = append(e.B, `}}`...)
	}
	e.Frames.Close()
}

// framed stands in the body of a notice that keeps a frame, and in no other: within
// strings its quotes would be escaped.
var framed = []byte(`"data":{"oplink":"`)

// verbatim is the frame that was published, if the entry is a notice that keeps one.
func verbatim(entry []byte) (frame string, ok bool) {
	if !bytes.Contains(entry, framed) {
		return "", false
	}
	var e struct {
		Notice struct {
			Data struct {
				Oplink *string `json:"oplink"`
			} `json:"data"`
		} `json:"notice"`
	}
	if err := json.Unmarshal(entry, &e); err != nil || e.Notice.Data.Oplink == nil {
		return "", false
	}
	return *e.Notice.Data.Oplink, true
}

// Bye tells nothing: the close code does.
func (e *encoder) Bye(transports.Reason, time.Duration) {}

// taken notes that the subscription has been answered.
func (e *encoder) taken(bool) {
	if e.greets && !e.answered() {
		close(e.greeted)
	}
}

// answered says whether the subscription has been answered.
func (e *encoder) answered() bool {
	select {
	case <-e.greeted:
		return true
	default:
		return false
	}
}

// Farewell implements transports.Voice: the close code is all that is told.
func (e *encoder) Farewell(why error, gone func()) {
	c := transports.CloseOf(why)
	e.Conn.Close(c.Code, c.Reason)
	gone()
}
