package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/native"
)

const patience = 20 * time.Second

var secret = []byte("a secret of more than thirty-two bytes")

// A world is a node with one door, over real sockets: ada and bob are of the
// crew, whose device is d1; eve is of no group.
type world struct {
	t      testing.TB
	log    *inbox.MemoryLog
	view   *inbox.View
	dir    *directory.Directory
	engine *alarm.Engine
	url    string
	o      native.Options
	ended  chan error

	opening sync.WaitGroup // handshakes whose conversation is not there yet

	mu    sync.Mutex
	talks []*native.Conversation
	known func(*transports.Dialogue, transports.Identity) // hears of it, unless nil
}

// The zero settings are the defaults.
type settings struct {
	limits  transports.Limits
	carrier ws.Options
	view    inbox.ViewOptions
	options native.Options
}

func newWorld(t testing.TB, s settings) *world {
	t.Helper()
	w := &world{t: t, log: &inbox.MemoryLog{}, ended: make(chan error, 2000)}
	epoch, err := inbox.BeginEpoch(t.Context(), w.log, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.view.Unassigned = []string{"unassigned"}
	w.view, _ = inboxtest.StartView(t, w.log, s.view)
	w.dir = directory.New(directory.Options{Log: w.log, View: w.view, Epoch: epoch})
	w.engine = alarm.New(alarm.Options{Log: w.log, View: w.view, Router: w.dir, Epoch: epoch, Unassigned: s.view.Unassigned})
	w.must(w.dir.PutDevice(t.Context(), "d1", []string{"crew"}))
	w.must(w.dir.PutUser(t.Context(), "ada", []string{"crew"}))
	w.must(w.dir.PutUser(t.Context(), "bob", []string{"crew"}))
	verifier, err := auth.New(t.Context(), auth.Options{HS256: secret, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	w.o = s.options
	w.o.View, w.o.Limits = w.view, s.limits.WithDefaults()
	w.o.Pump = transports.NewPump(s.limits)
	go w.o.Pump.Run(t.Context()) // ends with the test
	w.o.Commands, w.o.Problem = commands{w, &marks{}}, problem
	if w.o.Authenticate == nil {
		w.o.Authenticate = func(ctx context.Context, token string) (transports.Identity, error) {
			return identify(ctx, verifier, token)
		}
	}
	s.carrier.Subprotocols = []string{"tocsin.v1.json"}
	carrier, err := ws.New(s.carrier)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.door(carrier))
	t.Cleanup(server.Close)
	t.Cleanup(carrier.Close)
	w.url = strings.TrimPrefix(server.URL, "http://")
	return w
}

// door is the route of a composer.
func (w *world) door(carrier *ws.Carrier) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		var id *transports.Identity
		if token, _, err := auth.FromRequest(r, true); err == nil {
			known, err := w.o.Authenticate(r.Context(), token)
			if err != nil {
				http.Error(rw, err.Error(), http.StatusUnauthorized)
				return
			}
			id = &known
		}
		w.opening.Add(1)
		opened := sync.OnceFunc(w.opening.Done)
		defer opened()
		err := carrier.Serve(rw, r, func(conn *ws.Conn) ws.Conversation {
			defer opened()
			talk := native.Begin(conn, id, host{w}, &w.o)
			w.mu.Lock()
			w.talks = append(w.talks, talk)
			w.mu.Unlock()
			return talk
		})
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
		}
	}
}

// end ends all conversations with a cause.
func (w *world) end(cause error) {
	w.opening.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, talk := range w.talks {
		talk.End(cause)
	}
}

// A host notes how conversations end.
type host struct{ w *world }

func (h host) Known(d *transports.Dialogue, id transports.Identity) {
	if h.w.known != nil {
		h.w.known(d, id)
	}
}

func (h host) Delivers() (reached func(inbox.Reach), done func()) { return nil, func() {} }

func (h host) Ended(why error) { h.w.ended <- why }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// errScope: the token is for something else.
var errScope = errors.New("it takes the scope inbox")

func identify(ctx context.Context, v *auth.Verifier, token string) (transports.Identity, error) {
	id, err := v.Verify(ctx, token)
	switch {
	case err != nil:
		return transports.Identity{}, err
	case !id.Has(auth.ScopeInbox):
		return transports.Identity{}, errScope
	}
	return transports.Identity{
		Client:  transports.Client{User: id.User, Groups: id.Groups, Expires: id.Expires},
		Publish: id.Has(auth.ScopePublish), Proof: id,
	}, nil
}

func (w *world) token(i auth.Issue) string {
	w.t.Helper()
	if i.TTL == 0 {
		i.TTL = time.Hour
	}
	token, err := auth.Sign(secret, i, time.Now())
	w.must(err)
	return token
}

// problem is a composer's table.
func problem(err error) (int, []byte) {
	var param *transports.ParamError
	var field *inbox.FieldError
	p := struct {
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Field  string `json:"field,omitempty"`
	}{500, err.Error(), ""}
	switch {
	case errors.As(err, &param):
		p.Status, p.Field = 400, param.Param
	case errors.Is(err, inbox.ErrCursor):
		p.Status = 400
	case errors.As(err, &field):
		p.Status, p.Field = 422, field.Field
	case errors.Is(err, auth.ErrUnavailable):
		p.Status = 503
	case errors.Is(err, auth.ErrMissing), errors.Is(err, auth.ErrInvalid), errors.Is(err, auth.ErrExpired):
		p.Status = 401
	case errors.Is(err, native.ErrForbidden), errors.Is(err, errScope):
		p.Status = 403
	case errors.Is(err, alarm.ErrNotFound):
		p.Status = 404
	case errors.Is(err, alarm.ErrChanged):
		p.Status = 412
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return p.Status, text
}

// commands are a composer's.
type commands struct {
	w     *world
	marks inbox.Marks
}

func (c commands) MarkRead(ctx context.Context, who transports.Client, upto string, ids []string) (inbox.Counts, error) {
	return c.w.view.MarkRead(ctx, c.marks, who.User, who.Groups, upto, ids)
}

func (c commands) Do(ctx context.Context, who transports.Client, what transports.Command) ([]byte, error) {
	a, err := c.w.engine.Do(ctx, alarm.Command{Op: alarm.Op(what.Op), User: who.User, Groups: who.Groups,
		ID: what.Alarm, Rev: what.Rev, Note: what.Note, Until: what.Until})
	if err != nil {
		return nil, err
	}
	return a.AppendJSON(nil), nil
}

func (c commands) AckAll(ctx context.Context, who transports.Client, ids []string, note string) ([]byte, error) {
	var all []alarm.Command
	for _, id := range ids {
		all = append(all, alarm.Command{Op: alarm.Acknowledge, User: who.User, Groups: who.Groups, ID: id, Note: note})
	}
	done, err := c.w.engine.DoAll(ctx, all)
	b := []byte{'['}
	for i, d := range done {
		if i > 0 {
			b = append(b, ',')
		}
		if d.Err != nil {
			_, p := problem(d.Err)
			b = fmt.Appendf(b, `{"id":%q,"problem":%s}`, ids[i], p)
			continue
		}
		b = append(d.Alarm.AppendJSON(fmt.Appendf(b, `{"id":%q,"alarm":`, ids[i])), '}')
	}
	return append(b, ']'), err
}

func (c commands) Publish(ctx context.Context, who transports.Client, text []byte) ([]byte, error) {
	var lines []json.RawMessage
	if err := json.Unmarshal(text, &lines); err != nil {
		return nil, err
	}
	b := []byte{'['}
	for i, line := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		e, err := alarm.ParseEvent(line)
		if err != nil {
			_, p := problem(err)
			b = fmt.Appendf(b, `{"status":"rejected","problem":%s}`, p)
			continue
		}
		r := c.w.engine.Publish(ctx, who.User, []alarm.Event{e})[0]
		b = fmt.Appendf(b, `{"status":%q,"id":%q}`, r.Status, r.ID)
	}
	return append(b, ']'), nil
}

// marks are read marks in memory.
type marks struct {
	mu sync.Mutex
	by map[string]inbox.Mark
}

func (m *marks) Update(_ context.Context, user string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := change(m.by[user])
	if err != nil {
		return n, err
	}
	if m.by == nil {
		m.by = map[string]inbox.Mark{}
	}
	m.by[user] = n
	return n, nil
}

func (m *marks) Watch(context.Context, func(), func(string, inbox.Mark)) error {
	return errors.New("not here")
}

// raise publishes an alarm of a type of its own, and waits until it can be read.
func (w *world) raise(device, typ string) alarm.Result {
	w.t.Helper()
	r := w.engine.Publish(w.t.Context(), "tests", []alarm.Event{{Device: device, Type: typ, Severity: "major"}})[0]
	w.must(r.Err)
	inboxtest.Reach(w.t, w.view, r.Seq)
	return r
}

// wait fails the test unless the channel has something in time.
func wait[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}
