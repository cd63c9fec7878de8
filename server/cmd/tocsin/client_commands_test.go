package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tocsin/server/internal/streamtest"
)

func TestPublishSendsTheAlarmOfTheFlags(t *testing.T) {
	g := newGateway(t)
	got := call(t, "", "publish", "--device", "d1", "--type", "hot", "--severity", "major", "--message", "90 °C",
		"--attr", "sensor=a=b", "--attr", "x=", "--id", "e1", "--time", "2026-11-21T02:00:00Z")
	got.ok(t)
	if got.out != `{"duplicate":false,"id":"d1","status":"raised"}`+"\n" {
		t.Errorf("it prints %s", got.out)
	}
	want := `{"id":"e1","device":"d1","type":"hot","severity":"major","message":"90 °C","attrs":{"sensor":"a=b","x":""},"time":"2026-11-21T02:00:00Z"}`
	if g.entries[0] != want {
		t.Errorf("it sent %s\nwant    %s", g.entries[0], want)
	}
}

func TestPublishSendsLinesInOrderAndFailsWhenOneIsRejected(t *testing.T) {
	g := newGateway(t)
	g.lose = func(path string, n int) bool { return path == "/v1/alarms" && n == 2 }
	var in strings.Builder
	for i := range 7 {
		fmt.Fprintf(&in, "{\"device\":\"d%d\",\"type\":\"t\"}\n\n", i)
	}
	got := call(t, in.String()+`{"device":"d7"}`+"\n"+`{"device":"d8","type":"t"}`, "publish", "--batch", "2")
	if got.code != exitFailed || !strings.Contains(got.err, "1 of 9 events were rejected") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	for i, line := range strings.Split(strings.TrimSpace(got.out), "\n") {
		want := fmt.Sprintf(`"id":"d%d"`, i)
		if i == 7 {
			want = `"rejected"`
		}
		if !strings.Contains(line, want) {
			t.Errorf("result %d is %s", i, line)
		}
	}
	if len(g.entries) != 8 {
		t.Errorf("%d events counted; the answer that was lost must not count twice", len(g.entries))
	}
	// A lone bad line is refused by status.
	if got = call(t, `{"device":"d"}`, "publish", "-"); got.code != exitFailed || !strings.Contains(got.out, "type: required") {
		t.Errorf("alone: exit code %d: %s%s", got.code, got.out, got.err)
	}
}

func TestPublishIsCalledWrongly(t *testing.T) {
	newGateway(t)
	for want, args := range map[string][]string{
		"--device is wanted":            {"--type", "t"},
		"want key=value, not \"x\"":     {"--device", "d", "--attr", "x"},
		"want flags or files, not both": {"--device", "d", "file"},
		"--batch: want at least 1":      {"--batch", "0"},
		"want a URL such as":            {"--url", "localhost"},
		"unknown flag: --bogus":         {"--bogus"},
	} {
		if got := call(t, "", append([]string{"publish"}, args...)...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%v: exit code %d: %s", args, got.code, got.err)
		}
	}
	if got := call(t, "", "publish", filepath.Join(t.TempDir(), "none")); got.code != exitFailed {
		t.Errorf("a file that is not there: exit code %d", got.code)
	}
}

func TestARefusedTokenIsExplained(t *testing.T) {
	newGateway(t)
	for _, args := range [][]string{
		{"tail", "--via", "sse"}, {"tail", "--via", "longpoll"}, {"tail", "--via", "poll"},
		{"publish", "--device", "d", "--type", "t"}, {"import"}, {"replay", "--groups-from", "", "-"},
	} {
		got := call(t, `{"time":"2026-11-21T02:00:00Z","device":"d"}`, append(args, "--token", "bad")...)
		if got.code != exitFailed || !strings.Contains(got.err, "401 Unauthorized: the token has expired") || !strings.Contains(got.err, "--token or TOCSIN_TOKEN") {
			t.Errorf("%v: exit code %d: %s", args, got.code, got.err)
		}
	}
}

func TestTailPrintsEachEntryOnceOverEveryTransportAndGoesOnWhereItWas(t *testing.T) {
	g := newGateway(t)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf(`{"n":%d}`, i))
	}
	g.entries = want
	// Three transports take turns with one cursor.
	file := filepath.Join(t.TempDir(), "cursor")
	var out string
	for i, via := range append(httpWays, "longpoll") {
		got := call(t, "", "tail", "--via", via, "--cursor", "earliest", "--cursor-file", file, "--count", fmt.Sprint(i+1))
		got.ok(t)
		out += got.out
	}
	if got := strings.TrimSpace(out); got != strings.Join(want, "\n") {
		t.Errorf("printed\n%s", got)
	}
	if b, _ := os.ReadFile(file); string(b) != "c10\n" {
		t.Errorf("the file keeps %q", b)
	}
	for _, via := range httpWays {
		got := call(t, "", "tail", "--via", via, "--cursor", "c8", "--with-cursor", "--count", "2", "--quiet")
		got.ok(t)
		first := `{"cursor":"c9","entry":{"n":8}}`
		if via != "sse" {
			first = `{"cursor":null,"entry":{"n":8}}`
		}
		if got.out != first+"\n"+`{"cursor":"c10","entry":{"n":9}}`+"\n" || got.err != "" {
			t.Errorf("%s prints\n%s%s", via, got.out, got.err)
		}
	}
}

func TestTailEndsWhenNothingComes(t *testing.T) {
	newGateway(t).entries = []string{`{"n":0}`}
	for _, via := range httpWays {
		got := call(t, "", "tail", "--via", via, "--cursor", "earliest", "--exit-after-idle", "500ms")
		got.ok(t)
		if got.out != "{\"n\":0}\n" {
			t.Errorf("%s: %s", via, got.out)
		}
	}
}

func TestTailIsCalledWrongly(t *testing.T) {
	for want, args := range map[string][]string{
		`--via: want sse or longpoll or poll, not "ws"`: {"--via", "pigeon"},
		`--snapshot: want active, not "all"`:            {"--snapshot", "all"},
		"--count: want 0 or more":                       {"--count", "-1"},
		"--wait: want at least 1s":                      {"--wait", "1ms"},
		"wants no arguments":                            {"x"},
	} {
		if got := call(t, "", append([]string{"tail"}, args...)...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%v: exit code %d: %s", args, got.code, got.err)
		}
	}
}

func TestImportTellsTheLinesThatWereRefused(t *testing.T) {
	g := newGateway(t)
	file := filepath.Join(t.TempDir(), "d.jsonl")
	if err := os.WriteFile(file, []byte("{\"device\":\"a\",\"groups\":[\"g\",\"h\"]}\n\n{}\n{\"device\":\"b\",\"groups\":[]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := call(t, "", "import", file)
	if got.code != exitFailed || got.out != `{"lines":3,"devices":2,"users":0,"changed":2,"rejected":1}`+"\n" ||
		!strings.Contains(got.err, file+":3: refused: want either") || g.groups["a"] != "g,h" {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestReplayGivesTheFiguresOfTheStreamHoweverOftenTheServerIsLost(t *testing.T) {
	for _, stream := range streamtest.Streams(t) {
		for name, lose := range map[string]func(string, int) bool{
			"quiet": func(string, int) bool { return false },
			"lossy": func(_ string, n int) bool { return n%2 == 1 && n < 6 },
		} {
			g := newGateway(t)
			g.lose = lose
			got := call(t, "", "replay", stream.Path)
			got.ok(t)
			var f figures
			if err := json.Unmarshal([]byte(got.out), &f); err != nil {
				t.Fatal(err)
			}
			have := streamtest.Figures{
				Events: f.Events, Occurrences: f.Occurrences, Repeats: f.Repeats, Clears: f.Clears, Orphans: f.Orphans,
				Active: f.Active, Devices: len(g.groups), Groups: stream.Want.Groups,
			}
			if have != stream.Want || f.Late+f.Rejected != 0 || (f.Duplicates > 0) != (name == "lossy") {
				t.Errorf("%s, %s: %+v (%d duplicates)\nwant %+v", stream.Name, name, have, f.Duplicates, stream.Want)
			}
			if g.groups[stream.Lines[0].Device] != stream.Lines[0].Group {
				t.Errorf("%s: the directory has %q", stream.Name, g.groups[stream.Lines[0].Device])
			}
		}
	}
}

func TestReplayKeepsTheTimesOfTheRecording(t *testing.T) {
	g := newGateway(t)
	in := `{"time":"2020-01-01T00:00:00Z","device":"d","type":"t"}
{"time":"2020-01-01T00:01:00Z","device":"d","type":"t","state":"cleared"}
{"time":"2020-01-01T00:01:00Z","device":"e","type":"t","state":"cleared"}`
	got := call(t, in, "replay", "--speed", "1200", "--groups-from", "", "-")
	got.ok(t)
	var f figures
	if err := json.Unmarshal([]byte(got.out), &f); err != nil {
		t.Fatal(err)
	}
	if f.Events != 3 || f.Seconds < 0.05 || g.asked["/v1/alarms"] != 2 || g.asked["/v1/directory"] != 0 {
		t.Errorf("%s in %d requests", got.out, g.asked["/v1/alarms"])
	}
}

func TestReplayRefusesWhatIsNoRecording(t *testing.T) {
	newGateway(t)
	for want, in := range map[string]string{
		"-:2: time: want RFC 3339":              "\n{\"device\":\"d\"}",
		"-:1: invalid character":                "x",
		"-:1: group: want the device's group":   `{"time":"2020-01-01T00:00:00Z","device":"d"}`,
		"1 of 1 events were rejected, the firs": `{"time":"2020-01-01T00:00:00Z","device":"d","group":"g","state":"x"}`,
	} {
		if got := call(t, in, "replay", "-"); got.code != exitFailed || !strings.Contains(got.err, want) {
			t.Errorf("%s: exit code %d: %s", in, got.code, got.err)
		}
	}
	if got := call(t, "", "replay", "a/x", "b/x"); got.code != exitUsage {
		t.Errorf("two files of one name: exit code %d: %s", got.code, got.err)
	}
}
