package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin/server/internal/streamtest"
	"tocsin/transports/transporttest"
)

// eventOf is a line of a stream as an event.
func eventOf(l streamtest.Line, id string) map[string]any {
	return map[string]any{"id": id, "device": l.Device, "type": l.Type, "severity": l.Severity, "state": l.State, "message": l.Message, "time": l.Time}
}

// overUpload sends a stream in one upload, and reads the end of the answer.
func overUpload(t *testing.T, s *server, base string, lines []streamtest.Line) map[string]int {
	t.Helper()
	var body strings.Builder
	for i, l := range lines {
		text, err := json.Marshal(eventOf(l, fmt.Sprint(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		body.Write(append(text, '\n'))
	}
	a, err := request(t.Context(), http.MethodPost, base+"/v1/ingest/lines?results=rejected", s.root(), body.String(), "Content-Type", "application/x-ndjson")
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	var end struct {
		End     bool
		Lines   int
		Counts  map[string]int
		Problem any
	}
	a.json(t, &end) // one line: nothing was rejected
	if !end.End || end.Lines != len(lines) || end.Problem != nil {
		t.Fatalf("%s", a.body)
	}
	return end.Counts
}

// overBatches sends a stream in arrays of events.
func overBatches(t *testing.T, s *server, base string, lines []streamtest.Line) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for from := 0; from < len(lines); from += 1000 {
		var batch []map[string]any
		for i, l := range lines[from:min(from+1000, len(lines))] {
			batch = append(batch, eventOf(l, fmt.Sprint(from+i+1)))
		}
		countResults(t, s, base+"/v1/alarms", batch, counts)
	}
	return counts
}

// countResults posts an array and adds what its results say.
func countResults(t *testing.T, s *server, url string, batch []map[string]any, counts map[string]int, header ...string) {
	t.Helper()
	body, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	a, err := request(t.Context(), http.MethodPost, url, s.root(), string(body), header...)
	if err != nil || a.status != http.StatusAccepted {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	var answer struct{ Results []struct{ Status string } }
	a.json(t, &answer)
	for _, r := range answer.Results {
		counts[r.Status]++
	}
}

// overCloudEvents sends a stream in batches of CloudEvents.
func overCloudEvents(t *testing.T, s *server, base string, lines []streamtest.Line) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for from := 0; from < len(lines); from += 1000 {
		var batch []map[string]any
		for i, l := range lines[from:min(from+1000, len(lines))] {
			batch = append(batch, map[string]any{"specversion": "1.0", "source": "/e2e", "id": fmt.Sprint(from + i + 1), "type": l.Type,
				"subject": l.Device, "time": l.Time, "data": map[string]string{"severity": l.Severity, "state": l.State, "message": l.Message}})
		}
		countResults(t, s, base+"/v1/ingest/cloudevents", batch, counts, "Content-Type", "application/cloudevents-batch+json")
	}
	return counts
}

// activeAt is how many alarms are active.
func activeAt(t *testing.T, s *server) (n int) {
	t.Helper()
	query := "?limit=1000&snapshot=active"
	active := map[string]bool{}
	for more := true; more; {
		var page struct {
			Cursor  string
			More    bool
			Entries []struct {
				Alarm struct {
					ID     string
					Active bool
				}
			}
		}
		s.want(s.request(http.MethodGet, "/v1/inbox"+query, s.root(), ""), http.StatusOK).json(t, &page)
		for _, e := range page.Entries {
			active[e.Alarm.ID] = e.Alarm.Active
		}
		query, more = "?limit=1000&cursor="+page.Cursor, page.More
	}
	for _, is := range active {
		if is {
			n++
		}
	}
	return n
}

// Real streams give their figures over every door, through nginx and again,
// whether repeats are folded or not.
func TestStreamsGiveTheirFiguresOverTheDoors(t *testing.T) {
	t.Parallel()
	doors := map[string]func(*testing.T, *server, string, []streamtest.Line) map[string]int{
		"batch": overBatches, "upload": overUpload, "cloudevents": overCloudEvents}
	for _, stream := range streamtest.Streams(t) {
		for door, send := range doors {
			for _, fold := range []string{"0", "1m"} {
				t.Run(stream.Name+" "+door+" fold "+fold, func(t *testing.T) {
					s := newServer(t, "--device-time", "trust", "--fold", fold)
					base := transporttest.Nginx(t, []string{s.http})
					for _, run := range []string{"first", "again"} {
						c := send(t, s, base, stream.Lines)
						got := figures{Events: len(stream.Lines), Occurrences: c["raised"], Repeats: c["repeated"], Clears: c["cleared"],
							Orphans: c["orphan"], Late: c["late"], Rejected: c["rejected"], Active: activeAt(t, s)}
						if want := wanted(stream); got != want {
							t.Errorf("the %s time: got %+v\nwant %+v", run, got, want)
						}
					}
				})
			}
		}
	}
}

// A publisher's upload through nginx is answered while it goes on.
func TestAnUploadThroughNginx(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	base := transporttest.Nginx(t, []string{s.http})
	body, in := io.Pipe()
	defer in.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/ingest/lines", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.root())
	req.Header.Set("Content-Type", "application/x-ndjson")
	send := func(line string) { // ends with the body, which the test closes
		go fmt.Fprintln(in, line)
	}
	const one = `{"device":"d1","type":"t","severity":"minor"}`
	send(one)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out := json.NewDecoder(resp.Body)
	read := func() (l struct {
		Line   int
		Status string
		End    bool
	}) {
		t.Helper()
		if err := out.Decode(&l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	began := time.Now()
	if l := read(); l.Line != 1 || l.Status != "raised" {
		t.Errorf("%+v", l)
	}
	for n := 2; n < 5; n++ {
		send(one)
		if l := read(); l.Line != n || l.Status != "repeated" {
			t.Errorf("%+v", l)
		}
	}
	in.Close()
	if l := read(); !l.End || time.Since(began) > patience {
		t.Errorf("%+v", l)
	}
}
