package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/natslog"
)

// A server that is killed while folds and shelves are pending loses nothing that
// it has acknowledged, and ends each of them when it is back.
func TestKilledWhileFoldsAndShelvesArePending(t *testing.T) {
	t.Parallel()
	const alarms = 40
	s := newServer(t, "--fold", "2s", "--lease", "1s")
	root := s.root()
	publish := func(k int) (id string) {
		var r struct{ Results []eventResult }
		text := fmt.Sprintf(`{"device":"d%d","type":"t","severity":"major"}`, k)
		s.want(s.request("POST", "/v1/alarms", root, array([]string{text})), http.StatusAccepted).json(t, &r)
		return r.Results[0].ID
	}
	ids := make([]string, alarms)
	for k := range ids {
		ids[k] = publish(k)
	}
	until := time.Now().Add(4 * time.Second)
	for k, id := range ids {
		if k%2 == 0 {
			s.want(s.request("POST", "/v1/alarms/"+id+"/shelve", root, shelf("shelve", until)), http.StatusOK)
		}
	}
	s.kill()
	counts := make([]uint64, alarms)
	for k := range counts {
		counts[k] = 1
	}
	for range 3 { // and again before the folds are over
		s.start()
		for k := range ids {
			publish(k)
			counts[k]++
		}
		s.kill()
	}
	s.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	left := -1
	waitFor(ctx, nil, func() bool {
		pause(ctx, 50*time.Millisecond)
		left = 0
		for _, e := range lastTold(t, s) {
			if e.ShelvedUntil != nil || e.Count < 4 {
				left++
			}
		}
		return left == 0
	})
	if left > 0 {
		t.Errorf("%d alarms wait for the end of a fold or of a shelf", left)
	}
	last := lastTold(t, s)
	for k, id := range ids {
		if a := last[id]; a.Count != counts[k] {
			t.Errorf("%s: %d raises were told, %d acknowledged", id, a.Count, counts[k])
		}
	}
	s.kill()
	log := openLog(t, natslog.Options{Dir: s.data()})
	for k := range ids {
		list, states := history(t, log, fmt.Sprint("d", k), "t")
		n := len(list) - 1
		if a := states[n]; a.Count != counts[k] || a.ShelvedUntil != nil || !list[n].Due.IsZero() || list[n].Quiet {
			t.Errorf("alarm %d ends with %s, count %d, shelved until %v, due %v", k, list[n].Status, a.Count, a.ShelvedUntil, list[n].Due)
		}
	}
}

// lastTold is what a reader knows of each alarm who has read everything.
func lastTold(t *testing.T, s *server) map[string]alarm.Alarm {
	t.Helper()
	known := map[string]alarm.Alarm{}
	for cursor := "earliest"; ; {
		var page struct {
			Entries []struct{ Alarm alarm.Alarm }
			Cursor  string
			More    bool
		}
		s.want(s.request("GET", "/v1/inbox?limit=1000&cursor="+cursor, s.root(), ""), http.StatusOK).json(t, &page)
		for _, e := range page.Entries {
			known[e.Alarm.ID] = e.Alarm
		}
		if cursor = page.Cursor; !page.More {
			return known
		}
	}
}

// What is over is gone after the retention, and what is open is not.
func TestRetentionOfTheServer(t *testing.T) {
	s := newServer(t, "--retention", "2s", "--dedupe-window", "1s", "--lease", "1s", "--drain", "0s")
	root := s.root()
	publish := func(text string) (id string) {
		var r struct{ Results []eventResult }
		s.want(s.request("POST", "/v1/alarms", root, array([]string{text})), http.StatusAccepted).json(t, &r)
		return r.Results[0].ID
	}
	open := publish(`{"device":"d","type":"open","severity":"major"}`)
	over := publish(`{"device":"d","type":"over","severity":"major","kind":"momentary"}`)
	s.want(s.request("POST", "/v1/alarms/"+over+"/ack", root, ""), http.StatusOK)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	metric := func(name string) (v float64) {
		a, err := request(ctx, "GET", "http://"+s.ops+"/metrics", "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(a.body, "\n"+name+" ")
		if !found {
			t.Fatalf("no %s in\n%s", name, a.body)
		}
		line, _, _ := strings.Cut(rest, "\n")
		if v, err = strconv.ParseFloat(line, 64); err != nil {
			t.Fatal(err)
		}
		return v
	}
	messages := metric("tocsin_log_messages")
	if messages < 4 || metric("tocsin_log_bytes") < 100*messages {
		t.Errorf("%v messages of %v bytes", messages, metric("tocsin_log_bytes"))
	}
	waitFor(ctx, nil, func() bool { pause(ctx, 50*time.Millisecond); return metric("tocsin_log_first_age_seconds") > 2.5 })
	s.signal(syscall.SIGTERM)
	s.start() // and the worker looks at once
	var a answer
	waitFor(ctx, nil, func() bool {
		pause(ctx, 50*time.Millisecond)
		a = s.request("GET", "/v1/alarms/"+over, root, "")
		return a.status == http.StatusNotFound
	})
	if a.status != http.StatusNotFound {
		t.Errorf("what is over is still there: %d %s", a.status, a.body)
	}
	s.want(s.request("GET", "/v1/alarms/"+open, root, ""), http.StatusOK)
}
