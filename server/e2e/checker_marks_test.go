package e2e

import (
	"context"
	"sync"
	"time"

	"tocsin/server/inbox"
)

// A marker reads for a hopper: it says now and then that what came is read.
type marker struct {
	hopper *hopper
	base   string
	every  time.Duration

	mu    sync.Mutex
	acked uint64   // up to where it certainly is read
	tried []uint64 // what was sent after that
}

func (m *marker) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, m.every)
		cursor := m.hopper.place()
		at, err := inbox.ParseCursor(cursor)
		if err != nil {
			continue
		}
		m.mu.Lock()
		m.tried = append(m.tried, at.Seq)
		m.mu.Unlock()
		bound, cancel := context.WithTimeout(ctx, attemptTimeout)
		a, err := request(bound, "POST", m.base+"/v1/inbox/read", m.hopper.token, `{"upto":"`+cursor+`"}`)
		cancel()
		if err == nil && a.status == 200 {
			m.mu.Lock()
			m.acked, m.tried = max(m.acked, at.Seq), nil
			m.mu.Unlock()
		}
	}
}

// candidates are up to where it may be read.
func (m *marker) candidates() []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]uint64{m.acked}, m.tried...)
}
