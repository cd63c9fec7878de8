package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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
		Occurrence int
	}
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
	if way == "sse" {
		return h.sse(ctx)
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
	for i := range max(len(want), len(h.got)) {
		switch {
		case i >= len(want):
			errs = append(errs, fmt.Errorf("entry %d, the %dth, is too many", h.got[i].Seq, i+1))
		case i >= len(h.got):
			errs = append(errs, fmt.Errorf("entry %d, the %dth of %d, is missing", want[i].Seq, i+1, len(want)))
		case h.got[i].Seq != want[i].Seq || h.got[i].Alarm.ID != want[i].Alarm.ID || h.got[i].Alarm.Rev != want[i].Alarm.Rev:
			errs = append(errs, fmt.Errorf("the %dth entry is %d, want %d", i+1, h.got[i].Seq, want[i].Seq))
		default:
			continue
		}
		break
	}
	if len(h.gaps) > 0 {
		errs = append(errs, fmt.Errorf("gaps: %v", h.gaps))
	}
	for _, odd := range h.odd {
		errs = append(errs, errors.New(odd))
	}
	return errors.Join(errs...)
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
			want := 0
			for _, e := range all {
				if h.sees(e) {
					want++
				}
			}
			ready = ready && h.count() >= want
		}
		if ready {
			return
		}
		pause(t.Context(), 50*time.Millisecond)
	}
}
