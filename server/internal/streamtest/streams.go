// Package streamtest gives tests the alarm streams that they replay, with the
// figures that a replay must give.
//
// One stream is made here, so that there always is one. Streams of real alarms
// are not part of the repository; they are used where $TOCSIN_DATA, or a folder
// shared/data beside the repository, holds them.
package streamtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Line is one line of a stream.
type Line struct {
	Time     time.Time `json:"time"`
	Device   string    `json:"device"`
	Group    string    `json:"group"`
	Severity string    `json:"severity"`
	Type     string    `json:"type"`
	State    string    `json:"state"`
	Message  string    `json:"message"`
}

// Figures are what a replay must give.
type Figures struct {
	Events      int `json:"events"`
	Occurrences int `json:"occurrences"`
	Repeats     int `json:"repeat raises"`
	Clears      int `json:"clears that clear"`
	Orphans     int `json:"orphan clears"`
	Active      int `json:"active at the end"`
	Devices     int `json:"devices"`
	Groups      int `json:"groups"`
}

// A Stream is a file of lines with its figures.
type Stream struct {
	Name  string
	Path  string
	Lines []Line
	Want  Figures
}

// Streams returns the made stream and, where they are, the real ones; it says
// in one line of the test's log where they are not.
func Streams(t testing.TB) []Stream {
	t.Helper()
	streams := []Stream{Made(t)}
	dir := dataDir()
	if dir == "" {
		t.Log("no streams of real alarms here ($TOCSIN_DATA, shared/data): only the made one is replayed")
		return streams
	}
	expected, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]Figures
	if err := json.Unmarshal(expected, &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wireless", "microwave", "bgl", "wind"} {
		path := filepath.Join(dir, "stream-"+name+".jsonl")
		streams = append(streams, Stream{Name: name, Path: path, Lines: read(t, path), Want: want[name]})
	}
	return streams
}

func dataDir() string {
	// The variable is also the server's, for its log: only a folder of streams
	// counts.
	if dir := os.Getenv("TOCSIN_DATA"); holdsStreams(dir) {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		data := filepath.Join(dir, "shared", "data")
		if holdsStreams(data) {
			return data
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

func holdsStreams(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "expected.json"))
	return dir != "" && err == nil
}

func read(t testing.TB, path string) (lines []Line) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		var l Line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		lines = append(lines, l)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// Made is a stream whose figures follow from how it is made: in each of 40
// rounds each of 25 devices is raised, raised again in every second round, and
// cleared, twice in every fourth; in the last round nothing is cleared.
func Made(t testing.TB) Stream {
	t.Helper()
	const devices, rounds = 25, 40
	s := Stream{Name: "made", Path: filepath.Join(t.TempDir(), "made.jsonl")}
	at := time.Date(2020, 2, 29, 23, 0, 0, 0, time.UTC)
	var text strings.Builder
	groups := map[string]bool{}
	add := func(d int, severity, state string) {
		at = at.Add(250 * time.Millisecond)
		l := Line{
			Time: at, Device: fmt.Sprintf("86000000000%04d", d), Group: fmt.Sprint("fleet-", d%4),
			Severity: severity, Type: "overspeed", State: state,
			Message: fmt.Sprintf("line %d\r\nof <device> \U0001f6a8 %d", len(s.Lines)+1, d),
		}
		groups[l.Group] = true
		s.Lines = append(s.Lines, l)
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
		text.WriteByte('\n')
		s.Want.Events++
	}
	severities := []string{"warning", "minor", "major", "critical"}
	for round := range rounds {
		for d := range devices {
			add(d, severities[(round+d)%4], "raised")
			s.Want.Occurrences++
			if round%2 == 1 {
				add(d, severities[d%4], "raised")
				s.Want.Repeats++
			}
			if round == rounds-1 {
				s.Want.Active++
				continue
			}
			add(d, "cleared", "cleared")
			s.Want.Clears++
			if round%4 == 3 {
				add(d, "cleared", "cleared")
				s.Want.Orphans++
			}
		}
	}
	s.Want.Devices, s.Want.Groups = devices, len(groups)
	if err := os.WriteFile(s.Path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}
