package notices

import (
	"strings"

	"tocsin/server/inbox"
)

// A position is how far a user has come.
type position struct {
	got  inbox.Cursor // what a client has shown to have got; zero: nothing yet
	sent inbox.Cursor // what was sent, which is not below it
}

// nothing stands in a position's text for a cursor that there is none of.
const nothing = "-"

func (p position) String() string {
	return cursorText(p.got) + " " + cursorText(p.sent)
}

func cursorText(c inbox.Cursor) string {
	if c.Epoch == "" {
		return nothing
	}
	return c.String()
}

// parsePosition reads what String wrote; what cannot be read is nothing.
func parsePosition(text string) (p position) {
	got, sent, _ := strings.Cut(text, " ")
	p.got, _ = inbox.ParseCursor(got)   // the zero one with an error
	p.sent, _ = inbox.ParseCursor(sent) // likewise
	return p
}

// A judge says which positions can still be meant: it is the view.
type judge interface {
	Head() uint64
	Epoch(seq uint64) string
}

// lost says whether the cursor lies in a part of the log that is no more: a node
// that is behind does not know, so it is not.
func lost(c inbox.Cursor, v judge) bool {
	return c.Epoch != "" && c.Seq <= v.Head() && v.Epoch(c.Seq) != c.Epoch
}

// later is the further one of two cursors, of which only b can be lost, or either
// nothing.
func later(a, b inbox.Cursor, v judge) inbox.Cursor {
	if b.Epoch != "" && (a.Epoch == "" || b.Seq > a.Seq) && !lost(b, v) {
		return b
	}
	return a
}

// merge takes what is further of each.
func merge(a, b position, v judge) position {
	return position{later(a.got, b.got, v), later(a.sent, b.sent, v)}
}
