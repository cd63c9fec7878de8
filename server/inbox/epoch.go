package inbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// keptEpochs bounds the list of former epochs; a cursor of an older one is told
// so by a gap.
const keptEpochs = 512

// BeginEpoch appends the node's start to the log as its first write, and
// returns the name that its entries carry from then on. Names rise, whatever
// the clock says.
func BeginEpoch(ctx context.Context, log Log, now time.Time) (string, error) {
	return BeginEpochAfter(ctx, log, now, nil)
}

// keptLosses bounds what an epoch says was lost; what lies between two losses beside
// each other is then taken for lost, too.
const keptLosses = 128

// BeginEpochAfter is BeginEpoch where the log has lost messages, which are named in
// ascending order. Then the new epoch is all there is, from the log's first sequence
// on: whoever comes with a cursor of a former one is told by a gap that something was
// lost, wherever he stood, and what he had read counts up to the first loss.
func BeginEpochAfter(ctx context.Context, log Log, now time.Time, lost []Span) (string, error) {
	for {
		var former []Epoch
		var expect uint64
		m, err := log.Newest(ctx, SubjectEpoch)
		switch {
		case err == nil:
			e, err := Decode(m)
			if err != nil {
				return "", fmt.Errorf("read the last epoch: %w", err)
			}
			former, expect = e.Epochs, m.Seq
			if n := len(former); n > 0 && former[n-1].First == 0 {
				former[n-1].First = m.Seq
			}
		case !errors.Is(err, ErrNotFound):
			return "", fmt.Errorf("read the last epoch: %w", err)
		}
		name := epochName(now, former)
		own := Epoch{Name: name}
		former = newest(former, keptEpochs)
		if len(lost) > 0 {
			own.First, own.Lost = 1, fewer(append(losses(former), lost...), keptLosses)
			former = nil
		}
		e := Entry{Subject: SubjectEpoch, Epoch: name, Quiet: true, Epochs: append(former, own)}
		r := log.Append(ctx, Proposal{Subject: SubjectEpoch, Expect: expect, Data: e.Encode()})[0]
		if errors.Is(r.Err, ErrConflict) {
			continue
		}
		if r.Err != nil {
			return "", fmt.Errorf("begin an epoch: %w", r.Err)
		}
		return name, nil
	}
}

// newest are the newest epochs. What was lost before those that are left out stays
// known, with the oldest that is kept.
func newest(list []Epoch, most int) []Epoch {
	if len(list) <= most {
		return list
	}
	out := list[:len(list)-most]
	list = slices.Clone(list[len(out):])
	list[0].Lost = fewer(append(losses(out), list[0].Lost...), keptLosses)
	return list
}

// losses are what was lost before epochs.
func losses(list []Epoch) (all []Span) {
	for _, p := range list {
		all = append(all, p.Lost...)
	}
	return all
}

// Losses are the sequences that are known to be missing in the log, by its newest
// sys.epoch entry.
func (e *Entry) Losses() []Span { return losses(e.Epochs) }

// fewer sorts spans and joins neighbours, those closest neighbours, those closest first, until there are at most so many.
func fewer(spans []Span, most int) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.First, b.First) })
	for len(spans) > most {
		at := 0
		for i := range len(spans) - 1 {
			if spans[i+1].First-spans[i].Last < spans[at+1].First-spans[at].Last {
				at = i
			}
		}
		spans[at].Last = spans[at+1].Last
		spans = slices.Delete(spans, at+1, at+2)
	}
	return spans
}

// epochName is the time in milliseconds, nine characters of base 36, which
// suffice until the year 5188, and three by chance.
func epochName(now time.Time, former []Epoch) string {
	ms := now.UnixMilli()
	if n := len(former); n > 0 && len(former[n-1].Name) >= 9 {
		if last, err := strconv.ParseInt(former[n-1].Name[:9], 36, 64); err == nil {
			ms = max(ms, last+1)
		}
	}
	stamp := strconv.FormatInt(ms, 36)
	for len(stamp) < 9 {
		stamp = "0" + stamp
	}
	var b [3]byte
	rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[b[i]%36]
	}
	return stamp + string(b[:])
}
