package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stepping is what is added to the standard library's clock.
const stepping = `
var steppedBy atomic.Int64

// StepClock sets how many seconds the wall clock is off.
func StepClock(seconds int64) { steppedBy.Store(seconds) }
`

// changed writes a file of the Go sources anew, with each text of the pairs replaced by the
// one after it, and an end.
func changed(dir, original, end string, pairs ...string) (path string, err error) {
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			return "", fmt.Errorf("%s does not have %q, which this test changes", original, pairs[i])
		}
		text = []byte(strings.Replace(string(text), pairs[i], pairs[i+1], 1))
	}
	path = filepath.Join(dir, filepath.Base(original))
	return path, replaceFile(path, append(text, end...))
}

// buildStepped builds the program with a wall clock that tests can step, once: the same
// sources, but for the clock that the standard library reads. So everything in the
// process is stepped, the engine too, while the program has no such seam; and the
// monotonic clock goes on, as it does when a machine's clock is set.
var buildStepped = sync.OnceValues(func() (path string, err error) {
	root, err := goEnv("GOROOT")
	if err != nil {
		return "", err
	}
	module, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	// A place that stays, so that what was built is found again.
	dir := filepath.Join(os.TempDir(), "tocsin-stepped-clock")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	clock, retain := filepath.Join(root, "src", "time", "time.go"), filepath.Join(module, "server", "alarm", "retain.go")
	replace := map[string]string{
		filepath.Join(module, "server", "cmd", "tocsin", "stepped.go"): filepath.Join(module, "server", "e2e", "testdata", "stepped.go.txt"),
	}
	const reads, goesOn = "sec, nsec, mono := runtimeNow()\n", "\tif mono == 0 {"
	replace[clock], err = changed(dir, clock, stepping, reads+goesOn, reads+"\tsec += steppedBy.Load()\n"+goesOn, "import (", "import (\n\t\"sync/atomic\"")
	if err != nil {
		return "", err
	}
	// Retention is looked at once a minute, which nobody wants to wait for.
	replace[retain], err = changed(dir, retain, "", "retainEvery = time.Minute", "retainEvery = time.Second")
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := replaceFile(file, overlay); err != nil {
		return "", err
	}
	path = filepath.Join(filepath.Dir(binary), "tocsin-stepped")
	if out, err := exec.Command("go", "build", "-trimpath", "-overlay", file, "-o", path, "tocsin/server/cmd/tocsin").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program with a clock that can be stepped: %w\n%s", err, out)
	}
	return path, nil
})

// replaceFile writes a file that others may be reading.
func replaceFile(path string, text []byte) error {
	next := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func goEnv(name string) (string, error) {
	out, err := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(out)), err
}

// A clock is what such a program goes by.
type clock struct {
	t    *testing.T
	file string
	off  time.Duration
	// apart: tokens come from elsewhere, and go by the system's.
	apart bool
}

// withClock has a server, not yet started, go by a clock of its own.
func (s *server) withClock() *clock {
	s.t.Helper()
	path, err := buildStepped()
	if err != nil {
		s.t.Fatal(err)
	}
	c := &clock{t: s.t, file: filepath.Join(s.dir, "clock")}
	s.program = path
	s.through = []string{"env", "TOCSIN_TEST_CLOCK=" + c.file}
	c.set(0)
	return c
}

// step sets the clock forwards, or backwards, and waits until the server goes by it.
func (s *server) step(d time.Duration) {
	s.t.Helper()
	s.clock.set(d)
	want, err := os.ReadFile(s.clock.file)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	waitFor(ctx, s.done, func() bool {
		seen, err := os.ReadFile(s.clock.file + ".seen")
		return err == nil && string(seen) == string(want)
	})
}

// set sets the clock of a server that is not running.
func (c *clock) set(d time.Duration) {
	c.t.Helper()
	c.off += d
	if err := replaceFile(c.file, fmt.Append(nil, int64(c.off/time.Second))); err != nil {
		c.t.Fatal(err)
	}
}

// now is what the clock of who issues tokens says; nobody's is the system's.
func (c *clock) now() time.Time {
	if c == nil || c.apart {
		return time.Now()
	}
	return time.Now().Add(c.off)
}

// worked is how long the server's process has used a processor.
func (s *server) worked() time.Duration {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel counts in hundredths
}

// a clockWorld is a gateway whose clock is stepped while somebody reads.
type clockWorld struct {
	*server
	cursor string
	seq    int // of the newest entry that was read
	count  int // of alarms published
}

// publishes publishes an alarm of a device's own, and wants it to be read next, behind
// everything that was, without a gap.
func (w *clockWorld) publishes(when string) {
	w.t.Helper()
	w.count++
	device := fmt.Sprint("new", w.count)
	w.want(w.request("POST", "/v1/alarms", w.root(), fmt.Sprintf(`{"device":%q,"type":"overspeed","severity":"major"}`, device)), 202)
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	found := false
	waitFor(ctx, nil, func() bool {
		p := readPage(w.server, "cursor="+w.cursor)
		if p.Gap != nil {
			w.t.Errorf("%s: a gap %s", when, p.Gap.Reason)
		}
		for _, text := range p.Entries {
			var e struct {
				Seq   int
				Alarm struct{ Device string }
			}
			if err := json.Unmarshal(text, &e); err != nil || e.Seq <= w.seq {
				w.t.Errorf("%s: %v, entry %d after %d", when, err, e.Seq, w.seq)
			}
			w.seq = e.Seq
			found = found || e.Alarm.Device == device
		}
		w.cursor = p.Cursor
		return found
	})
	if !found {
		w.t.Errorf("%s: the alarm of %s never came", when, device)
	}
}

// comes waits for something about an alarm to be so.
func (w *clockWorld) comes(when, device string, holds func(alarm map[string]any) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	var last []map[string]any
	ok := false
	waitFor(ctx, nil, func() bool {
		var list struct{ Alarms []map[string]any }
		w.want(w.request("GET", "/v1/alarms?state=all&device="+device, w.root(), ""), 200).json(w.t, &list)
		last = list.Alarms
		if ok = len(list.Alarms) == 1 && holds(list.Alarms[0]); !ok {
			pause(ctx, 100*time.Millisecond)
		}
		return ok
	})
	if !ok {
		w.t.Errorf("%s: the alarm of %s is %v\n%s", when, device, last, w.log)
	}
}

// The machine's clock is set forwards and backwards by hours and by months, while the
// gateway serves and while it does not: nothing is purged early, what has a deadline
// ends, cursors go on, tokens are judged by the new clock, and nothing spins.
func TestTheClockIsSet(t *testing.T) {
	s := prepareServer(t, "--fold", "1s", "--lease", "2s", "--retention", "24h", "--drain", "0s", "--linger", "0s")
	s.clock, s.tells = s.withClock(), true
	s.start()
	w := &clockWorld{server: s, cursor: "earliest"}
	w.publishes("at first")
	for i := range 5 { // what retention would take: it is over and acknowledged
		var done struct{ Results []struct{ ID string } }
		for _, state := range []string{"raised", "cleared"} {
			s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"device":"over%d","type":"overspeed","severity":"major","state":%q}`, i, state)), 202).json(t, &done)
		}
		s.want(s.request("POST", "/v1/alarms/"+done.Results[0].ID+"/ack", s.root(), `{}`), 200)
	}
	kept := func(when string) {
		t.Helper()
		if found := devices(s); !found["over0"] || !found["over4"] {
			t.Errorf("%s: what was over is gone", when)
		}
	}
	id := w.shelve("new1", 2*time.Hour)
	old := s.root()

	s.step(3 * time.Hour)
	w.comes("three hours on", "new1", func(a map[string]any) bool { return a["shelved_until"] == nil })
	if a := s.request("GET", "/v1/inbox", old, ""); a.status != 401 {
		t.Errorf("three hours on a token of an hour is taken with %d", a.status)
	}
	w.publishes("three hours on")

	s.step(90 * 24 * time.Hour)
	w.shelve("new2", time.Hour)
	s.step(2 * time.Hour) // the worker is at work when this ends
	w.comes("three months on", "new2", func(a map[string]any) bool { return a["shelved_until"] == nil })
	w.publishes("three months on")
	kept("three months on")

	s.step(-92 * 24 * time.Hour)
	w.publishes("back again")
	for range 3 {
		s.want(s.request("POST", "/v1/alarms", s.root(), `{"device":"new1","type":"overspeed","severity":"major"}`), 202)
	}
	w.comes("back again", "new1", func(a map[string]any) bool { return a["id"] == id && a["count"] == 4.0 })
	w.publishes("back again, later")
	kept("back again")

	for _, d := range []time.Duration{-26 * time.Hour, 25 * time.Hour} {
		s.kill()
		s.clock.set(d)
		s.start()
		w.publishes(fmt.Sprintf("after a restart, the clock set by %v", d))
		kept("after a restart")
	}
	before := s.worked()
	timer := time.NewTimer(2 * time.Second)
	<-timer.C // what is measured is time
	if busy := s.worked() - before; busy > time.Second {
		t.Errorf("in two seconds without work the process worked for %v", busy)
	}
}

// shelve shelves the alarm of a device and returns its id.
func (w *clockWorld) shelve(device string, d time.Duration) string {
	w.t.Helper()
	var list struct{ Alarms []struct{ ID string } }
	w.want(w.request("GET", "/v1/alarms?state=all&device="+device, w.root(), ""), 200).json(w.t, &list)
	if len(list.Alarms) != 1 {
		w.t.Fatalf("%s has %d alarms", device, len(list.Alarms))
	}
	until := w.clock.now().Add(d).UTC().Format(time.RFC3339)
	w.want(w.request("POST", "/v1/alarms/"+list.Alarms[0].ID+"/shelve", w.root(), fmt.Sprintf(`{"until":%q}`, until)), 200)
	return list.Alarms[0].ID
}
