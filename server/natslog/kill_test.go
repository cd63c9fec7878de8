package natslog_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// roles are what this test binary does as a child process, which is there to be
// killed.
var roles = map[string]func(where string) error{"append": appendForever, "hold": holdForever, "mqtt": mqttForever}

const roleVariable, whereVariable = "TOCSIN_NATSLOG_ROLE", "TOCSIN_NATSLOG_WHERE"

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleVariable)]; ok {
		if err := role(os.Getenv(whereVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child starts this binary in a role; out are its lines. It is killed with the
// test at the latest.
func child(t *testing.T, role, where string) (cmd *exec.Cmd, out *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd = exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, whereVariable+"="+where)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(pipe)
}

// appendForever prints the sequence and subject of everything acknowledged.
func appendForever(dir string) error {
	l, err := natslog.Open(context.Background(), natslog.Options{Dir: dir})
	if err != nil {
		return err
	}
	for n := 0; ; n += 100 {
		batch := make([]inbox.Proposal, 100)
		for i := range batch {
			batch[i] = inbox.Proposal{Subject: subject(n + i), ID: fmt.Sprint(n + i), Data: []byte(subject(n + i))}
		}
		for i, r := range l.Append(context.Background(), batch...) {
			if r.Err != nil {
				return r.Err
			}
			fmt.Println(r.Seq, batch[i].Subject)
		}
	}
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[uint64]string{}
	for round := range 3 {
		// Each child opens what the killed one left behind. It begins with the
		// same ids, so its first lines repeat the receipts of those before it.
		cmd, out := child(t, "append", dir)
		for n := 0; out.Scan(); n++ {
			seq, subject, whole := parseLine(out.Text())
			if !whole {
				break // the kill cut it off
			}
			if was, ok := acknowledged[seq]; ok && was != subject {
				t.Fatalf("%d was acknowledged for %s and for %s", seq, was, subject)
			}
			acknowledged[seq] = subject
			if n == 5000*(round+1) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed: an error is what it should give
		l := open(t, natslog.Options{Dir: dir})
		stored := map[uint64]string{}
		if err := l.Scan(t.Context(), inbox.Scan{}, func(m inbox.Message) error {
			stored[m.Seq] = m.Subject
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for seq, subject := range acknowledged {
			if stored[seq] != subject {
				t.Fatalf("%d was acknowledged for %s, the log has %q", seq, subject, stored[seq])
			}
		}
		if len(acknowledged) < 5000*(round+1) {
			t.Fatalf("only %d were acknowledged: the child did not get far", len(acknowledged))
		}
		t.Logf("%d acknowledged, %d stored", len(acknowledged), len(stored))
		shut(t, l)
	}
}

// parseLine reads a line of appendForever; whole is false for a part of one.
func parseLine(line string) (seq uint64, subject string, whole bool) {
	number, subject, _ := strings.Cut(line, " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	_, _, _, ok := inbox.ParseAlarmSubject(subject)
	return seq, subject, err == nil && ok
}

const killedTTL = 2 * time.Second

// holdForever takes the lease and says so.
func holdForever(url string) error {
	l, err := natslog.Open(context.Background(), natslog.Options{URL: url})
	if err != nil {
		return err
	}
	lease, err := l.Lease(context.Background(), "worker", killedTTL)
	if err != nil {
		return err
	}
	return lease.Hold(context.Background(), func(held context.Context) {
		fmt.Println("held")
		<-held.Done()
	})
}

func TestKilledHolderIsSucceeded(t *testing.T) {
	url := serve(t)
	cmd, out := child(t, "hold", url)
	if !out.Scan() || out.Text() != "held" {
		t.Fatalf("the child said %q", out.Text())
	}
	l := open(t, natslog.Options{URL: url})
	lease, err := l.Lease(t.Context(), "worker", killedTTL)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if err := lease.Hold(t.Context(), func(context.Context) {
		took := time.Since(killed)
		t.Logf("taken over after %v", took)
		if took > 2*killedTTL {
			t.Errorf("taken over after %v, the time to live is %v", took, killedTTL)
		}
	}); err != nil {
		t.Error(err)
	}
}
