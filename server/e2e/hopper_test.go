package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/client"
	"tocsin/server/inbox"
)

// An entry as a client sees it.
type entry struct {
	Seq   uint64
	Type  string
	Alarm struct {
		ID         string
		Rev        uint64
		Device     string
		Active     bool
		Acked      bool
		Groups     []string
		Message    string
		Type       string
		Occurrence int
	}

	// page is set for what a page showed in place of entries.
	page *span
	// gap is set for a gap, of one who keeps their places.
	gap string
}

// A span is what one refresh of the page stands for: all that came up to a
// sequence, as so many marked rows.
type span struct {
	upto  uint64
	marks int
}

// A hopper reads one user's inbox over one transport after the other, cut off
// at random moments, and always goes on from the last cursor it has.
type hopper struct {
	base   string
	user   string
	token  string
	groups []string
	rng    *rand.Rand
	ways   []string
	bases  []string                // unless empty, each stay is at one of these by chance
	listen func(what, text string) // to each event or frame, after it was taken; nil for nobody
	places bool                    // gaps stand where they came, among the entries
	came   func(e entry)           // to each entry but a page's, as it comes; nil for nobody
	rest   time.Duration           // between polls that find nothing, and twice and a half that between pages
	passes func(e entry) bool      // entries that it does not look at; nil for none

	mu     sync.Mutex
	cursor string
	got    []entry
	gaps   []string
	odd    []string // what should not have come
	hops   map[string]int
}

func newHopper(s *server, user string, seed uint64, ways []string, groups ...string) *hopper {
	return &hopper{base: s.url(), user: user, token: s.token(user, "inbox", groups...), groups: groups,
		rng: rand.New(rand.NewPCG(seed, 7)), ways: ways, rest: 20 * time.Millisecond, hops: map[string]int{}}
}

// sees says whether an entry belongs to the hopper's inbox.
func (h *hopper) sees(e entry) bool {
	return slices.ContainsFunc(h.groups, func(g string) bool { return g == "*" || slices.Contains(e.Alarm.Groups, g) })
}

// begin takes the place from which the hopper reads.
func (h *hopper) begin(t *testing.T) {
	t.Helper()
	a, err := request(t.Context(), "GET", h.base+"/v1/inbox", h.token, "")
	if err != nil || a.status != 200 {
		t.Fatalf("%s begins: %d %s, %v", h.user, a.status, a.body, err)
	}
	var page struct{ Cursor string }
	a.json(t, &page)
	h.cursor = page.Cursor
}

// run hops until the context ends; each stay is cut after up to stay.
func (h *hopper) run(ctx context.Context, stay time.Duration) {
	for ctx.Err() == nil {
		way := h.ways[h.rng.IntN(len(h.ways))]
		if len(h.bases) > 0 {
			h.base = h.bases[h.rng.IntN(len(h.bases))]
		}
		cut, cancel := context.WithTimeout(ctx, 1+time.Duration(h.rng.Int64N(int64(stay))))
		err := h.stay(cut, way)
		cancel()
		h.mu.Lock()
		h.hops[way]++
		h.mu.Unlock()
		if err != nil && cut.Err() == nil {
			pause(ctx, 10*time.Millisecond) // the server is away
		}
	}
}

// stay reads over one transport until the context ends or the server does.
func (h *hopper) stay(ctx context.Context, way string) error {
	switch way {
	case "sse":
		return h.sse(ctx)
	case "ws":
		return h.ws(ctx)
	case "page":
		return h.page(ctx)
	}
	for ctx.Err() == nil {
		q := url.Values{"cursor": {h.place()}, "limit": {fmt.Sprint(1 + h.rng.IntN(60))}}
		if way == "longpoll" {
			q.Set("wait", "5")
		}
		more, err := h.poll(ctx, q)
		if err != nil {
			return err
		}
		if way == "poll" && !more {
			pause(ctx, h.rest)
		}
	}
	return nil
}

func (h *hopper) place() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cursor
}

func (h *hopper) open(ctx context.Context, path string, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", h.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusBadGateway {
			h.complain(fmt.Sprintf("%s: %d %s", path, resp.StatusCode, text))
		}
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp, nil
}

func (h *hopper) poll(ctx context.Context, q url.Values) (more bool, err error) {
	resp, err := h.open(ctx, "/v1/inbox?"+q.Encode())
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	var page struct {
		Entries []entry
		Cursor  string
		More    bool
		Gap     *struct{ Reason string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return false, err // cut in the middle: the old cursor holds
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if page.Gap != nil {
		h.lost(page.Gap.Reason)
	}
	h.add(page.Entries...)
	h.cursor = page.Cursor
	return page.More, nil
}

// ws reads frames; one that is cut off does not count.
func (h *hopper) ws(ctx context.Context) error {
	c, err := client.New(h.base, h.token)
	if err != nil {
		return err
	}
	s, err := c.Dial(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Write(ctx, map[string]string{"op": "start", "cursor": h.place()}); err != nil {
		return err
	}
	for {
		text, err := s.Read(ctx)
		if err != nil {
			return err
		}
		var f struct {
			Op, Cursor string
			Entries    []entry
			Gap        struct{ Reason string }
		}
		if err := json.Unmarshal(text, &f); err != nil {
			h.complain(string(text))
			return err
		}
		h.mu.Lock()
		switch f.Op {
		case "entries":
			h.add(f.Entries...)
			h.cursor = f.Cursor
		case "gap":
			h.lost(f.Gap.Reason)
		}
		if h.listen != nil {
			h.listen(f.Op, string(text))
		}
		h.mu.Unlock()
	}
}

var (
	nextPage  = regexp.MustCompile(`<meta http-equiv="refresh" content="[0-9]+; url=/inbox\?cursor=([^"]*)">`)
	sinceLast = regexp.MustCompile(`Since the last refresh: ([^<]*)\.`)
	number    = regexp.MustCompile(`[0-9]+`)
)

// page refreshes the page for people without script, as a browser would.
func (h *hopper) page(ctx context.Context) error {
	for ctx.Err() == nil {
		resp, err := h.open(ctx, "/inbox?cursor="+url.QueryEscape(h.place()))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		m := nextPage.FindSubmatch(text)
		if m == nil {
			h.complain("a page without a refresh: " + string(text))
			return nil
		}
		c, err := inbox.ParseCursor(string(m[1]))
		if err != nil {
			h.complain(err.Error())
			return nil
		}
		s := &span{upto: c.Seq}
		if since := sinceLast.FindSubmatch(text); since != nil {
			for _, n := range number.FindAll(since[1], -1) {
				k, _ := strconv.Atoi(string(n))
				s.marks += k
			}
		}
		h.mu.Lock()
		if i := bytes.Index(text, []byte("<strong>Gap: ")); i >= 0 {
			h.gaps = append(h.gaps, string(text[i:i+200]))
		}
		h.got, h.cursor = append(h.got, entry{page: s}), string(m[1])
		h.mu.Unlock()
		pause(ctx, h.rest*5/2)
	}
	return nil
}

func (h *hopper) sse(ctx context.Context) error {
	resp, err := h.open(ctx, "/v1/inbox/sse", "Last-Event-ID", h.place())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	var event, id, data string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			data += value
		case "":
			if line == "" {
				h.take(event, id, data)
				event, id, data = "", "", ""
			}
		}
	}
}

// take handles one event; what is cut off in the middle never comes here.
func (h *hopper) take(event, id, data string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch event {
	case "":
		var e entry
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			h.odd = append(h.odd, data)
			return
		}
		h.add(e)
	case "gap":
		var gap struct{ Reason string }
		_ = json.Unmarshal([]byte(data), &gap)
		h.lost(gap.Reason)
	}
	if id != "" {
		h.cursor = id
	}
	if h.listen != nil {
		h.listen(event, data)
	}
}

// add notes what has come.
func (h *hopper) add(entries ...entry) {
	h.got = append(h.got, entries...)
	for _, e := range entries {
		if h.came != nil {
			h.came(e)
		}
	}
}

// lost notes a gap.
func (h *hopper) lost(reason string) {
	h.gaps = append(h.gaps, reason)
	if h.places {
		h.got = append(h.got, entry{gap: reason})
	}
}

func (h *hopper) complain(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.odd = append(h.odd, what)
}

// count is how many entries have come.
func (h *hopper) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}
