package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A shown is an entry of the log, as the five protocols are compared by it.
type shown struct {
	raw   string
	Seq   uint64
	Type  string
	Alarm *struct {
		ID, Device, Type, Severity, Message string
		Rev                                 uint64
		Acked, Active                       bool
		AckedBy                             string `json:"acked_by"`
	}
	Notice *struct {
		Title string
		Data  json.RawMessage
	}
}

// A dialect is one of the five protocols, as one of its clients speaks it.
type dialect struct {
	name string
	// path is the address, subprotocol the WebSocket's.
	path        func(m *member) string
	subprotocol string
	// begin says what a client says first.
	begin func(m *member) error
	// take takes what it is told, and notes lines of it.
	take func(m *member, text []byte) error
	// want is the line of an entry; empty for those that it is not told.
	want func(e *shown) string
}

// A member is one user's client of one of the five. If it slips, it vanishes once, and
// comes back by what its protocol has for that.
type member struct {
	*dialect
	base, user, token string
	slips             int // how much it has then; 0 for one that stays
	words             *words

	write sync.Mutex // of writing
	conn  *websocket.Conn

	mu      sync.Mutex
	got     []string
	cast    []string          // of topics
	had     map[string]string // lines by what a repeat is known by
	again   int               // repeats that were recognised
	place   string            // its cursor
	slipped bool
	mayGo   bool     // it has a place that fits what it got
	odd     []string // what should not have come
}

// words keeps each text once, as five hundred hear the same.
type words struct {
	mu  sync.Mutex
	all map[string]string
}

func (w *words) of(text []byte) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	one, known := w.all[string(text)]
	if !known {
		one = string(text)
		w.all[one] = one
	}
	return one
}

func (m *member) say(kind int, text []byte) error {
	m.write.Lock()
	defer m.write.Unlock()
	return m.conn.WriteMessage(kind, text)
}

func (m *member) text(format string, args ...any) error {
	return m.say(websocket.TextMessage, fmt.Appendf(nil, format, args...))
}

// connect begins, run goes on to the end of the context.
func (m *member) connect(ctx context.Context) error {
	d := websocket.Dialer{}
	if m.subprotocol != "" {
		d.Subprotocols = []string{m.subprotocol}
	}
	conn, _, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(m.base, "http")+m.path(m), http.Header{})
	if err != nil {
		return err
	}
	conn.SetPingHandler(func(data string) error { // however busy this machine is
		return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(patience))
	})
	m.write.Lock()
	m.conn = conn
	m.write.Unlock()
	return m.begin(m)
}

func (m *member) run(ctx context.Context) {
	for ctx.Err() == nil {
		stop := context.AfterFunc(ctx, func() { _ = m.conn.NetConn().Close() })
		err := m.read()
		stop()
		_ = m.conn.NetConn().Close()
		if err == nil && ctx.Err() == nil {
			err = m.connect(ctx)
		}
		if err != nil && ctx.Err() == nil {
			m.complain("%v", err)
			return
		}
	}
}

// read reads until the member slips, which is no error.
func (m *member) read() error {
	for {
		_, text, err := m.conn.ReadMessage()
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.mayGo = true
		err = m.take(m, text)
		slips := m.slips > 0 && len(m.got) >= m.slips && m.mayGo
		if slips {
			m.slips, m.slipped = 0, true
		}
		m.mu.Unlock()
		if err != nil || slips {
			return err
		}
	}
}

func (m *member) complain(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wonder(format, args...)
}

// wonder notes what should not have come; under the lock.
func (m *member) wonder(format string, args ...any) {
	if len(m.odd) < 5 {
		m.odd = append(m.odd, fmt.Sprintf(format, args...))
	}
}

// once notes a line, unless it is a repeat by its id.
func (m *member) once(id, line string) {
	has, known := m.had[id]
	switch {
	case !known:
		m.had[id] = line
		m.got = append(m.got, line)
	case has != line:
		m.wonder("%s is %q and %q", id, has, line)
	default:
		m.again++
	}
}

func (m *member) count() (lines, cast int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.got), len(m.cast)
}

// wants are the lines of what the user was told.
func (m *member) wants(all []shown) (lines []string) {
	for i := range all {
		if line := m.want(&all[i]); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// check compares, and says where they part.
func (m *member) check(all []shown, cast []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := m.wants(all)
	switch {
	case len(m.odd) > 0:
		return fmt.Errorf("%s of %s: %q", m.name, m.user, m.odd)
	case !slices.Equal(m.cast, cast):
		return fmt.Errorf("%s of %s heard of topics %q, want %q", m.name, m.user, m.cast, cast)
	}
	for i := range max(len(want), len(m.got)) {
		if i >= len(want) || i >= len(m.got) || want[i] != m.got[i] {
			at := func(l []string) string { return strings.Join(l[min(i, len(l)):min(i+1, len(l))], "") }
			return fmt.Errorf("%s of %s has %d of %d, and as number %d %q, want %q", m.name, m.user, len(m.got), len(want), i, at(m.got), at(want))
		}
	}
	return nil
}
