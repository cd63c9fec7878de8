package inbox

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A MemoryLog is a Log in memory, for tests and as the contract's plainest
// reading. Its zero value is ready.
type MemoryLog struct {
	// Now is the clock that messages are stored by; nil is time.Now.
	Now func() time.Time

	mu     sync.Mutex
	first  uint64 // sequence of messages[0]
	msgs   []Message
	newest map[string]uint64
	ids    map[string]uint64
	grown  chan struct{} // closed at the next append
}

var _ Log = (*MemoryLog)(nil)

func (l *MemoryLog) init() {
	if l.newest == nil {
		l.first, l.newest, l.ids, l.grown = 1, map[string]uint64{}, map[string]uint64{}, make(chan struct{})
	}
}

// Append implements Log.
func (l *MemoryLog) Append(ctx context.Context, proposals ...Proposal) []Receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	receipts := make([]Receipt, len(proposals))
	for i, p := range proposals {
		receipts[i] = l.append(p)
	}
	close(l.grown)
	l.grown = make(chan struct{})
	return receipts
}

func (l *MemoryLog) append(p Proposal) Receipt {
	if seq, twice := l.ids[p.ID]; p.ID != "" && twice {
		return Receipt{Seq: seq, Duplicate: true}
	}
	if !p.Any && l.newest[p.Subject] != p.Expect {
		return Receipt{Err: fmt.Errorf("append to %s: %w", p.Subject, ErrConflict)}
	}
	now := time.Now
	if l.Now != nil {
		now = l.Now
	}
	seq := l.first + uint64(len(l.msgs))
	l.msgs = append(l.msgs, Message{Seq: seq, Subject: p.Subject, Data: p.Data, Time: now()})
	l.newest[p.Subject] = seq
	if p.ID != "" {
		l.ids[p.ID] = seq
	}
	return Receipt{Seq: seq}
}

func (l *MemoryLog) at(seq uint64) (Message, error) {
	if seq < l.first || seq >= l.first+uint64(len(l.msgs)) {
		return Message{}, fmt.Errorf("read message %d: %w", seq, ErrNotFound)
	}
	return l.msgs[seq-l.first], nil
}

// At implements Source.
func (l *MemoryLog) At(ctx context.Context, seq uint64) (Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	return l.at(seq)
}

// Newest implements Log.
func (l *MemoryLog) Newest(ctx context.Context, subject string) (Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	seq, ok := l.newest[subject]
	if !ok {
		return Message{}, fmt.Errorf("read the newest of %s: %w", subject, ErrNotFound)
	}
	return l.at(seq)
}

// Bounds implements Source.
func (l *MemoryLog) Bounds(ctx context.Context) (Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	b := Bounds{First: l.first, Last: l.first + uint64(len(l.msgs)) - 1, Messages: uint64(len(l.msgs))}
	for _, m := range l.msgs {
		b.Bytes += uint64(len(m.Data) + len(m.Subject))
	}
	return b, nil
}

// Scan implements Source.
func (l *MemoryLog) Scan(ctx context.Context, s Scan, each func(Message) error) error {
	if s.Newest {
		return l.scanNewest(ctx, each)
	}
	l.mu.Lock()
	l.init()
	next, end := max(s.From, l.first), l.first+uint64(len(l.msgs))
	l.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.mu.Lock()
		next = max(next, l.first)
		m, err := l.at(next)
		wanted := err == nil && (s.Subject == "" || s.Subject == m.Subject)
		grown := l.grown
		l.mu.Unlock()
		switch {
		case err == nil:
			if !s.Follow && next >= end {
				return nil
			}
			next++
			if wanted {
				if err := each(m); err != nil {
					return err
				}
			}
		case !s.Follow:
			return nil
		default:
			select {
			case <-grown:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// scanNewest gives what is the newest of each subject when it begins.
func (l *MemoryLog) scanNewest(ctx context.Context, each func(Message) error) error {
	l.mu.Lock()
	l.init()
	var newest []Message
	for _, m := range l.msgs {
		if l.newest[m.Subject] == m.Seq {
			newest = append(newest, m)
		}
	}
	l.mu.Unlock()
	for _, m := range newest {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

// Purge implements Log.
func (l *MemoryLog) Purge(ctx context.Context, below uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	for len(l.msgs) > 0 && l.first < below {
		if m := l.msgs[0]; l.newest[m.Subject] == m.Seq {
			delete(l.newest, m.Subject)
		}
		l.msgs = l.msgs[1:]
		l.first++
	}
	return nil
}
