package transporttest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/directory"
	"tocsin/server/httpd"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/metrics"
	"tocsin/server/topics"
	"tocsin/transports"
)

// patience bounds every wait of the scenarios.
const patience = 20 * time.Second

var secret = []byte("a secret of thirty-two bytes, or more")

// A Front stands between the clients and the nodes at these addresses, until the
// test ends, and returns the URL that clients use.
type Front func(t testing.TB, nodes []string) (url string)

// Settings of a world; the zero value is that of most scenarios.
type Settings struct {
	Limits transports.Limits
	Nodes  int           // addresses there are; 0 is one
	Fold   time.Duration // of repeated alarms; 0 folds none
	// Sessions know sessions that are no JWT.
	Sessions []auth.Resolver
}

// A World is a log in memory with nodes on it, behind real sockets, and what
// stands in front of them.
type World struct {
	T           testing.TB
	log         *inbox.MemoryLog
	revocations *bucket
	places      *places
	limits      transports.Limits
	fold        time.Duration
	sessions    []auth.Resolver
	front       string // empty: clients connect to a node that runs
	addresses   []string

	mu    sync.Mutex
	nodes []*node // by address; nil where none runs
	crews atomic.Int64
}

// A node is one start of a server.
type node struct {
	server *httpd.Server
	alarms *alarm.Engine
	dir    *directory.Directory
	view   *inbox.View
	ops    string
	stop   func()
}

// NewWorld starts the first node, and the front unless it is nil.
func NewWorld(t testing.TB, front Front, s Settings) *World {
	t.Helper()
	w := &World{T: t, log: &inbox.MemoryLog{}, revocations: newBucket(), places: newPlaces(), limits: s.Limits, fold: s.Fold, sessions: s.Sessions}
	// Small flushes, so that what comes at once is cut into several.
	w.limits.FlushEntries = limit
	for range max(s.Nodes, 1) {
		w.addresses = append(w.addresses, FreeAddress(t))
	}
	w.nodes = make([]*node, len(w.addresses))
	w.Start(0)
	if front != nil {
		w.front = front(t, w.addresses)
	}
	return w
}

// firstPort and ports are where FreeAddress looks. It is below what a system gives
// to whoever connects: such a port could be taken between two starts of its node.
var (
	firstPort = 15000 + rand.Int64N(10000)
	ports     atomic.Int64
)

// FreeAddress is one of the loopback that nobody listens at.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+ports.Add(1))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Start starts a node at the address of this number, as a new epoch of the log.
func (w *World) Start(number int) {
	w.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	epoch, err := inbox.BeginEpoch(ctx, w.log, time.Now())
	if err != nil {
		w.T.Fatal(err)
	}
	unassigned := []string{"unassigned"}
	n := &node{}
	var stopView func()
	broadcast := topics.New(topics.Options{Log: w.log, Epoch: epoch})
	go broadcast.Run(ctx) // ends with ctx
	n.view, stopView = inboxtest.StartView(w.T, w.log, inbox.ViewOptions{Unassigned: unassigned, Topic: broadcast.Heard, Reloaded: broadcast.Missed})
	verifier, err := auth.New(ctx, auth.Options{HS256: secret, Leeway: -1})
	if err != nil {
		w.T.Fatal(err)
	}
	revocations := auth.NewRevocations(w.revocations, auth.RevocationOptions{})
	n.dir = directory.New(directory.Options{Log: w.log, View: n.view, Epoch: epoch})
	n.alarms = alarm.New(alarm.Options{Log: w.log, View: n.view, Router: n.dir, Epoch: epoch, Unassigned: unassigned, Fold: w.fold})
	n.server, err = httpd.New(httpd.Options{
		View: n.view, Marks: noMarks{}, Auth: &auth.Gate{Verifier: verifier, Revocations: revocations, Sessions: w.sessions},
		Alarms: n.alarms, Directory: n.dir, Metrics: metrics.New(), Limits: w.limits, DrainSpread: -1, Connections: 100,
		Compat: &httpd.Compat{Places: w.places, Stomp: &httpd.Stomp{Topics: broadcast}},
	})
	if err != nil {
		w.T.Fatal(err)
	}
	watched := make(chan struct{})
	go func() { // ends with ctx
		defer close(watched)
		_ = revocations.Run(ctx)
	}()
	<-revocations.Loaded()
	w.serve(number, n, func() {
		cancel()
		<-watched
		stopView()
	})
}

// serve has the node listen; after is what is left when it has been shut down.
func (w *World) serve(number int, n *node, after func()) {
	w.T.Helper()
	public, ops := listen(w.T, w.addresses[number]), listen(w.T, "127.0.0.1:0")
	n.ops = "http://" + ops.Addr().String()
	served := make(chan error, 1)
	go func() { served <- n.server.Serve(public, ops) }() // ends with Shutdown
	n.stop = sync.OnceFunc(func() {
		down, cancelDown := context.WithTimeout(context.Background(), patience)
		defer cancelDown()
		if err := n.server.Shutdown(down); err != nil {
			w.T.Errorf("shut node %d down: %v", number, err)
		}
		if err := <-served; err != nil {
			w.T.Errorf("node %d: %v", number, err)
		}
		after()
	})
	w.T.Cleanup(n.stop)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[number] = n
}

// Stop shuts the node down: it says good-bye to its clients.
func (w *World) Stop(number int) {
	w.mu.Lock()
	n := w.nodes[number]
	w.nodes[number] = nil
	w.mu.Unlock()
	n.stop()
}

// node is the first one that runs.
func (w *World) node() (*node, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, n := range w.nodes {
		if n != nil {
			return n, w.addresses[i]
		}
	}
	return nil, w.addresses[0]
}

// URL is where a client connects now.
func (w *World) URL() string {
	if w.front != "" {
		return w.front
	}
	_, address := w.node()
	return "http://" + address
}

// A Crew is a group with a device and a user, who are nobody else's.
type Crew struct {
	*World
	User, Group, Device string
	said                atomic.Int64
}

// Crew makes one.
func (w *World) Crew() *Crew {
	w.T.Helper()
	k := w.crews.Add(1)
	c := &Crew{World: w, User: fmt.Sprintf("user-%d", k), Group: fmt.Sprintf("group-%d", k), Device: fmt.Sprintf("device-%d", k)}
	c.Join(c.Group)
	n, _ := w.node()
	if err := n.dir.PutDevice(w.T.Context(), c.Device, []string{c.Group}); err != nil {
		w.T.Fatal(err)
	}
	return c
}

// Join puts the user into these groups and no other.
func (c *Crew) Join(groups ...string) {
	c.T.Helper()
	n, _ := c.node()
	if err := n.dir.PutUser(c.T.Context(), c.User, groups); err != nil {
		c.T.Fatal(err)
	}
}

// Token is the user's, with the id, for the time, of which parts of a second are
// cut off.
func (c *Crew) Token(id string, ttl time.Duration) string {
	c.T.Helper()
	return sign(c.T, auth.Issue{User: c.User, ID: id, Scope: "inbox publish", TTL: ttl})
}

func sign(t testing.TB, i auth.Issue) string {
	t.Helper()
	token, err := auth.Sign(secret, i, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Raise raises n alarms of the crew, each one of its own, and returns their
// texts. It may be called by any goroutine.
func (c *Crew) Raise(n int) []string { return c.say("alarm", n) }

func (c *Crew) say(word string, n int) []string {
	node, _ := c.node()
	return c.sayAt(node, word, n)
}

// sayAt publishes at one node.
func (c *Crew) sayAt(node *node, word string, n int) (texts []string) {
	var events []alarm.Event
	for range n {
		k := strconv.FormatInt(c.said.Add(1), 10)
		texts = append(texts, word+" "+k)
		events = append(events, alarm.Event{Device: c.Device, Type: "t", Qualifier: k, Severity: "minor", Message: word + " " + k})
	}
	for _, r := range node.alarms.Publish(c.T.Context(), "publisher", events) {
		if r.Err != nil {
			c.T.Errorf("raise: %v", r.Err)
		}
	}
	return texts
}

// Gauge reads one of the first running node's metrics, 0 if it has none so far.
func (w *World) Gauge(name string) float64 {
	w.T.Helper()
	n, _ := w.node()
	text := w.request(http.MethodGet, n.ops+"/metrics", "", "", http.StatusOK)
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				w.T.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// request sends a request with the token, or none, and wants the status.
func (w *World) request(method, url, token, body string, status int) string {
	w.T.Helper()
	r, err := http.NewRequestWithContext(w.T.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Do(r)
	if err != nil {
		w.T.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		w.T.Errorf("%s %.100s: %d %s, %v, want %d", method, url, resp.StatusCode, text, err, status)
	}
	return string(text)
}
