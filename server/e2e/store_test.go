package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// startNATS builds and runs a server of the engine's own, with JetStream, until
// the test ends.
func startNATS(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	log := &tailBuffer{}
	cmd := exec.Command(buildNATS(t), "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", filepath.Join(dir, "store"), "--ports_file_dir", dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var ports struct{ NATS []string }
	waitFor(ctx, nil, func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
		if len(files) == 0 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && json.Unmarshal(text, &ports) == nil && len(ports.NATS) > 0
	})
	if len(ports.NATS) == 0 {
		t.Fatalf("the NATS server did not come up:\n%s", log)
	}
	return ports.NATS[0]
}

// openLog opens a log that no server has, until the test ends. A process that another
// test starts in this moment holds the directory's lock, too, until it is another program.
func openLog(t *testing.T, o natslog.Options) (log *natslog.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	waitFor(ctx, nil, func() bool {
		log, err = natslog.Open(ctx, o)
		return !errors.Is(err, natslog.ErrLocked)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Errorf("close the log: %v", err)
		}
	})
	return log
}

// history is every entry of one alarm, as it stands in the log.
func history(t *testing.T, log *natslog.Log, device, typ string) (list []inbox.Entry, alarms []alarm.Alarm) {
	t.Helper()
	err := log.Scan(t.Context(), inbox.Scan{Subject: inbox.AlarmSubject(device, typ, "")}, func(m inbox.Message) error {
		e, err := inbox.Decode(m)
		if err != nil {
			return err
		}
		var a alarm.Alarm
		if len(e.Body) > 0 {
			err = json.Unmarshal(alarm.Text(e.Body), &a)
		}
		list, alarms = append(list, e), append(alarms, a)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, alarms
}

// array writes objects as one JSON array.
func array(objects []string) string { return "[" + strings.Join(objects, ",") + "]" }
