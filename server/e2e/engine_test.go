package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// contextUntil is a context that ends once it holds, or with patience.
func contextUntil(t *testing.T, holds func() bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	go func() { // ends with the context
		waitFor(ctx, nil, holds)
		cancel()
	}()
	return ctx, cancel
}

func TestASecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	args := s.args()
	for i, a := range args {
		if a == "--http" || a == "--ops" {
			args[i+1] = "127.0.0.1:0"
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") || !strings.Contains(string(out), s.data()) {
		t.Errorf("%v: %s", err, out)
	}
	s.want(s.request("GET", "/v1/inbox", s.root(), ""), 200)
}

func TestTerminatedServersDrainAndKeepEverything(t *testing.T) {
	s := newServer(t)
	root := s.root()
	s.want(s.request("POST", "/v1/alarms", root, `{"device":"d","type":"t","severity":"major"}`), 202)
	h := newHopper(s, "ann", 1, []string{"sse"}, "*")
	h.cursor = "earliest"
	ctx, cancel := contextUntil(t, func() bool { return h.count() > 0 })
	h.run(ctx, time.Second)
	cancel()
	s.signal(syscall.SIGTERM)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.log)
	}
	s.start()
	if all := everything(t, s); len(all) != 1 {
		t.Errorf("%d entries after the restart", len(all))
	}
}

// Below the reserve of free space publishers get 503 and readers go on; when
// there is space again, publishing goes on too.
func TestStorageFull(t *testing.T) {
	probe := t.TempDir()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(probe, &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	// Much, so that what others write to this disk meanwhile makes no difference.
	ballast := min(4<<30, free/2)
	s := newServer(t, "--reserve", fmt.Sprint(free-ballast/2))
	root := s.root()
	s.want(s.request("POST", "/v1/alarms", root, `{"device":"d","type":"t","severity":"major"}`), 202)
	file, err := os.Create(filepath.Join(probe, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := syscall.Fallocate(int(file.Fd()), 0, 0, ballast); err != nil {
		t.Fatalf("take %d bytes of the disk: %v", ballast, err)
	}
	var last answer
	publishes := func(status int) func() bool {
		return func() bool {
			last = s.request("POST", "/v1/alarms", root, `{"device":"e","type":"t","severity":"minor"}`)
			return last.status == status
		}
	}
	ctx, cancel := contextUntil(t, publishes(503))
	<-ctx.Done()
	cancel()
	wantProblem(t, "publishing", last, 503, "storage-full")
	if last.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.want(s.request("GET", "/v1/inbox?cursor=earliest", root, ""), 200)
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = contextUntil(t, publishes(202))
	<-ctx.Done()
	cancel()
	if last.status != 202 {
		t.Errorf("with space again: %d %s", last.status, last.body)
	}
}

func TestOperationsListener(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for path, word := range map[string]string{"/healthz": "", "/readyz": "", "/metrics": "go_goroutines", "/debug/pprof/": "goroutine"} {
		a, err := request(t.Context(), "GET", "http://"+s.ops+path, "", "")
		if err != nil || a.status != 200 || !strings.Contains(a.body, word) {
			t.Errorf("%s: %d %.100s, %v", path, a.status, a.body, err)
		}
		if a := s.request("GET", path, "", ""); a.status == 200 {
			t.Errorf("%s is on the public listener", path)
		}
	}
}

func TestDirectoryReachesOpenReaders(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root := s.root()
	s.want(s.request("PUT", "/v1/devices/d", root, `{"groups":["fleet"]}`), 200)
	s.want(s.request("POST", "/v1/alarms", root, `{"device":"d","type":"t","severity":"major","message":"in fleet"}`), 202)
	s.want(s.request("POST", "/v1/alarms", root, `{"device":"unknown","type":"t","severity":"minor","message":"nobody's"}`), 202)
	h := newHopper(s, "ann", 1, []string{"sse"})
	h.groups = []string{"fleet"}
	h.begin(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go h.run(ctx, patience) // ends with the context
	until := func(what string, holds func() bool) {
		t.Helper()
		waitFor(ctx, nil, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return holds() })
		if ctx.Err() != nil {
			t.Fatalf("%s did not come: %+v, gaps %v", what, h.got, h.gaps)
		}
	}
	s.want(s.request("PUT", "/v1/users/ann", root, `{"groups":["fleet"]}`), 200)
	until("joining", func() bool { return len(h.gaps) == 1 && len(h.got) == 1 && h.got[0].Alarm.Message == "in fleet" })
	s.want(s.request("PUT", "/v1/devices/unknown", root, `{"groups":["fleet"]}`), 200)
	until("a device that comes to the group", func() bool { return len(h.got) == 2 && h.got[1].Type == "alarm.updated" })
	s.want(s.request("PUT", "/v1/devices/d", root, `{"groups":["other"]}`), 200)
	until("a device that leaves", func() bool { return len(h.got) == 3 && h.got[2].Type == "alarm.removed" })
	s.want(s.request("DELETE", "/v1/users/ann", root, ""), 204)
	until("leaving", func() bool { return len(h.gaps) == 2 })
	s.want(s.request("POST", "/v1/alarms", root, `{"device":"unknown","type":"t","severity":"critical"}`), 202)
	var page struct{ Entries []json.RawMessage }
	s.want(s.request("GET", "/v1/inbox?snapshot=active", s.token("ann", "inbox"), ""), 200).json(t, &page)
	if len(page.Entries) != 0 || len(h.got) != 3 {
		t.Errorf("after leaving: %s, %+v", page.Entries, h.got[3:])
	}
}
