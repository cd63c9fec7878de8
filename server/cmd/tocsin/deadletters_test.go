package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDeadLettersAreATableOrLines(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/deadletters" || r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if got := r.URL.Query().Get("limit"); got != "20" && got != "2" {
			t.Errorf("limit %q", got)
		}
		_, _ = w.Write([]byte(`{"letters":[
			{"time":"2026-11-21T02:00:00.250Z","door":"mqtt","publisher":"anna","device":"d1","problem":"type: required","body":"{\"a\":\n\"\u001b[31m<` + strings.Repeat("x", 99) + `\"}"},
			{"time":"2026-11-21T01:00:00.250Z","door":"alertmanager","publisher":"bob","problem":"bad","body_base64":"/wAB"}]}`))
	}))
	t.Cleanup(server.Close)
	t.Setenv(envURL, server.URL)
	t.Setenv(envToken, "good")
	got := call(t, "", "deadletters")
	got.ok(t)
	lines := strings.Split(strings.TrimRight(got.out, "\n"), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "TIME ") || strings.Contains(got.out, "\x1b") ||
		!strings.Contains(lines[1], "mqtt ") || !strings.HasSuffix(lines[1], "x…") || !strings.Contains(lines[2], "-  ") || !strings.Contains(lines[2], "3 bytes that are no text") {
		t.Errorf("it prints\n%s", got.out)
	}
	got = call(t, "", "deadletters", "--json", "--limit", "2")
	got.ok(t)
	lines = strings.Split(strings.TrimRight(got.out, "\n"), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"body":"{\"a\":\n\"\u001b[31m<x`) || !strings.Contains(lines[1], `"body_base64":"/wAB"`) || strings.Contains(lines[1], "device") {
		t.Errorf("it prints\n%s", got.out)
	}
	for _, limit := range []string{"0", "1001"} {
		if got := call(t, "", "deadletters", "--limit", limit); got.code != exitUsage {
			t.Errorf("--limit %s: exit code %d: %s", limit, got.code, got.err)
		}
	}
	if got := call(t, "", "deadletters", "--token", "bad"); got.code != exitFailed || !strings.Contains(got.err, "401") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
}
