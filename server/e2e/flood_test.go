package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tocsin/server/internal/streamtest"
)

// A flood is one as counters tell it; its zero value is none.
type flood struct {
	Since time.Time
	Quiet int
}

func (f flood) is(g flood) bool { return f.Since.Equal(g.Since) && f.Quiet == g.Quiet }

// floodsOf is rule 6 as it is written: what holds before the first new alarm of a
// stream of raises without escalations, and after each.
func floodsOf(lines []streamtest.Line) (floods []flood) {
	const span = 10 * time.Minute
	var now flood
	var times []time.Time
	floods = append(floods, now)
	known := map[string]bool{}
	for _, l := range lines {
		if known[keyOf(l)] {
			continue
		}
		known[keyOf(l)] = true
		// The alarm itself is one of those of the last ten minutes.
		if n := len(times); !now.Since.IsZero() && l.Time.Sub(times[n-5]) > span {
			now = flood{}
		}
		times = append(times, l.Time)
		if n := len(times); now.Since.IsZero() && n > 10 && l.Time.Sub(times[n-11]) <= span {
			now.Since = l.Time
		}
		if quiet := l.Severity == "minor" || l.Severity == "warning"; quiet && !now.Since.IsZero() {
			now.Quiet++
		}
		floods = append(floods, now)
	}
	return floods
}

func keyOf(l streamtest.Line) string { return l.Device + "/" + l.Type }

// A crier notes the floods that a client hears of.
type crier struct {
	*hopper
	heard []heard
}

// A heard is what was told of floods when so many new alarms had been told.
type heard struct {
	alarms int
	flood  flood
}

func newCrier(t *testing.T, s *server, way string) *crier {
	c := &crier{hopper: newHopper(s, "ann", 1, nil, "*")}
	c.begin(t)
	c.listen = func(what, text string) {
		if what != "hello" && what != "entries" && what != "counts" {
			return
		}
		var counts struct{ Flood flood }
		if err := json.Unmarshal([]byte(text), &counts); err != nil {
			c.odd = append(c.odd, text)
			return
		}
		c.heard = append(c.heard, heard{len(c.raised()), counts.Flood})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	reading.Go(func() { _ = c.stay(ctx, way) }) // ends with the test
	t.Cleanup(func() { cancel(); reading.Wait() })
	return c
}

// raised are the new alarms that were told; for one who holds the lock.
func (c *crier) raised() (alarms []string) {
	for _, e := range c.got {
		if e.Type == "alarm.raised" {
			alarms = append(alarms, e.Alarm.Device+"/"+e.Alarm.Type)
		}
	}
	return alarms
}

// done says whether as many alarms were told, and the flood of the end.
func (c *crier) done(alarms int, last flood) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.heard)
	return n > 0 && len(c.raised()) >= alarms && c.heard[n-1].flood.is(last)
}

// check holds what was told against the rule. Counters may be ahead of the entries
// and never behind; where nothing new comes, a flood may end by the server's clock
// before the alarm that shows its end.
func (c *crier) check(t *testing.T, want []flood) {
	t.Helper()
	at, begun, ended := 0, 0, 0
	var was flood
	for _, h := range c.heard {
		at = max(at, h.alarms)
		for at < len(want) && !h.flood.is(want[at]) {
			over := at+1 < len(want) && !want[at+1].Since.Equal(want[at].Since)
			if h.flood.Since.IsZero() && over {
				break
			}
			at++
		}
		if at == len(want) {
			t.Fatalf("after %d alarms %+v was told, which is true nowhere from there", h.alarms, h.flood)
		}
		switch {
		case h.flood.Since.IsZero() && !was.Since.IsZero():
			ended++
		case !h.flood.Since.IsZero() && !h.flood.Since.Equal(was.Since):
			begun++
		}
		was = h.flood
	}
	floods, ends := 0, 0
	for i, f := range want[1:] {
		switch {
		case f.Since.IsZero() && !want[i].Since.IsZero():
			ends++
		case !f.Since.IsZero() && !f.Since.Equal(want[i].Since):
			floods++
		}
	}
	t.Logf("%d counters: %d floods begin of %d, %d end of %d", len(c.heard), begun, floods, ended, ends)
	if begun != floods || ended != ends || floods < 2 || ends < 1 {
		t.Errorf("%d floods were told of %d, and %d ends of %d", begun, floods, ended, ends)
	}
	if len(c.gaps) > 0 || len(c.odd) > 0 {
		t.Errorf("gaps %v, %v", c.gaps, c.odd)
	}
}

// madeFloods are two floods, and then some lone alarms; the same alarms are raised
// again and again meanwhile.
func madeFloods(t *testing.T) streamtest.Stream {
	s := streamtest.Stream{Name: "made floods", Path: filepath.Join(t.TempDir(), "floods.jsonl")}
	at := time.Date(2020, 2, 29, 23, 0, 0, 0, time.UTC)
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	raise := func(n int, after time.Duration) {
		at = at.Add(after)
		l := streamtest.Line{Time: at, Device: fmt.Sprint("d", n), Group: "fleet", Type: "t", State: "raised", Message: "again",
			Severity: []string{"minor", "critical", "warning", "major", "indeterminate"}[n%5]}
		s.Lines = append(s.Lines, l)
		if err := out.Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range 2 {
		for range 25 {
			raise(n, 15*time.Second)
			raise(n/2, 5*time.Second)
			n++
		}
		for range 6 {
			raise(n, 5*time.Minute)
			n++
		}
	}
	if err := os.WriteFile(s.Path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// opening is the stream up to a time after its beginning.
func opening(t *testing.T, s streamtest.Stream, span time.Duration) streamtest.Stream {
	end := s.Lines[0].Time.Add(span)
	n := slices.IndexFunc(s.Lines, func(l streamtest.Line) bool { return l.Time.After(end) })
	text, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	s.Path = filepath.Join(t.TempDir(), filepath.Base(s.Path))
	if err := os.WriteFile(s.Path, bytes.Join(lines[:n], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Lines = s.Lines[:n]
	return s
}

// Real floods, a thousand times as fast as they were: the first eight hours of the
// microwave network have nine, one of them with four hundred alarms in ten minutes.
func TestRule6FloodsAreToldAndLoseNothing(t *testing.T) {
	const speed = "1000"
	streams := []streamtest.Stream{madeFloods(t)}
	for _, s := range streamtest.Streams(t) {
		if s.Name == "microwave" {
			streams = append(streams, opening(t, s, 29_000*time.Second))
		}
	}
	for _, stream := range streams {
		for _, fold := range []string{"0", "1m"} {
			t.Run(stream.Name+" fold "+fold, func(t *testing.T) {
				t.Parallel()
				replayFlood(t, stream, speed, fold)
			})
		}
	}
}

func replayFlood(t *testing.T, stream streamtest.Stream, speed, fold string) {
	s := newServer(t, "--device-time", "trust", "--fold", fold)
	criers := map[string]*crier{"ws": newCrier(t, s, "ws"), "sse": newCrier(t, s, "sse")}
	if _, err := replay(t.Context(), s, stream.Path, "--speed", speed); err != nil {
		t.Fatal(err)
	}
	want, counts := floodsOf(stream.Lines), map[string]int{}
	var order []string
	for _, l := range stream.Lines {
		if counts[keyOf(l)]++; counts[keyOf(l)] == 1 {
			order = append(order, keyOf(l))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for way, c := range criers {
		waitFor(ctx, nil, func() bool { pause(ctx, 20*time.Millisecond); return c.done(len(order), want[len(want)-1]) })
		c.mu.Lock()
		t.Log(way)
		c.check(t, want)
		if got := c.raised(); !slices.Equal(got, order) {
			t.Errorf("%s: %d alarms were told, and not the %d of the stream in their order", way, len(got), len(order))
		}
		if fold == "0" && len(c.got) != len(stream.Lines) {
			t.Errorf("%s: %d entries were told, want %d", way, len(c.got), len(stream.Lines))
		}
		c.mu.Unlock()
	}
	if got := listed(t, s); fmt.Sprint(got) != fmt.Sprint(counts) {
		t.Errorf("the list has %d alarms, want %d: %v", len(got), len(counts), got)
	}
}

// listed is how often each alarm of the list was raised.
func listed(t *testing.T, s *server) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for query := "?limit=100"; ; {
		var page struct {
			Alarms []struct {
				Device, Type string
				Count        int
			}
			Next  string
			Total int
		}
		s.want(s.request("GET", "/v1/alarms"+query, s.token("ann", "inbox", "*"), ""), 200).json(t, &page)
		for _, a := range page.Alarms {
			counts[a.Device+"/"+a.Type] += a.Count
		}
		if page.Next == "" {
			if page.Total != len(counts) {
				t.Errorf("a total of %d, but %d alarms", page.Total, len(counts))
			}
			return counts
		}
		query = "?limit=100&after=" + url.QueryEscape(page.Next)
	}
}
