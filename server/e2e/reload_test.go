package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// await waits until the server's log has a text.
func (s *server) await(text string) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !strings.Contains(s.log.String(), text) {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("the log does not say %q:\n%s", text, s.log)
		}
	}
}

func TestSIGHUPTakesOverWhatMayChangeAndNamesWhatWaits(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tocsin.yml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("batch-events: 3\nlinger: 1s\n")
	s := newServer(t, "--config", file)
	three := `[{"device":"d","type":"t","severity":"major"},{"device":"d","type":"u","severity":"major"},{"device":"d","type":"v","severity":"major"}]`
	s.want(s.request("POST", "/v1/alarms", s.root(), three), 202)
	if strings.Contains(s.log.String(), `"level":"DEBUG"`) {
		t.Fatalf("it begins with debugging:\n%s", s.log)
	}

	write("batch-events: 2\nlinger: 2s\nlog-level: debug\npoll-interval-idle: 7s\nconnections-per-user: 3\n")
	s.hangUp()
	s.await(`"msg":"reloaded","changed":"connections-per-user poll-interval-idle batch-events log-level"`)
	s.await(`"msg":"these settings have changed and wait for the next start","settings":"linger"`)
	s.want(s.request("POST", "/v1/alarms", s.root(), three), 413)
	s.want(s.request("POST", "/v1/alarms", s.root(), `{"device":"d","type":"t","severity":"major"}`), 202)
	s.await(`"level":"DEBUG"`)
	var told struct {
		Limits map[string]int `json:"limits"`
	}
	s.want(s.request("GET", "/v1/transports", "", ""), 200).json(t, &told)
	if told.Limits["batch_alarms"] != 2 || told.Limits["connections_per_user"] != 3 {
		t.Errorf("clients are told %v", told.Limits)
	}
	if got := s.request("GET", "/v1/inbox?cursor=latest", s.root(), ""); !strings.Contains(got.body, `"interval":7`) {
		t.Errorf("%s", got.body)
	}

	write("batch-events: 5000\nnonsense: 1\n")
	s.hangUp()
	s.await(`the configuration is not reloaded, and stays as it is`)
	s.want(s.request("POST", "/v1/alarms", s.root(), three), 413)
}

// hangUp sends SIGHUP.
func (s *server) hangUp() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}
