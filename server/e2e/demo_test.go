package e2e

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	demoAddress = regexp.MustCompile(`(http://127\.0\.0\.1:[0-9]+)/#token=(\S+)`)
)

// demo starts a demonstration and returns the address and the first token that
// it prints.
func demo(t *testing.T, dir string) (base, token string, stop func()) {
	t.Helper()
	cmd := exec.Command(binary, "demo", "--data", dir, "--http", "127.0.0.1:0")
	out := &tailBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
	}
	t.Cleanup(stop)
	ctx, cancel := contextUntil(t, func() bool { return demoAddress.MatchString(out.String()) })
	defer cancel()
	<-ctx.Done()
	m := demoAddress.FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("no address:\n%s", out)
	}
	return m[1], m[2], stop
}

func TestDemoShowsAlarmsArrivingAndGoesOn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	base, token, stop := demo(t, dir)
	if info, err := os.Stat(filepath.Join(dir, "jwt.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret: %v, %v", info.Mode(), err)
	}
	h := &hopper{base: base, token: token, cursor: "earliest", groups: []string{"*"}, hops: map[string]int{}}
	ctx, cancel := contextUntil(t, func() bool { return h.count() >= 16 })
	for ctx.Err() == nil {
		if _, err := h.poll(ctx, url.Values{"cursor": {h.place()}, "wait": {"5"}}); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	cancel()
	if len(h.got) < 16 || len(h.gaps)+len(h.odd) > 0 {
		t.Fatalf("%d alarms, gaps %v, %v", len(h.got), h.gaps, h.odd)
	}
	stop()
	base, _, _ = demo(t, dir)
	a, err := request(t.Context(), "GET", base+"/v1/inbox?cursor="+h.cursor, token, "")
	if err != nil || a.status != 200 || !strings.Contains(a.body, `"gap":null`) {
		t.Errorf("after a restart the old token and cursor give %d %.200s, %v", a.status, a.body, err)
	}
}

// What tail prints over each transport is the same.
func TestTailPrintsTheSameOverEveryTransport(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root := s.root()
	for _, device := range []string{"a", "b", "c"} {
		s.want(s.request("POST", "/v1/alarms", root, `{"device":"`+device+`","type":"t","severity":"major"}`), 202)
	}
	var first string
	for _, via := range []string{"ws", "sse", "longpoll", "poll"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		out, errs, err := s.tocsin(ctx, "tail", "--via", via, "--cursor", "earliest", "--count", "3", "--url", s.url(), "--token", root)
		cancel()
		if err != nil {
			t.Fatalf("%s: %v\n%s", via, err, errs)
		}
		if first == "" {
			first = out
		}
		if out != first || bytes.Count([]byte(out), []byte("\n")) != 3 {
			t.Errorf("over %s:\n%s\nwant\n%s", via, out, first)
		}
	}
}

// A token that was taken back ends what is open with it, held polls too.
func TestRevocationEndsWhatIsOpen(t *testing.T) {
	s := newServer(t)
	ann := s.token("ann", "inbox", "*")
	ended := make(chan string, 8)
	for _, way := range []string{"ws", "sse", "longpoll"} {
		h := newHopper(s, "ann", 1, []string{way}, "*")
		h.token = ann
		h.begin(t)
		go func() { // ends with the revocation
			_ = h.stay(t.Context(), way)
			ended <- way
		}()
	}
	ctx, cancel := contextUntil(t, func() bool {
		a, err := request(t.Context(), "GET", "http://"+s.ops+"/metrics", "", "")
		return err == nil && strings.Contains(a.body, `tocsin_connections{transport="websocket"} 1`) &&
			strings.Contains(a.body, `tocsin_connections{transport="sse"} 1`) && strings.Contains(a.body, `tocsin_connections{transport="longpoll"} 1`)
	})
	<-ctx.Done()
	cancel()
	began := time.Now()
	s.want(s.request("POST", "/v1/revocations", s.root(), `{"sub":"ann"}`), 204)
	for range 3 {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("a connection outlived its token")
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	wantProblem(t, "afterwards", s.request("GET", "/v1/inbox", ann, ""), 401)
	if a := s.request("GET", "/v1/inbox/sse", ann, "", "Last-Event-ID", "x.1.y"); a.status != 204 {
		t.Errorf("a browser that comes again gets %d", a.status)
	}
}

// A ticket opens one connection, once, also when the server is killed in between.
func TestATicketIsGoodOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	take := func() string {
		var answer struct {
			Ticket  string
			Expires int `json:"expires_in"`
		}
		s.want(s.request("POST", "/v1/ticket", s.token("ann", "inbox", "*"), ""), 200).json(t, &answer)
		if answer.Expires != 60 {
			t.Errorf("it expires in %d s", answer.Expires)
		}
		return answer.Ticket
	}
	used, kept := take(), take()
	s.want(s.request("GET", "/v1/inbox?ticket="+used, "", ""), 200)
	wantProblem(t, "a second time", s.request("GET", "/v1/inbox?ticket="+used, "", ""), 401)
	s.kill()
	s.start()
	wantProblem(t, "after a kill", s.request("GET", "/v1/inbox?ticket="+used, "", ""), 401)
	s.want(s.request("GET", "/v1/inbox?ticket="+kept, "", ""), 200)
	wantProblem(t, "and then", s.request("GET", "/v1/inbox?ticket="+kept, "", ""), 401)
	if strings.Contains(s.log.String(), kept) {
		t.Error("the log has a ticket in it")
	}
}
