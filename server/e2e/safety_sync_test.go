package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tocsin/server/inbox"
)

// A disk is what a program has written to files, and what of it has been flushed, as
// told by strace (Debian's package): a file's bytes count as kept once an fsync that
// began after they were written has ended.
type disk struct {
	written, kept map[string]int64
	flushing      map[string]int64  // per thread and file, what its fsync will keep
	unfinished    map[string]string // per thread, the call that has begun
	acks, early   int               // answers 202, and those sent before the log was kept
}

var (
	callOf    = regexp.MustCompile(`^(\d+) +(\w+)\((\d+)<([^>]*)>`)
	resumedOf = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
	writtenAt = regexp.MustCompile(`, (\d+), (\d+)\) = (\d+)$`)
)

// readTrace reads everything that strace has noted.
func readTrace(t *testing.T, path string) *disk {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := &disk{written: map[string]int64{}, kept: map[string]int64{}, flushing: map[string]int64{}, unfinished: map[string]string{}}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		d.line(in.Text())
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

// line takes one line: a whole call, the beginning of one, or the end of one.
func (d *disk) line(text string) {
	if m := resumedOf.FindStringSubmatch(text); m != nil {
		begun := d.unfinished[m[1]]
		delete(d.unfinished, m[1])
		d.ends(begun, text)
		return
	}
	d.begins(text)
	if strings.HasSuffix(text, "<unfinished ...>") {
		m := callOf.FindStringSubmatch(text)
		if m != nil {
			d.unfinished[m[1]] = text
		}
		return
	}
	d.ends(text, text)
}

// begins takes what counts from a call's beginning.
func (d *disk) begins(text string) {
	m := callOf.FindStringSubmatch(text)
	switch {
	case m == nil:
	case m[2] == "fsync" || m[2] == "fdatasync":
		d.flushing[m[1]+m[4]] = d.written[m[4]]
	case m[2] == "write" && strings.Contains(text, `"HTTP/1.1 202 `):
		d.acks++
		for path, n := range d.written {
			if isLogBlock(path) && d.kept[path] < n {
				d.early++
				break
			}
		}
	}
}

// ends takes what counts from a call's end.
func (d *disk) ends(begun, ended string) {
	m := callOf.FindStringSubmatch(begun)
	switch {
	case m == nil || !strings.Contains(ended, ") = ") || strings.Contains(ended, "= -1"):
	case m[2] == "pwrite64":
		n := writtenAt.FindStringSubmatch(ended)
		if n == nil {
			return
		}
		offset, _ := strconv.ParseInt(n[2], 10, 64)
		size, _ := strconv.ParseInt(n[3], 10, 64)
		d.written[m[4]] = max(d.written[m[4]], offset+size)
	case m[2] == "fsync" || m[2] == "fdatasync":
		d.kept[m[4]] = max(d.kept[m[4]], d.flushing[m[1]+m[4]])
	}
}

func isLogBlock(path string) bool {
	return strings.Contains(path, "/streams/LOG/msgs/") && strings.HasSuffix(path, ".blk")
}

// fail has a data directory as it may be after a power failure: of every block only
// what was kept, and of what is written without a flush nothing.
func (d *disk) fail(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.IsDir():
			return err
		case e.Name() == "index.db":
			return os.Remove(path)
		case strings.HasSuffix(path, ".blk"):
			return os.Truncate(path, d.kept[path])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tracedServer is a server under strace.
func tracedServer(t *testing.T, flags ...string) (s *server, trace string) {
	t.Helper()
	s = prepareServer(t, flags...)
	trace = filepath.Join(s.dir, "trace")
	s.through = []string{"strace", "-D", "-f", "-qq", "-y", "-s", "40", "-o", trace, "-e", "trace=pwrite64,write,fsync,fdatasync"}
	s.start()
	return s, trace
}

// powerFailure kills the server, takes from its disk what was not flushed, and starts
// it again. It returns what strace has told.
func powerFailure(t *testing.T, s *server, trace string) *disk {
	t.Helper()
	s.kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ killed by SIGKILL`, s.cmd.Process.Pid))
	waitFor(ctx, nil, func() bool {
		text, err := os.ReadFile(trace)
		return err == nil && ended.Match(text)
	})
	if ctx.Err() != nil {
		text, _ := os.ReadFile(trace)
		t.Fatalf("strace did not end: %s", text[max(0, len(text)-2000):])
	}
	d := readTrace(t, trace)
	d.fail(t, s.data())
	s.through = nil
	s.start()
	return d
}

// publishEach publishes alarms one by one, each acknowledged before the next.
func publishEach(s *server, count int) {
	s.t.Helper()
	for i := range count {
		s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"device":"d%d","type":"overspeed","severity":"major"}`, i)), 202)
	}
}

// devices are those with an alarm.
func devices(s *server) map[string]bool {
	s.t.Helper()
	var list struct {
		Alarms []struct{ Device string }
	}
	s.want(s.request("GET", "/v1/alarms?state=all&limit=1000", s.root(), ""), 200).json(s.t, &list)
	found := map[string]bool{}
	for _, a := range list.Alarms {
		found[a.Device] = true
	}
	return found
}

// A page is an answer of /v1/inbox.
type inboxPage struct {
	Entries []json.RawMessage
	Cursor  string
	Gap     *struct{ Reason inbox.GapReason }
}

func readPage(s *server, query string) (p inboxPage) {
	s.t.Helper()
	s.want(s.request("GET", "/v1/inbox?limit=1000&"+query, s.root(), ""), 200).json(s.t, &p)
	return p
}

// With sync: always every answer to a publisher comes after a flush of what it is
// about, and a power failure takes nothing that was answered.
func TestSyncAlwaysFlushesBeforeItAnswers(t *testing.T) {
	s, trace := tracedServer(t, "--sync", "always")
	const count = 40
	publishEach(s, count)
	cursor := readPage(s, "snapshot=active").Cursor
	d := powerFailure(t, s, trace)
	if d.acks != count || d.early != 0 {
		t.Errorf("of %d answers, %d came before the log was flushed; want 0 of %d", d.acks, d.early, count)
	}
	if found := devices(s); len(found) != count {
		t.Errorf("%d alarms are left, want %d", len(found), count)
	}
	if p := readPage(s, "cursor="+cursor); p.Gap != nil || len(p.Entries) != 0 {
		t.Errorf("a reader who had seen all got %+v", p)
	}
}

// With sync: interval a power failure takes what the interval held, and who had seen
// it is told. That answers here come before any flush shows that the test above would
// notice.
func TestSyncIntervalLosesWhatItHeldAndSaysSo(t *testing.T) {
	s, trace := tracedServer(t, "--sync", "interval", "--sync-interval", "10m")
	const count = 10
	publishEach(s, count)
	cursor := readPage(s, "snapshot=active").Cursor
	d := powerFailure(t, s, trace)
	if d.acks != count || d.early != count {
		t.Errorf("of %d answers, %d came before the log was flushed; want all of %d", d.acks, d.early, count)
	}
	if found := devices(s); len(found) != 0 {
		t.Errorf("%d alarms are left although nothing was flushed", len(found))
	}
	if p := readPage(s, "cursor="+cursor); p.Gap == nil || p.Gap.Reason != inbox.GapEpoch {
		t.Errorf("a reader who had seen all got %+v, want the gap epoch", p)
	}
}
