package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"tocsin/server/internal/streamtest"
)

// A running is a gateway in this process, run as main would.
type running struct {
	http, ops string
	log       *journal
	stop      context.CancelFunc
	code      chan int
}

// A journal is the gateway's standard error; the line "serving" shows when it
// comes.
type journal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	serving chan [2]string
}

func (j *journal) Write(p []byte) (int, error) {
	var line struct{ Msg, HTTP, Ops string }
	if json.Unmarshal(p, &line) == nil && line.Msg == "serving" {
		j.serving <- [2]string{line.HTTP, line.Ops}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// start runs `tocsin serve` on free ports until the test ends or stops it.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{log: &journal{serving: make(chan [2]string, 1)}, stop: stop, code: make(chan int, 1)}
	args = append([]string{"serve", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--log-format", "json", "--drain", "0s", "--admin", "public"}, args...)
	// Ends with ctx, or when the gateway cannot start.
	go func() { r.code <- run(ctx, args, strings.NewReader(""), io.Discard, r.log) }()
	select {
	case a := <-r.log.serving:
		r.http, r.ops = "http://"+a[0], "http://"+a[1]
	case code := <-r.code:
		t.Fatalf("exit code %d:\n%s", code, r.log)
	}
	t.Cleanup(func() { r.end(t) })
	return r
}

// end stops the gateway and wants it to say that all is well.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	code := <-r.code
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.log)
	}
	r.code <- code // for a second call
}

// workplace is a directory with a secret, and the environment of a client who
// may do everything.
func workplace(t *testing.T) (data, secret string) {
	t.Helper()
	dir := t.TempDir()
	secret = filepath.Join(dir, "jwt.key")
	call(t, "", "secret", secret).ok(t)
	token := call(t, "", "token", "--jwt-hs256-file", secret, "--sub", "root", "--groups", "*", "--scope", "inbox publish admin")
	token.ok(t)
	t.Setenv(envToken, token.out)
	return filepath.Join(dir, "data"), secret
}

func TestTheGatewayKeepsWhatWasPublishedAndEveryTransportTellsIt(t *testing.T) {
	data, secret := workplace(t)
	args := []string{"--data", data, "--jwt-hs256-file", secret, "--device-time", timeTrust, "--fold", "0"}
	stream := streamtest.Made(t)
	server := start(t, args...)
	for _, run := range []string{"first", "again"} {
		got := call(t, "", "replay", "--url", server.http, stream.Path)
		got.ok(t)
		var f figures
		if err := json.Unmarshal([]byte(got.out), &f); err != nil {
			t.Fatal(err)
		}
		have := streamtest.Figures{
			Events: f.Events, Occurrences: f.Occurrences, Repeats: f.Repeats, Clears: f.Clears, Orphans: f.Orphans,
			Active: f.Active, Devices: stream.Want.Devices, Groups: stream.Want.Groups,
		}
		if have != stream.Want {
			t.Errorf("the %s time: %+v\nwant %+v", run, have, stream.Want)
		}
	}
	server.end(t)

	server = start(t, args...)
	told := stream.Want.Occurrences + stream.Want.Repeats + stream.Want.Clears
	cursor := filepath.Join(t.TempDir(), "cursor")
	var all []string
	for i, via := range httpWays { // a third each, with one cursor
		n := told / 3
		if i == 0 {
			n += told % 3
		}
		got := call(t, "", "tail", "--url", server.http, "--via", via, "--cursor", "earliest", "--cursor-file", cursor,
			"--count", strconv.Itoa(n), "--interval", "1ms", "--quiet")
		got.ok(t)
		all = append(all, strings.Split(strings.TrimSpace(got.out), "\n")...)
	}
	last := uint64(0)
	for _, line := range all {
		var e struct{ Seq uint64 }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq <= last {
			t.Fatalf("%s after %d: %v", line, last, err)
		}
		last = e.Seq
	}
	if len(all) != told {
		t.Errorf("%d entries, want %d", len(all), told)
	}
	active := call(t, "", "tail", "--url", server.http, "--snapshot", "active", "--count", strconv.Itoa(stream.Want.Active))
	active.ok(t)
	if got := call(t, `{"device":"86","type":"t","severity":"major"}`, "publish", "--url", server.http); got.code != 0 ||
		!strings.Contains(got.out, `"status":"raised"`) {
		t.Errorf("publish: %s%s", got.out, got.err)
	}
}

func TestTheGatewayIsReadyOnItsOperationsPort(t *testing.T) {
	data, secret := workplace(t)
	server := start(t, "--data", data, "--jwt-hs256-file", secret)
	for path, want := range map[string]string{"/readyz": "ok", "/healthz": "ok", "/metrics": "tocsin_storage_full 0"} {
		resp, err := http.Get(server.ops + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %.200s", path, resp.StatusCode, body)
		}
	}
}

func TestTheGatewayRefusesToStartWithAWord(t *testing.T) {
	data, secret := workplace(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "--data", data, "--jwt-hs256-file", secret)
	serve := []string{"serve", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "d"), "--jwt-hs256-file", secret}
	for want, c := range map[string]struct {
		code int
		args []string
	}{
		"in use by another":             {exitFailed, []string{"--data", data}},
		"http: listen tcp":              {exitFailed, []string{"--http", busy.Addr().String()}},
		"ops: listen tcp":               {exitFailed, []string{"--ops", busy.Addr().String()}},
		"not a directory":               {exitFailed, []string{"--data", file}},
		"no such file":                  {exitFailed, []string{"--jwt-hs256-file", file + "x"}},
		"want at least 32":              {exitFailed, []string{"--jwt-hs256-file", file}},
		"want a key to verify":          {exitUsage, []string{"--jwt-hs256-file", ""}},
		`want clamp or trust, not "ot"`: {exitUsage, []string{"--device-time", "ot"}},
	} {
		if got := call(t, "", append(serve, c.args...)...); got.code != c.code || !strings.Contains(got.err, want) || strings.Contains(got.err, "serving") {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s", c.args, got.code, c.code, want, got.err)
		}
	}
}

func TestAnInterruptionWhileStartingIsNoFailure(t *testing.T) {
	data, secret := workplace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var log journal
	if code := run(ctx, []string{"serve", "--http", "127.0.0.1:0", "--ops", "", "--data", data, "--jwt-hs256-file", secret}, nil, io.Discard, &log); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &log)
	}
}
