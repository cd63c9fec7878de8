package transports

import (
	"context"
	"time"

	"tocsin/server/inbox"
)

// An Ask is what a client wants of one answer.
type Ask struct {
	// Limit is the most entries wanted, at least 1.
	Limit int
	// Wait is how long to wait when there is nothing to tell; 0 is not at all.
	Wait time.Duration
}

// A Page answers an Ask.
type Page struct {
	inbox.Batch
	// Drained: the node goes down, which cut the waiting short.
	Drained bool
}

// Empty says whether the page has neither entries nor a gap.
func (p *Page) Empty() bool { return p.Gap == nil && len(p.Items) == 0 }

// Once reads one page of at most limit entries, without waiting for more to come.
// An error loses nothing: the client asks again with the cursor that it has.
func Once(ctx context.Context, s Session, limit int, l Limits) (Page, error) {
	b, err := s.Reader.Read(ctx, limit)
	if err != nil {
		return Page{}, ended(ctx, err)
	}
	p := Page{Batch: b}
	p.cut(l.PageBytes)
	s.delivered(len(p.Items))
	return p, nil
}

// cut keeps the page within a size. What is cut off comes with the next one.
func (p *Page) cut(most int) {
	size := 0
	for i := range p.Items {
		if size += p.Items[i].Size(); i > 0 && size > most {
			p.Cut(i)
			return
		}
	}
}
