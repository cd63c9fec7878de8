package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"tocsin/server/inbox"
)

func eachLog(t *testing.T, test func(t *testing.T, l inbox.Log)) {
	for name, make := range logs {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
}

func TestAppend(t *testing.T) {
	eachLog(t, testAppend)
}

func testAppend(t *testing.T, l inbox.Log) {
	a, b := subject(1), subject(2)
	for _, c := range []struct { // one after the other on one log

		name   string
		p      inbox.Proposal
		seq    uint64
		dup    bool
		failed error
	}{
		{"the first of a subject", inbox.Proposal{Subject: a, ID: "1"}, 1, false, nil},
		{"expects none, has one", inbox.Proposal{Subject: a, ID: "2"}, 0, false, inbox.ErrConflict},
		{"expects none, has one, without id", inbox.Proposal{Subject: a}, 0, false, inbox.ErrConflict},
		{"what lost is not remembered", inbox.Proposal{Subject: a, ID: "2", Expect: 1}, 2, false, nil},
		{"expects the one before", inbox.Proposal{Subject: a, ID: "3", Expect: 1}, 0, false, inbox.ErrConflict},
		{"expects what another subject has", inbox.Proposal{Subject: b, Expect: 2}, 0, false, inbox.ErrConflict},
		{"a retry whose subject has not moved", inbox.Proposal{Subject: a, ID: "2", Expect: 2}, 2, true, nil},
		{"a retry as it was sent", inbox.Proposal{Subject: a, ID: "2", Expect: 1}, 2, true, nil},
		{"a retry of the older one", inbox.Proposal{Subject: a, ID: "1"}, 1, true, nil},
		{"an id of another subject", inbox.Proposal{Subject: b, ID: "1"}, 1, true, nil},
		{"an id of another subject, expecting wrongly", inbox.Proposal{Subject: b, ID: "1", Expect: 7}, 1, true, nil},
		{"duplicates stored nothing", inbox.Proposal{Subject: b, ID: "4"}, 3, false, nil},
		{"an id with a space is another id", inbox.Proposal{Subject: b, ID: " 4", Expect: 3}, 4, false, nil},
		{"an id with a line end", inbox.Proposal{Subject: b, ID: "4\r\nNats-Rollup: all", Expect: 4}, 5, false, nil},
		{"an id like an escaped one", inbox.Proposal{Subject: b, ID: "=204", Expect: 5}, 6, false, nil},
		{"without id nothing is a duplicate", inbox.Proposal{Subject: b, Expect: 6}, 7, false, nil},
		{"too large", inbox.Proposal{Subject: b, Expect: 7, Data: make([]byte, 9<<20)}, 0, false, inbox.ErrTooLarge},
		{"id too large", inbox.Proposal{Subject: b, Expect: 7, ID: strings.Repeat("x", 70_000)}, 0, false, inbox.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := l.Append(t.Context(), c.p)[0]
			if r.Seq != c.seq || r.Duplicate != c.dup || !errors.Is(r.Err, c.failed) {
				t.Errorf("got %+v, want seq %d, duplicate %v, error %v", r, c.seq, c.dup, c.failed)
			}
		})
	}
}

func TestAppendBatchKeepsOrder(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		const n = 5000
		batch := make([]inbox.Proposal, n)
		for i := range batch {
			batch[i] = inbox.Proposal{Subject: subject(i), ID: fmt.Sprint(i), Data: []byte(fmt.Sprint(i))}
		}
		batch[n/2].Expect = 99 // one fails, the others do not
		receipts := l.Append(t.Context(), batch...)
		want := uint64(0)
		for i, r := range receipts {
			if i == n/2 {
				if !errors.Is(r.Err, inbox.ErrConflict) {
					t.Fatalf("the wrong one got %+v", r)
				}
				continue
			}
			if want++; r.Err != nil || r.Seq != want || r.Duplicate {
				t.Fatalf("proposal %d got %+v, want sequence %d", i, r, want)
			}
		}
		batch[n/2].Expect = 0
		for i, r := range l.Append(t.Context(), batch...) {
			if r.Err != nil || r.Duplicate != (i != n/2) || r.Duplicate && r.Seq != receipts[i].Seq {
				t.Fatalf("the retry of proposal %d got %+v, the first %+v", i, r, receipts[i])
			}
		}
	})
}

func TestAppendEachCompareAndSetIsWonOnce(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		const writers, rounds = 8, 25
		won := make(chan uint64, writers*rounds)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				expect := uint64(0)
				for n := 0; n < rounds; {
					r := l.Append(t.Context(), inbox.Proposal{Subject: subject(1), ID: fmt.Sprint(w, "/", n), Expect: expect})[0]
					switch {
					case r.Err == nil && !r.Duplicate:
						won <- r.Seq
						expect = r.Seq
						n++
					case errors.Is(r.Err, inbox.ErrConflict):
						m, err := l.Newest(t.Context(), subject(1))
						if err != nil {
							t.Error(err)
							return
						}
						expect = m.Seq
					default:
						t.Errorf("got %+v", r)
						return
					}
				}
			})
		}
		wg.Wait()
		close(won)
		seen := map[uint64]bool{}
		for seq := range won {
			if seen[seq] {
				t.Errorf("two writers won %d", seq)
			}
			seen[seq] = true
		}
		if b, err := l.Bounds(t.Context()); err != nil || len(seen) != writers*rounds || b.Messages != writers*rounds {
			t.Errorf("%d won, the log has %+v, %v", len(seen), b, err)
		}
	})
}

func TestAppendOfManyBatchesAtOnce(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		const writers, n = 6, 1500 // more than the window takes at once
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				batch := make([]inbox.Proposal, n)
				for i := range batch {
					batch[i].Subject = subject(w*n + i)
				}
				for i, r := range l.Append(t.Context(), batch...) {
					if r.Err != nil {
						t.Errorf("proposal %d: %v", i, r.Err)
						return
					}
				}
			})
		}
		wg.Wait()
		if b, err := l.Bounds(t.Context()); err != nil || b.Messages != writers*n {
			t.Errorf("the log has %+v, %v", b, err)
		}
	})
}

func TestAppendEndsWithItsContext(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		batch := make([]inbox.Proposal, 5000)
		for i := range batch {
			batch[i] = inbox.Proposal{Subject: subject(i), ID: fmt.Sprint(i)}
		}
		got := make(chan []inbox.Receipt, 1)
		go func() { got <- l.Append(ctx, batch...) }() // ends with Append
		for _, r := range wait(t, got) {
			if r.Err != nil && (!errors.Is(r.Err, inbox.ErrUnavailable) || !errors.Is(r.Err, context.Canceled)) {
				t.Fatalf("got %v", r.Err)
			}
		}
		// What was cut off holds no place in the window.
		for i, r := range l.Append(t.Context(), batch...) {
			if r.Err != nil {
				t.Fatalf("proposal %d afterwards: %v", i, r.Err)
			}
		}
	})
}
