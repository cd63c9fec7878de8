package page_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
	"tocsin/transports/page"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// errToken is what the world says of a token that it does not know.
var errToken = errors.New("the token is not valid")

// users are those that the world knows, by their tokens.
var users = map[string]string{"token-of-ada": "ada", "token-of-bob": "bob"}

// A world is a node with the page over real sockets, and ada's browser. She is
// in the group crew, to which the devices d… belong.
type world struct {
	t      testing.TB
	log    *inbox.MemoryLog
	view   *inbox.View
	dir    *directory.Directory
	engine *alarm.Engine
	url    string
	client *http.Client
	// sameOrigin of the options.
	sameOrigin func(*http.Request) bool

	mu    sync.Mutex
	now   time.Time
	marks map[string]inbox.Mark
}

func newWorld(t testing.TB, window int) *world {
	t.Helper()
	w := &world{t: t, log: &inbox.MemoryLog{}, now: noon, marks: map[string]inbox.Mark{}, sameOrigin: auth.SameOrigin}
	epoch, err := inbox.BeginEpoch(t.Context(), w.log, noon)
	if err != nil {
		t.Fatal(err)
	}
	unassigned := []string{"crew"}
	w.view, _ = inboxtest.StartView(t, w.log, inbox.ViewOptions{Unassigned: unassigned, Window: window})
	w.dir = directory.New(directory.Options{Log: w.log, View: w.view, Epoch: epoch})
	w.engine = alarm.New(alarm.Options{Log: w.log, View: w.view, Router: w.dir, Epoch: epoch, Unassigned: unassigned, Now: w.clock})
	w.groups("ada", "crew")
	server := httptest.NewServer(w.handler())
	t.Cleanup(server.Close)
	w.url = server.URL
	w.browse()
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// browse starts a browser without cookies, which follows no redirects by itself.
func (w *world) browse() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *world) options() page.Options {
	return page.Options{
		View: w.view, Limits: transports.Limits{}.WithDefaults(), Now: w.clock,
		SameOrigin: w.sameOrigin, CSRF: auth.CSRFToken, CheckCSRF: auth.CheckCSRF,
		Do: func(ctx context.Context, c transports.Client, what transports.Command) error {
			_, err := w.engine.Do(ctx, alarm.Command{Op: alarm.Op(what.Op), User: c.User, Groups: c.Groups, ID: what.Alarm, Note: what.Note, Until: what.Until})
			return err
		},
		AckAll: w.ackAll, Look: w.look,
		Read: func(ctx context.Context, user string, groups []string, upto string) error {
			_, err := w.view.MarkRead(ctx, marks{w: w}, user, groups, upto, nil)
			return err
		},
		Login: func(_ context.Context, rw http.ResponseWriter, _ *http.Request, token string) error {
			if users[token] == "" {
				return errToken
			}
			http.SetCookie(rw, auth.SessionCookie(token, time.Now().Add(time.Hour), false))
			return nil
		},
		Logout: func(_ context.Context, rw http.ResponseWriter, _ *http.Request) error {
			http.SetCookie(rw, auth.ClearSessionCookie(false))
			return nil
		},
	}
}

func (w *world) ackAll(ctx context.Context, c transports.Client, ids []string, note string) error {
	var commands []alarm.Command
	for _, id := range ids {
		commands = append(commands, alarm.Command{Op: alarm.Acknowledge, User: c.User, Groups: c.Groups, ID: id, Note: note})
	}
	done, err := w.engine.DoAll(ctx, commands)
	for _, d := range done {
		err = errors.Join(err, d.Err)
	}
	return err
}

func (w *world) look(ctx context.Context, c transports.Client, id, after string) (text, history []byte, err error) {
	a, err := w.engine.Get(ctx, c.User, c.Groups, id)
	if err != nil {
		return nil, nil, err
	}
	changes, next, err := w.engine.History(ctx, c.User, c.Groups, id, after, 5)
	history = []byte(`{"entries":[`)
	for i, change := range changes {
		if i > 0 {
			history = append(history, ',')
		}
		history = change.AppendJSON(history)
	}
	return a.AppendJSON(nil), fmt.Appendf(history, `],"next":%q}`, next), err
}

type action func(context.Context, http.ResponseWriter, *http.Request, page.Visitor, page.Options) error

// handler mounts the page as a server does.
func (w *world) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, act := range map[string]action{
		"GET " + page.Path: page.Serve, "POST " + page.PathAck: page.Acknowledge,
		"GET " + page.PathAlarm: page.ServeAlarm, "POST " + page.PathDo: page.Operate,
		"POST " + page.PathRead: page.Read, "POST " + page.PathLogout: page.Logout,
	} {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			session := auth.SessionToken(r)
			user := users[session]
			if user == "" {
				w.check(page.LoginForm(rw, r, nil))
				return
			}
			v := page.Visitor{Client: transports.Client{User: user}, Session: session}
			if err := act(r.Context(), rw, r, v, w.options()); err != nil {
				w.check(page.Fail(rw, r, page.Problem{Status: statusOf(err), Title: "That did not work", Detail: err.Error()}))
			}
		})
	}
	mux.HandleFunc("POST "+page.PathLogin, func(rw http.ResponseWriter, r *http.Request) {
		err := page.Login(r.Context(), rw, r, w.options())
		switch {
		case errors.Is(err, errToken):
			w.check(page.LoginForm(rw, r, &page.Problem{Status: 401, Title: "The token is not acceptable", Detail: err.Error()}))
		case err != nil:
			w.check(page.Fail(rw, r, page.Problem{Status: statusOf(err), Title: "That did not work", Detail: err.Error()}))
		}
	})
	for _, path := range []string{page.PathStyle, page.PathScript, page.PathIcon} {
		mux.HandleFunc("GET "+path, page.Asset)
	}
	return mux
}

func (w *world) check(err error) {
	if err != nil {
		w.t.Errorf("answer: %v", err)
	}
}

func statusOf(err error) int {
	var param *transports.ParamError
	var large *http.MaxBytesError
	var field *inbox.FieldError
	switch {
	case errors.As(err, &field):
		return http.StatusUnprocessableEntity
	case errors.Is(err, page.ErrOrigin), errors.Is(err, page.ErrCSRF):
		return http.StatusForbidden
	case errors.Is(err, alarm.ErrNotFound):
		return http.StatusNotFound
	case errors.As(err, &param), errors.Is(err, inbox.ErrCursor):
		return http.StatusBadRequest
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError
}

// marks are read marks in memory.
type marks struct {
	inbox.Marks
	w *world
}

func (m marks) Update(_ context.Context, user string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	next, err := change(m.w.marks[user])
	if err == nil {
		m.w.marks[user] = next
	}
	return next, err
}

// publish stores events a second apart, and returns their results.
func (w *world) publish(events ...alarm.Event) []alarm.Result {
	w.t.Helper()
	var results []alarm.Result
	for _, e := range events {
		w.pass(time.Second)
		r := w.engine.Publish(w.t.Context(), "tests", []alarm.Event{e})[0]
		if r.Err != nil {
			w.t.Fatalf("publish %+v: %v", e, r.Err)
		}
		inboxtest.Reach(w.t, w.view, r.Seq)
		results = append(results, r)
	}
	return results
}

func (w *world) raise(device, severity string) alarm.Result {
	w.t.Helper()
	return w.publish(alarm.Event{Device: device, Type: "t", Severity: severity, Message: "of " + device})[0]
}

func (w *world) clear(device string) {
	w.t.Helper()
	w.publish(alarm.Event{Device: device, Type: "t", State: "cleared"})
}

func (w *world) ack(id string) {
	w.t.Helper()
	if _, err := w.engine.Do(w.t.Context(), alarm.Command{Op: alarm.Acknowledge, User: "chief", Groups: []string{"*"}, ID: id}); err != nil {
		w.t.Fatalf("acknowledge %s: %v", id, err)
	}
}

func (w *world) groups(user string, groups ...string) {
	w.t.Helper()
	if err := w.dir.PutUser(w.t.Context(), user, groups); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

// settle waits until the view has all that is stored.
func (w *world) settle() {
	w.t.Helper()
	bounds, err := w.log.Bounds(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	inboxtest.Reach(w.t, w.view, bounds.Last)
}

// do sends a request; header comes in pairs.
func (w *world) do(method, path string, form url.Values, header ...string) *answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	root, err := html.ParseWithOptions(resp.Body, html.ParseOptionEnableScripting(false))
	if err != nil {
		w.t.Fatal(err)
	}
	return &answer{t: w.t, Response: resp, root: root}
}

// get opens a page, which must be the inbox.
func (w *world) get(path string) *answer {
	w.t.Helper()
	a := w.do("GET", path, nil)
	if a.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s: %s", path, a.Status, text(a.root))
	}
	return a
}

// post sends a form as a browser does.
func (w *world) post(path string, form url.Values) *answer {
	w.t.Helper()
	return w.do("POST", path, form, "Origin", w.url)
}

// enter logs in and opens the inbox.
func (w *world) enter() *answer {
	w.t.Helper()
	if a := w.post(page.PathLogin, url.Values{"token": {"token-of-ada"}}); a.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("login: %s: %s", a.Status, text(a.root))
	}
	return w.get(page.Path)
}
