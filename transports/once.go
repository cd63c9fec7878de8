package transports

import (
	"context"
	"errors"
	"time"

	"tocsin/server/inbox"
)

// An Ask is what a client wants of one answer.
type Ask struct {
	// Limit is the most entries wanted, at least 1.
	Limit int
	// Wait is how long to wait when there is nothing to tell; 0 is not at all.
	Wait time.Duration
	// News, unless nil, says of a batch without entries whether its counters are
	// news to the client, who then is answered at once.
	News func(*inbox.Batch) bool
}

// A Page answers an Ask.
type Page struct {
	inbox.Batch
	// Drained: the node goes down, which cut the waiting short.
	Drained bool
}

// Empty says whether the page has neither entries nor a gap.
func (p *Page) Empty() bool { return p.Gap == nil && len(p.Items) == 0 }

// Once reads one page. A waiting ends with entries, a gap, counters that
// changed, the time asked for, or the node's drain. Errors: Expired or Revoked
// when the client's right to read ended meanwhile, the context's cause when it
// is gone, those of the reader. An error loses nothing: the client asks again
// with the cursor that it has.
func Once(ctx context.Context, s Session, a Ask, l Limits) (Page, error) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	b, err := s.Reader.Read(ctx, a.Limit)
	drained := errors.Is(context.Cause(ctx), Drain)
	if err != nil {
		return Page{}, ended(ctx, err)
	}
	p := Page{Batch: b, Drained: drained}
	if p.Empty() && a.Wait > 0 && !drained && (a.News == nil || !a.News(&b)) {
		if err := p.await(ctx, s.Reader, a); err != nil {
			return Page{}, err
		}
	}
	p.cut(l.PageBytes)
	s.delivered(len(p.Items))
	return p, nil
}

// await waits for something to put on the empty page.
func (p *Page) await(ctx context.Context, r *inbox.Reader, a Ask) error {
	wait, cancel := context.WithTimeout(ctx, a.Wait)
	defer cancel()
	b, err := r.Next(wait, a.Limit)
	switch {
	case err == nil:
		p.Batch = b
	case errors.Is(context.Cause(ctx), Drain):
		p.Drained = true
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case wait.Err() == nil:
		return err
	}
	// Otherwise the time is up, and the empty page from before still holds.
	return nil
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
