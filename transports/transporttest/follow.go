package transporttest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// A Follower is a client that reads over one transport, and comes back with its
// cursor whenever its session has ended.
type Follower struct {
	t      testing.TB
	via    Transport
	url    func() string
	token  string
	reader Reader // nil between two sessions

	Cursor   string
	Got      []Entry // since the last gap that starts over
	Gaps     []string
	Ends     []End // of sessions, by the server
	Sessions int
	last     uint64 // the last Seq
}

// Follow connects behind the cursor, or now when that is empty.
func (w *World) Follow(via Transport, token, cursor string) *Follower {
	w.T.Helper()
	f := &Follower{t: w.T, via: via, url: w.URL, token: token, Cursor: cursor}
	ctx, cancel := context.WithTimeout(w.T.Context(), patience)
	defer cancel()
	if err := f.connect(ctx); err != nil {
		w.T.Fatalf("%s: connect: %v", via.Name, err)
	}
	w.T.Cleanup(f.Cut)
	return f
}

// connect tries until it is let in; refusals that are to last are errors.
func (f *Follower) connect(ctx context.Context) error {
	for {
		r, err := f.via.Connect(ctx, f.url(), f.token, f.Cursor)
		if err == nil {
			f.reader, f.Cursor = r, r.Cursor()
			f.Sessions++
			return nil
		}
		if end := endOf(err); end.Code != 0 && end.Code < 500 {
			return err
		}
		if gone := pause(ctx, 10*time.Millisecond); gone != nil {
			return errors.Join(gone, err)
		}
	}
}

// Cut ends the session as a client that vanishes.
func (f *Follower) Cut() {
	if f.reader != nil {
		f.Cursor = f.reader.Cursor()
		f.reader.Close()
		f.reader = nil
	}
}

// read takes one batch. When the session has ended it is cut.
func (f *Follower) read(ctx context.Context) error {
	b, err := f.reader.Next(ctx)
	if err != nil {
		f.Cut()
		return err
	}
	if b.Gap != "" {
		f.Gaps = append(f.Gaps, b.Gap)
		if b.Gap != "compacted" {
			f.Got, f.last = nil, 0
		}
	}
	for _, e := range b.Entries {
		if f.via.Rows == 0 && e.Seq <= f.last {
			f.t.Errorf("%s: entry %d came after %d", f.via.Name, e.Seq, f.last)
		}
		f.last = e.Seq
	}
	f.Got = append(f.Got, b.Entries...)
	f.Cursor = f.reader.Cursor()
	return nil
}

// until reads, over as many sessions as it takes, until it is done.
func (f *Follower) until(ctx context.Context, done func() bool) error {
	for !done() {
		if f.reader == nil {
			if err := f.connect(ctx); err != nil {
				return err
			}
		}
		err := f.read(ctx)
		switch end := endOf(err); {
		case err == nil:
		case ctx.Err() != nil:
			return errors.Join(context.Cause(ctx), err)
		case end.Code != 0:
			f.Ends = append(f.Ends, end)
			if end.Code == 401 || end.Code == 4401 {
				return err
			}
		default: // the network, which may be there again
		}
	}
	return nil
}

// Expect reads until as many entries have come as there are texts, and wants
// them to be these.
func (f *Follower) Expect(texts ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	err := f.until(ctx, func() bool { return len(f.Got) >= len(texts) })
	f.compare(err, texts)
}

// compare wants these texts, each once and in order.
func (f *Follower) compare(err error, want []string) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: after %d of %d entries: %v", f.via.Name, len(f.Got), len(want), err)
	}
	var got []string
	for _, e := range f.Got {
		got = append(got, e.Text)
	}
	if f.via.Text != nil {
		want = slices.Clone(want)
		for i := range want {
			want[i] = f.via.Text(want[i])
		}
	}
	if !slices.Equal(got, want) {
		f.t.Fatalf("%s: got %d entries, want %d\ngot  %q\nwant %q", f.via.Name, len(got), len(want), got, want)
	}
}

// end reads until the server ends the session, and returns how it did.
func (f *Follower) end() End {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for {
		if err := f.read(ctx); err != nil {
			return endOf(err)
		}
	}
}

// noGap fails if anything was said to be missing.
func (f *Follower) noGap() {
	f.t.Helper()
	if len(f.Gaps) > 0 {
		f.t.Errorf("%s: gaps: %v", f.via.Name, f.Gaps)
	}
}
