package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
		Groups     []string
		Message    string
		Type       string
		Occurrence int
	}

	// page is set for what a page showed in place of entries.
	page *span
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

	mu     sync.Mutex
	cursor string
	got    []entry
	gaps   []string
	odd    []string // what should not have come
	hops   map[string]int
}

func newHopper(s *server, user string, seed uint64, ways []string, groups ...string) *hopper {
	return &hopper{base: s.url(), user: user, token: s.token(user, "inbox", groups...), groups: groups,
		rng: rand.New(rand.NewPCG(seed, 7)), ways: ways, hops: map[string]int{}}
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
			pause(ctx, 20*time.Millisecond)
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
		h.gaps = append(h.gaps, page.Gap.Reason)
	}
	h.got = append(h.got, page.Entries...)
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
			h.got, h.cursor = append(h.got, f.Entries...), f.Cursor
		case "gap":
			h.gaps = append(h.gaps, f.Gap.Reason)
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
		pause(ctx, 50*time.Millisecond)
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
		h.got = append(h.got, e)
	case "gap":
		var gap struct{ Reason string }
		_ = json.Unmarshal([]byte(data), &gap)
		h.gaps = append(h.gaps, gap.Reason)
	}
	if id != "" {
		h.cursor = id
	}
	if h.listen != nil {
		h.listen(event, data)
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

// check compares what came with what should have, entry for entry.
func (h *hopper) check(all []entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	var want []entry
	for _, e := range all {
		if h.sees(e) {
			want = append(want, e)
		}
	}
	left, err := match(want, h.got)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("entry %d, and %d more of %d, are missing", left[0].Seq, len(left)-1, len(want))
	}
	errs = append(errs, err)
	if len(h.gaps) > 0 {
		errs = append(errs, fmt.Errorf("gaps: %v", h.gaps))
	}
	for _, odd := range h.odd {
		errs = append(errs, errors.New(odd))
	}
	return errors.Join(errs...)
}

// checkAll checks the hoppers, who have stopped, and says how they travelled.
func checkAll(t *testing.T, hoppers []*hopper, all []entry) {
	t.Helper()
	hops := map[string]int{}
	for _, h := range hoppers {
		if err := h.check(all); err != nil {
			t.Errorf("%s (%v): %v", h.user, h.groups, err)
		}
		for way, n := range h.hops {
			hops[way] += n
		}
	}
	t.Logf("%d entries, stays by transport: %v", len(all), hops)
}

// match takes off want what came, and says where the two part.
func match(want, got []entry) (left []entry, err error) {
	for i, g := range got {
		if g.page != nil {
			shown := map[string]bool{}
			for ; len(want) > 0 && want[0].Seq <= g.page.upto; want = want[1:] {
				shown[want[0].Alarm.Device+"/"+want[0].Alarm.Type] = true
			}
			if len(shown) != g.page.marks {
				return want, fmt.Errorf("the page up to %d, the %dth reading, marks %d alarms, want %d", g.page.upto, i+1, g.page.marks, len(shown))
			}
			continue
		}
		switch {
		case len(want) == 0:
			return nil, fmt.Errorf("entry %d, the %dth reading, is too many", g.Seq, i+1)
		case g.Seq != want[0].Seq || g.Alarm.ID != want[0].Alarm.ID || g.Alarm.Rev != want[0].Alarm.Rev:
			return want, fmt.Errorf("the %dth reading is %d, want %d", i+1, g.Seq, want[0].Seq)
		}
		want = want[1:]
	}
	return want, nil
}

// everything reads the whole log's entries as one who sees all of them.
func everything(t *testing.T, s *server) []entry {
	t.Helper()
	h := newHopper(s, "recorder", 1, nil, "*")
	h.cursor = "earliest"
	for {
		more, err := h.poll(t.Context(), url.Values{"cursor": {h.cursor}, "limit": {"1000"}})
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	if len(h.gaps) > 0 || len(h.odd) > 0 {
		t.Fatalf("reading everything: gaps %v, %v", h.gaps, h.odd)
	}
	return h.got
}

// settle waits until every hopper has as many entries as it should, or the time
// is up; check says what is wrong.
func settle(t *testing.T, hoppers []*hopper, all []entry) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		ready := true
		for _, h := range hoppers {
			last := uint64(0)
			for _, e := range all {
				if h.sees(e) {
					last = e.Seq
				}
			}
			c, err := inbox.ParseCursor(h.place())
			ready = ready && err == nil && c.Mode == inbox.Plain && c.Seq >= last
		}
		if ready {
			return
		}
		pause(t.Context(), 50*time.Millisecond)
	}
}
