package stomp_test

import (
	"context"
	"errors"
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
	"tocsin/server/topics"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/stomp"
)

const patience = 20 * time.Second

var secret = []byte("a secret of more than thirty-two bytes")

// A world is a node with STOMP's door, over real sockets: ada and bob are of the
// crew, whose device is d1.
type world struct {
	t      testing.TB
	log    *inbox.MemoryLog
	view   *inbox.View
	dir    *directory.Directory
	engine *alarm.Engine
	topics *topics.Topics
	places *places
	url    string
	o      *stomp.Options
	ended  chan error
	events chan string

	mu    sync.Mutex
	talks []*stomp.Conversation
}

// The zero settings are the defaults.
type settings struct {
	limits  transports.Limits
	carrier ws.Options
	view    inbox.ViewOptions
	change  func(*stomp.Options)
}

func newWorld(t testing.TB, s settings) *world {
	t.Helper()
	w := &world{t: t, log: &inbox.MemoryLog{}, places: &places{of: map[string]string{}}, ended: make(chan error, 1000), events: make(chan string, 10_000)}
	epoch, err := inbox.BeginEpoch(t.Context(), w.log, time.Now())
	w.must(err)
	w.topics = topics.New(topics.Options{Log: w.log, Epoch: epoch})
	go w.topics.Run(t.Context()) // ends with the test
	s.view.Unassigned, s.view.Topic, s.view.Reloaded = []string{"unassigned"}, w.topics.Heard, w.topics.Missed
	w.view, _ = inboxtest.StartView(t, w.log, s.view)
	w.dir = directory.New(directory.Options{Log: w.log, View: w.view, Epoch: epoch})
	w.engine = alarm.New(alarm.Options{Log: w.log, View: w.view, Router: w.dir, Epoch: epoch, Unassigned: s.view.Unassigned})
	w.must(w.dir.PutDevice(t.Context(), "d1", []string{"crew"}))
	w.must(w.dir.PutUser(t.Context(), "ada", []string{"crew"}))
	w.must(w.dir.PutUser(t.Context(), "bob", []string{"crew"}))
	verifier, err := auth.New(t.Context(), auth.Options{HS256: secret, Leeway: -1})
	w.must(err)
	w.o = &stomp.Options{
		DialogueOptions: transports.DialogueOptions{View: w.view, Pump: transports.NewPump(s.limits), Lasting: true},
		Topics:          broadcasts{w.topics}, Places: w.places, Problem: problem,
		Apps: map[string]string{"v1/chat": "chat/v1", "say": "news"},
		Authenticate: func(ctx context.Context, token string) (transports.Identity, error) {
			id, err := verifier.Verify(ctx, token)
			if err != nil {
				return transports.Identity{}, err
			}
			return transports.Identity{
				Client:  transports.Client{User: id.User, Groups: id.Groups, Expires: id.Expires},
				Publish: id.Has(auth.ScopePublish),
			}, nil
		},
	}
	if s.change != nil {
		s.change(w.o)
	}
	go w.o.Pump.Run(t.Context()) // ends with the test
	s.carrier.Subprotocols, s.carrier.Either = []string{"v12.stomp", "v11.stomp", "v10.stomp"}, true
	carrier, err := ws.New(s.carrier)
	w.must(err)
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
		err := carrier.Serve(rw, r, func(conn *ws.Conn) ws.Conversation {
			talk := stomp.Begin(conn, id, &host{w: w}, w.o)
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
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, talk := range w.talks {
		talk.End(cause)
	}
}

// A host notes what it hears.
type host struct {
	w    *world
	user string
}

var _ stomp.Register = (*host)(nil)

func (h *host) Known(_ *transports.Dialogue, id transports.Identity) { h.user = id.User }

func (h *host) Delivers() (reached func(inbox.Reach), done func()) {
	h.w.events <- h.user + " + inbox"
	return nil, func() { h.w.events <- h.user + " - inbox" }
}

func (h *host) Session() string { return "session-of-" + h.user }

func (h *host) Subscribed(destination string) (done func()) {
	h.w.events <- h.user + " + " + destination
	return func() { h.w.events <- h.user + " - " + destination }
}

func (h *host) Ended(why error) {
	h.w.events <- h.user + " gone"
	h.w.ended <- why
}

// broadcasts are topics as conversations want them.
type broadcasts struct{ *topics.Topics }

func (b broadcasts) Listen(name string, l stomp.Listener) (leave func()) {
	return b.Topics.Listen(name, ear{l})
}

func (b broadcasts) Publish(ctx context.Context, m stomp.Broadcast) error {
	_, err := b.Topics.Publish(ctx, topics.Message(m))
	return err
}

type ear struct{ stomp.Listener }

func (e ear) Heard(m topics.Message) { e.Listener.Heard(stomp.Broadcast(m)) }

// places are resume points in memory. While fails is set, nothing is stored.
type places struct {
	mu     sync.Mutex
	of     map[string]string
	writes int
	fails  error
}

func (p *places) Get(_ context.Context, name, user string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[name+"/"+user], p.fails
}

func (p *places) Set(_ context.Context, name, user string, choose func(string) string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails != nil {
		return p.fails
	}
	p.writes++
	p.of[name+"/"+user] = choose(p.of[name+"/"+user])
	return nil
}

func (p *places) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails = err
}

func problem(err error) stomp.Problem {
	p := stomp.Problem{Status: 500, Title: "Something went wrong", JSON: []byte(`{"status":500}`)}
	var param *transports.ParamError
	var field *inbox.FieldError
	switch {
	case errors.Is(err, stomp.ErrNoToken), errors.Is(err, auth.ErrInvalid), errors.Is(err, auth.ErrExpired):
		p.Status, p.Title = 401, "Say who you are"
	case errors.Is(err, stomp.ErrForbidden):
		p.Status, p.Title = 403, "Not allowed"
	case errors.Is(err, inbox.ErrUnavailable):
		p.Status, p.Title, p.Retry = 503, "The storage does not answer", time.Second
	case errors.As(err, &param), errors.As(err, &field):
		p.Status, p.Title = 422, "A value is out of bounds"
	}
	return p
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
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

// raise publishes an alarm of a type of its own, and waits until it can be read.
func (w *world) raise(types ...string) {
	w.t.Helper()
	for _, typ := range types {
		r := w.engine.Publish(w.t.Context(), "tests", []alarm.Event{{Device: "d1", Type: typ, Severity: "major"}})[0]
		w.must(r.Err)
		inboxtest.Reach(w.t, w.view, r.Seq)
	}
}

// event waits for what the host hears next.
func (w *world) event(want string) {
	w.t.Helper()
	if got := wait(w.t, want, w.events); got != want {
		w.t.Fatalf("the host heard %q, want %q", got, want)
	}
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
