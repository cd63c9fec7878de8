package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A smallDisk is a file system in memory that only the processes see which are started
// through it. Somebody holds it until the test ends.
type smallDisk struct {
	t      *testing.T
	holder *exec.Cmd
	dir    string
}

// newSmallDisk makes one of so many MiB at the directory.
func newSmallDisk(t *testing.T, dir string, mebibytes int) *smallDisk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--map-root-user", "--mount", "sh", "-c",
		fmt.Sprintf(`mount -t tmpfs -o size=%dm tmpfs "$0" && echo mounted && exec cat`, mebibytes), dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("make a file system of the test's own (it needs unshare of util-linux): %v", err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "mounted\n" {
		_ = cmd.Wait()
		t.Fatalf("mount a file system in memory: %v %s", err, said.String())
	}
	return &smallDisk{t: t, holder: cmd, dir: dir}
}

// through is a command that runs its arguments where the disk is seen.
func (d *smallDisk) through() []string {
	return []string{"nsenter", "--target", fmt.Sprint(d.holder.Process.Pid), "--user", "--mount", "--preserve-credentials"}
}

// inside is the path of a file on the disk, for who does not see it.
func (d *smallDisk) inside(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", d.holder.Process.Pid), d.dir, name)
}

// fill takes all of the disk but so many bytes.
func (d *smallDisk) fill(left int64) {
	d.t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.inside("."), &fs); err != nil {
		d.t.Fatal(err)
	}
	f, err := os.Create(d.inside("ballast"))
	if err == nil {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-left)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		d.t.Fatal(err)
	}
}

// empty gives the disk back.
func (d *smallDisk) empty() {
	d.t.Helper()
	if err := os.Remove(d.inside("ballast")); err != nil {
		d.t.Fatal(err)
	}
}

// onSmallDisk is a server, not yet started, whose data are on such a disk.
func onSmallDisk(t *testing.T, mebibytes int, flags ...string) (*server, *smallDisk) {
	t.Helper()
	s := prepareServer(t, flags...)
	d := newSmallDisk(t, s.data(), mebibytes)
	s.through = d.through()
	return s, d
}

// publishUntil publishes until the answer has the status and the text.
func (s *server) publishUntil(status int, text string) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var a answer
	n := 0
	waitFor(ctx, nil, func() bool {
		n++
		a = s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"device":"until%d","type":"overspeed","severity":"major"}`, n%7))
		return a.status == status && strings.Contains(a.body, text)
	})
	if a.status != status || !strings.Contains(a.body, text) {
		s.t.Fatalf("the last answer is %d %s, want %d %s\n%s", a.status, a.body, status, text, s.log)
	}
	return a
}

// A disk that fills: publishers are refused below the reserve, readers go on, also over
// a restart, and all is well again when there is room.
func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	s, disk := onSmallDisk(t, 96, "--reserve", "40MiB")
	s.start()
	publishEach(s, 20)
	cursor := readPage(s, "snapshot=active").Cursor
	disk.fill(30 << 20)
	if a := s.publishUntil(503, "storage-full"); a.header.Get("Retry-After") == "" {
		t.Errorf("below the reserve a publisher got %v", a.header)
	}
	for _, when := range []string{"below the reserve", "after a restart below it"} {
		if found := devices(s); len(found) < 20 {
			t.Errorf("%s a reader finds %d alarms", when, len(found))
		}
		if p := readPage(s, "cursor="+cursor); p.Gap != nil {
			t.Errorf("%s a reader got %+v", when, p)
		}
		s.want(s.request("GET", "/inbox", s.root(), ""), 200)
		if when == "below the reserve" {
			s.kill()
			s.start()
			s.publishUntil(503, "storage-full")
		}
	}
	disk.empty()
	s.publishUntil(202, "")
	if p := readPage(s, "cursor="+cursor); p.Gap != nil || len(p.Entries) == 0 {
		t.Errorf("with room again a reader got %+v", p)
	}
}

// The engine itself meets a full disk, as when others fill it faster than the reserve is
// measured. Nothing that was answered is lost; when there is room again the process
// ends by itself and says why, and goes on when it is started anew.
func TestADiskThatIsReallyFull(t *testing.T) {
	s, disk := onSmallDisk(t, 64, "--reserve", "0", "--drain", "0s", "--linger", "0s")
	s.start()
	publishEach(s, 20)
	cursor := readPage(s, "snapshot=active").Cursor
	disk.fill(0)
	s.publishUntil(503, "storage-full") // after one that the engine did not answer
	if found := devices(s); len(found) < 20 {
		t.Errorf("with the disk full a reader finds %d alarms", len(found))
	}
	before := devices(s)
	disk.empty()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := false
	waitFor(ctx, nil, func() bool {
		_, _ = request(ctx, "POST", s.url()+"/v1/alarms", s.root(), `{"device":"late","type":"overspeed","severity":"major"}`)
		select {
		case <-s.done:
			ended = true
		default:
		}
		return ended
	})
	if !ended || s.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(s.log.String(), "met a full disk") {
		t.Fatalf("with room again the process said\n%s", s.log)
	}
	s.start()
	for device := range before {
		if !devices(s)[device] {
			t.Errorf("the alarm of %s is gone", device)
		}
	}
	s.publishUntil(202, "")
	if p := readPage(s, "cursor="+cursor); p.Gap != nil {
		t.Errorf("a reader from before got %+v", p)
	}
}
