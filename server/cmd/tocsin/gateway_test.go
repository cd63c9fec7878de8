package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A gateway is as much of a server as the client commands need: it keeps the
// rule of identity (device, type), remembers ids, and serves one inbox.
type gateway struct {
	t  *testing.T
	mu sync.Mutex
	// lose makes the nth request of a path fail after it was done.
	lose    func(path string, n int) bool
	asked   map[string]int
	outcome map[string]string // by id
	active  map[string]bool
	groups  map[string]string
	entries []string
}

// newGateway starts the gateway and points the client commands at it.
func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, asked: map[string]int{}, outcome: map[string]string{}, active: map[string]bool{}, groups: map[string]string{}}
	g.lose = func(string, int) bool { return false }
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/alarms", g.alarms)
	mux.HandleFunc("POST /v1/directory", g.directory)
	mux.HandleFunc("GET /v1/inbox", g.page)
	mux.HandleFunc("GET /v1/inbox/sse", g.stream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"title":"Unauthorized","detail":"the token has expired"}`)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked[r.URL.Path]++
		mux.ServeHTTP(w, r)
		if g.lose(r.URL.Path, g.asked[r.URL.Path]) {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv(envURL, server.URL)
	t.Setenv(envToken, "good")
	return g
}

func (g *gateway) alarms(w http.ResponseWriter, r *http.Request) {
	var results []map[string]any
	in := bufio.NewScanner(r.Body)
	in.Buffer(nil, maxLine)
	for n := 0; in.Scan(); n++ {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil || e.Type == "" {
			results = append(results, map[string]any{"status": "rejected", "problem": map[string]any{"status": 422, "title": "Invalid", "detail": "type: required"}})
			continue
		}
		if e.ID == "" {
			e.ID = r.Header.Get("Idempotency-Key") + "/" + strconv.Itoa(n)
		}
		status, duplicate := g.outcome[e.ID]
		if !duplicate {
			status = g.decide(e)
			g.outcome[e.ID] = status
			g.entries = append(g.entries, in.Text())
		}
		results = append(results, map[string]any{"id": e.Device, "status": status, "duplicate": duplicate})
	}
	if len(results) == 1 && results[0]["status"] == "rejected" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(results[0]["problem"])
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
}

func (g *gateway) decide(e event) string {
	key := e.Device + "/" + e.Type
	was := g.active[key]
	g.active[key] = e.State != "cleared"
	switch {
	case e.State != "cleared" && was:
		return "repeated"
	case e.State != "cleared":
		return "raised"
	case was:
		return "cleared"
	}
	return "orphan"
}

func (g *gateway) directory(w http.ResponseWriter, r *http.Request) {
	report := map[string]any{}
	lines, devices := 0, 0
	refused := []map[string]any{}
	in := bufio.NewScanner(r.Body)
	for in.Scan() {
		lines++
		var l struct {
			Device string
			Groups []string
		}
		if err := json.Unmarshal(in.Bytes(), &l); err != nil || l.Device == "" {
			refused = append(refused, map[string]any{"line": lines, "detail": "want either a device or a user"})
			continue
		}
		devices++
		g.groups[l.Device] = strings.Join(l.Groups, ",")
	}
	report["lines"], report["devices"], report["changed"] = lines, devices, devices
	report["rejected"], report["refused"] = len(refused), refused
	_ = json.NewEncoder(w).Encode(report)
}

// after is the position that a cursor stands for.
func (g *gateway) after(cursor string) int {
	if cursor == "" || cursor == "latest" {
		return len(g.entries)
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(cursor, "c")) // earliest is 0
	return n
}

func (g *gateway) page(w http.ResponseWriter, r *http.Request) {
	from := g.after(r.URL.Query().Get("cursor"))
	limit := 3
	if n, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil {
		limit = min(n, limit)
	}
	to := min(from+limit, len(g.entries))
	_, _ = fmt.Fprintf(w, `{"entries":[%s],"cursor":"c%d","more":%v,"interval":1}`,
		strings.Join(g.entries[from:to], ","), to, to < len(g.entries))
}

func (g *gateway) stream(w http.ResponseWriter, r *http.Request) {
	cursor := r.Header.Get("Last-Event-ID")
	if cursor == "" {
		cursor = r.URL.Query().Get("cursor")
	}
	from := g.after(cursor)
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "retry: 1\nevent: hello\nid: c%d\ndata: {}\n\n", from)
	for i, e := range g.entries[from:] {
		_, _ = fmt.Fprintf(w, "id: c%d\ndata: %s\n\n", from+i+1, e)
		if i == 2 {
			return // a short stream, so that every tail has to come back
		}
	}
}

// httpWays are the ways that the stand-in for a server speaks; the others are
// tried on the real one, in package e2e.
var httpWays = []string{"sse", "longpoll", "poll"}
