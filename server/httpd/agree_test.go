package httpd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	remote "tocsin/server/client"
)

// counters are what every client of a user shows.
type counters struct {
	Unread *int           `json:"unread"`
	Active map[string]int `json:"active"`
}

func (c counters) String() string {
	var words []string
	for _, word := range slices.Sorted(maps.Keys(c.Active)) {
		if n := c.Active[word]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, word))
		}
	}
	if c.Unread != nil {
		words = append(words, fmt.Sprintf("%d unread", *c.Unread))
	}
	return strings.Join(words, ", ")
}

// A watcher is a client that is told: it says what it shows, whenever that is
// told anew.
type watcher struct {
	name  string
	shows chan string
	last  string
}

// take has the counters of a text of the wire, if it has any.
func (w *watcher) take(text []byte) {
	var c counters
	if json.Unmarshal(text, &c) == nil && c.Unread != nil {
		w.shows <- c.String()
	}
}

// until waits until the client shows this.
func (w *watcher) until(t *testing.T, want string) {
	t.Helper()
	late := time.After(patience)
	for w.last != want {
		select {
		case w.last = <-w.shows:
		case <-late:
			t.Fatalf("%s shows %q, want %q", w.name, w.last, want)
		}
	}
}

// dial opens a WebSocket of ada's.
func (w *world) dial() *remote.Socket {
	w.t.Helper()
	conn, err := remote.New(w.url, token(w.t, "ada", "", time.Minute))
	if err != nil {
		w.t.Fatal(err)
	}
	socket, err := conn.Dial(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(socket.Close)
	return socket
}

// socket is one that reads the inbox and can also command.
func (w *world) socket(name string) (*watcher, *remote.Socket) {
	w.t.Helper()
	conn := w.dial()
	say(w.t, conn, `{"op":"start","cursor":"latest"}`)
	watch := &watcher{name: name, shows: make(chan string, 1000)}
	go func() { // ends with the connection
		for {
			text, err := conn.Read(w.t.Context())
			if err != nil {
				return
			}
			watch.take(text)
		}
	}()
	return watch, conn
}

func say(t testing.TB, conn *remote.Socket, text string) {
	t.Helper()
	if err := conn.Write(t.Context(), json.RawMessage(text)); err != nil {
		t.Error(err)
	}
}

// get begins a request of ada's, which ends with the context.
func (w *world) get(ctx context.Context, path, tag string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", w.url+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token(w.t, "ada", "", time.Minute))
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	return http.DefaultClient.Do(r)
}

func (w *world) events(ctx context.Context) *watcher {
	watch := &watcher{name: "sse", shows: make(chan string, 1000)}
	resp, err := w.get(ctx, "/v1/inbox/sse", "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	go func() { // ends with the context
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				watch.take([]byte(data))
			}
		}
	}()
	return watch
}

func (w *world) longPoll(ctx context.Context) *watcher {
	watch := &watcher{name: "long poll", shows: make(chan string, 1000)}
	go func() { // ends with the context
		cursor, tag := "latest", `"none yet"` // so that the first one does not wait
		for {
			resp, err := w.get(ctx, "/v1/inbox?wait=30&cursor="+cursor, tag)
			if err != nil {
				return
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				return
			}
			var page struct{ Cursor string }
			if json.Unmarshal(text, &page) == nil {
				cursor = page.Cursor
			}
			tag = resp.Header.Get("ETag")
			watch.take(text)
		}
	}()
	return watch
}

var counterItem = regexp.MustCompile(`<li class="(\w+)[^"]*"><b>(\d+)</b>`)

// page is what the page shows to whoever looks now.
func (w *world) page() string {
	w.t.Helper()
	c := counters{Active: map[string]int{}}
	for _, m := range counterItem.FindAllStringSubmatch(w.do("GET", "/inbox", "").want(200).body, -1) {
		n, _ := strconv.Atoi(m[2])
		if m[1] == "unread" {
			c.Unread = &n
		} else {
			c.Active[m[1]] = n
		}
	}
	return c.String()
}

// polls is what one who asks is told now.
func (w *world) polls(path string) string {
	w.t.Helper()
	var c counters
	if err := json.Unmarshal([]byte(w.do("GET", path, "").want(200).body), &c); err != nil {
		w.t.Fatal(err)
	}
	return c.String()
}

// A moment is one change, and what every client shows afterwards.
type moment struct {
	name string
	do   func()
	want string
}

// What one client of a user does, all of his others show within 100 ms: over
// every transport, and even where no entry tells of it.
func TestAllClientsOfAUserAgree(t *testing.T) {
	const rounds, bound = 7, 100 * time.Millisecond
	w := newFoldingWorld(t, time.Minute, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	one, first := w.socket("first websocket")
	two, second := w.socket("second websocket")
	watchers := []*watcher{one, two, w.events(ctx), w.longPoll(ctx)}
	for _, watch := range watchers {
		watch.until(t, "0 unread")
	}
	took := map[string][]time.Duration{}
	for round := range rounds {
		for _, m := range w.moments(fmt.Sprintf("d%d", round), first, second) {
			m.do()
			began := time.Now()
			slowest := time.Duration(0)
			for _, watch := range watchers {
				watch.until(t, m.want)
				slowest = max(slowest, time.Since(began))
			}
			took[m.name] = append(took[m.name], slowest)
			for who, shows := range map[string]string{
				"short poll": w.polls("/v1/inbox"), "list": w.polls("/v1/alarms"), "counts": w.polls("/v1/counts"), "page": w.page(),
			} {
				if shows != m.want {
					t.Errorf("%s: the %s shows %q, want %q", m.name, who, shows, m.want)
				}
			}
		}
	}
	for name, all := range took {
		slices.Sort(all)
		t.Logf("%-12s seen by the last after %v in the middle, %v at most", name, all[len(all)/2], all[len(all)-1])
		// Of several times, since others use the machine, too.
		if all[len(all)/2] > bound {
			t.Errorf("%s: seen after %v, want at most %v", name, all, bound)
		}
	}
}

// moments are the life of one alarm, after which nothing is left of it.
func (w *world) moments(device string, first, second *remote.Socket) []moment {
	event := func(members string) func() {
		return func() {
			w.do("POST", "/v1/alarms", `{"device":"`+device+`","type":"overspeed",`+members+`}`).want(202)
		}
	}
	var id string
	return []moment{
		{"raise", func() { id = w.raise(device) }, "1 major, 1 unread"},
		{"quiet change", event(`"severity":"warning"`), "1 warning, 1 unread"},
		{"read", func() { say(w.t, first, `{"op":"read","upto":"latest"}`) }, "1 warning, 0 unread"},
		{"escalation", event(`"severity":"critical"`), "1 critical, 1 unread"},
		{"read of one", func() { w.do("POST", "/v1/inbox/read", `{"ids":["`+id+`"]}`).want(200) }, "1 critical, 0 unread"},
		// A clear alone changes no counter: the alarm waits to be acknowledged.
		{"ack", func() {
			event(`"state":"cleared"`)()
			say(w.t, second, `{"op":"ack","alarm":"`+id+`"}`)
		}, "0 unread"},
		{"unack", func() { w.do("POST", "/v1/alarms/"+url.PathEscape(id)+"/unack", "").want(200) }, "1 critical, 0 unread"},
		{"ack of many", func() { w.do("POST", "/v1/alarms/ack", `{"ids":["`+id+`"]}`).want(200) }, "0 unread"},
	}
}
