package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/auth"
)

// How many requests are made of the schemas: in CI, and by TOCSIN_REQUESTS.
const schemaRequests = 20000

// An apiRun sends requests of the schemas to one server, and judges the answers.
type apiRun struct {
	t      *testing.T
	s      *server
	a      *api
	client *http.Client
	known  *known
	people map[string]person
	failed atomic.Int32

	mu   sync.Mutex
	seen map[string]map[int]int // statuses by operation
}

// A person is one of those in whose name requests are sent.
type person struct {
	token  string
	scopes string
}

// TestRequestsMadeOfTheSchemas is the schema-driven run: whatever is asked, there is
// no internal error, no answer that the document does not declare, and nobody gets in
// without the scope that it names.
func TestRequestsMadeOfTheSchemas(t *testing.T) {
	t.Parallel()
	n, seed := schemaRequests, rand.Uint64()
	for name, into := range map[string]func(string) error{
		"TOCSIN_REQUESTS":      func(text string) (err error) { n, err = strconv.Atoi(text); return err },
		"TOCSIN_REQUESTS_SEED": func(text string) (err error) { seed, err = strconv.ParseUint(text, 10, 64); return err },
	} {
		if text := os.Getenv(name); text != "" {
			if err := into(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("TOCSIN_REQUESTS=%d TOCSIN_REQUESTS_SEED=%d", n, seed)
	s := newServer(t)
	run := newAPIRun(t, s)
	began := time.Now()
	const workers = 4
	var all sync.WaitGroup
	for w := range uint64(workers) {
		m := &maker{a: run.a, people: run.people, r: rand.New(rand.NewPCG(seed, w)), known: run.known}
		all.Go(func() { run.work(m, n/workers) }) // ends after its share
	}
	all.Wait()
	took := time.Since(began)
	t.Logf("%d requests in %s", n, took.Round(time.Millisecond))
	run.judge()
	if got := s.request("GET", "/v1/inbox", s.root(), ""); got.status != 200 {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
	if log := s.log.String(); strings.Contains(log, "panicked") {
		t.Errorf("the server's log tells of a panic:\n%s", log)
	}
}

func newAPIRun(t *testing.T, s *server) *apiRun {
	run := &apiRun{t: t, s: s, a: openAPI(), seen: map[string]map[int]int{}, people: map[string]person{},
		known: &known{values: map[string][]string{}},
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
	t.Cleanup(run.client.CloseIdleConnections)
	for who, scopes := range map[string]string{"root": "inbox publish admin", "anna": "inbox", "gateway": "publish", "nobody": "none"} {
		groups := []string{"crew", "fleet-7"}
		if who == "root" {
			groups = []string{"*"}
		}
		run.people[who] = person{s.token(who, scopes, groups...), scopes}
	}
	run.people["stranger"] = person{}
	run.people["liar"] = person{token: run.people["root"].token + "x"}
	for _, one := range []string{"crew", "fleet-7", "night"} {
		run.known.learn("Group", one)
	}
	for _, one := range []string{"anna", "bob", "gateway"} {
		run.known.learn("User", one)
	}
	for i := range 5 {
		run.known.learn("Device", fmt.Sprint("d", i))
		s.want(s.request("PUT", fmt.Sprint("/v1/devices/d", i), run.people["root"].token, `{"groups":["crew"]}`), 200)
	}
	return run
}

func (run *apiRun) work(m *maker, n int) {
	who := []string{"root", "root", "root", "root", "root", "root", "root", "root", "anna", "anna", "gateway", "nobody", "stranger", "liar"}
	for range n {
		if run.failed.Load() > 20 {
			return
		}
		o := pick(m.r, run.a.operations)
		run.one(m, m.request(o, pick(m.r, who)))
	}
}

// one sends a request and judges its answer.
func (run *apiRun) one(m *maker, q *made) {
	got, err := run.send(m, q)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && q.mayHold:
		return // it is held
	case errors.Is(err, errUnsendable):
		return
	case err != nil:
		run.fail("%v: %v", q, err)
		return
	}
	path, _, _ := strings.Cut(q.path, "?")
	if q.flow {
		got.body = "" // a part of it
	}
	if !q.o.ops {
		if err := run.a.check(q.method, path, got); err != nil {
			run.fail("%v\n%v", q, err)
		}
	}
	if q.method == q.o.method {
		run.note(q.o, got.status)
		run.judgeScope(q, got)
	}
	run.learn(got.body)
}

// judgeScope says whether somebody got in without the scope.
func (run *apiRun) judgeScope(q *made, got answer) {
	if q.o.open || q.o.scope == "" || slices.Contains(strings.Fields(run.people[q.who].scopes), q.o.scope) {
		return
	}
	kept := got.status == 401 || got.status == 403 || got.status == 429 || got.status == 503
	// A browser that comes back with a cursor is told to stop.
	kept = kept || got.status == 204 && q.o.path == "/v1/inbox/sse"
	if !kept {
		run.fail("%v\n%s got %d without the scope %s: %.300s", q, q.who, got.status, q.o.scope, got.body)
	}
}

func (run *apiRun) fail(format string, args ...any) {
	if run.failed.Add(1) <= 20 {
		run.t.Errorf(format, args...)
	}
}

func (run *apiRun) note(o *operation, status int) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.seen[o.String()] == nil {
		run.seen[o.String()] = map[int]int{}
	}
	run.seen[o.String()][status]++
}

var errUnsendable = errors.New("it cannot be sent")

// send sends the request with who it says it is from, in one of the ways there are.
func (run *apiRun) send(m *maker, q *made) (answer, error) {
	limit := patience
	if q.mayHold {
		limit = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(run.t.Context(), limit)
	defer cancel()
	base := run.s.url()
	if q.o.ops {
		base = "http://" + run.s.ops
	}
	r, err := http.NewRequestWithContext(ctx, q.method, base+q.path, strings.NewReader(string(q.body)))
	if err != nil {
		return answer{}, errUnsendable
	}
	if r.URL.RawQuery = strings.Trim(r.URL.RawQuery+"&"+q.query, "&"); len(q.body) == 0 && m.chance(50) {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if m.chance(10) && len(q.body) > 0 {
		r.ContentLength = -1 // chunked
	}
	r.Header = q.header
	run.sign(m, q, r)
	resp, err := run.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	got := answer{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return got, nil
	}
	if q.flow && resp.StatusCode == http.StatusOK {
		_, _ = resp.Body.Read(make([]byte, 512))
		return got, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	got.body = string(text)
	return got, err
}

// sign adds what says who is asking.
func (run *apiRun) sign(m *maker, q *made, r *http.Request) {
	token := run.people[q.who].token
	if token == "" {
		return
	}
	query := r.URL.Query()
	if isForm(q.o) && m.chance(70) {
		r.AddCookie(auth.SessionCookie(token, time.Now().Add(time.Hour), false))
		r.Header.Set("Origin", run.s.url())
		return
	}
	switch way := m.r.IntN(20); way {
	case 0:
		query.Set("access_token", token)
		r.URL.RawQuery = query.Encode()
	case 1, 2:
		r.AddCookie(auth.SessionCookie(token, time.Now().Add(time.Hour), false))
		if r.Header.Get("Origin") == "" && way == 1 {
			r.Header.Set("Origin", run.s.url())
		}
	default:
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// answered is what may be asked about next.
var answered = map[string]*regexp.Regexp{
	"AlarmID": regexp.MustCompile(`"id":"([^"\\]+\.[^"\\]+\.[0-9]+\.[0-9a-z]+)"`),
	"Cursor":  regexp.MustCompile(`"cursor":"([^"\\]+)"`),
	"next":    regexp.MustCompile(`"next":"([^"\\]+)"`),
}

func (run *apiRun) learn(body string) {
	if len(body) > 64<<10 {
		body = body[:64<<10]
	}
	for name, pattern := range answered {
		found := pattern.FindStringSubmatch(body)
		switch {
		case found == nil:
		case name == "next":
			run.known.learn("ListAfter", found[1])
			run.known.learn("HistoryAfter", found[1])
		default:
			run.known.learn(name, found[1])
		}
	}
}

// judge says whether the run has reached everything: each operation, and each of them
// with success, but for those that no plain request can make succeed.
func (run *apiRun) judge() {
	for _, o := range run.a.operations {
		seen := run.seen[o.String()]
		good := 0
		for status, n := range seen {
			if status < 400 {
				good += n
			}
		}
		// Sessions of SockJS want what was there before.
		_, socket := o.answers[http.StatusSwitchingProtocols]
		if good == 0 && !(socket && strings.HasPrefix(o.path, "/endpoint-websocket")) {
			run.t.Errorf("%s never succeeded: %v", o, seen)
		}
		run.t.Logf("%-45s %v", o, seen)
	}
}
