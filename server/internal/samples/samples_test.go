package samples_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"tocsin/server/alarm"
	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/internal/samples"
)

const many = 20_000

type identity struct{ device, typ, qualifier string }

func identityOf(e alarm.Event) identity { return identity{e.Device, e.Type, e.Qualifier} }

func TestEveryEventIsValid(t *testing.T) {
	s := samples.New(1)
	for i := range many {
		sample := s.Next()
		e := sample.Event
		if err := e.Check(); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if _, ok := inbox.ParseSeverity(e.Severity); !ok && e.State != alarm.StateCleared {
			t.Fatalf("event %d has the severity %q", i, e.Severity)
		}
		if sample.After < time.Second || sample.After > 3*time.Second {
			t.Fatalf("event %d comes after %v", i, sample.After)
		}
		for name, value := range e.Attrs {
			if value == "" || strings.ContainsFunc(name, unicode.IsUpper) {
				t.Fatalf("event %d: %s=%q", i, name, value)
			}
		}
	}
}

func TestLifeCycle(t *testing.T) {
	s := samples.New(2)
	active := map[identity]bool{}
	seen := map[string]int{}
	most := 0
	for i := range many {
		e := s.Next().Event
		key := identityOf(e)
		switch {
		case e.State == alarm.StateCleared && !active[key]:
			t.Fatalf("event %d clears what is not active: %+v", i, e)
		case e.State == alarm.StateCleared:
			delete(active, key)
			seen["cleared"]++
		case e.Kind == alarm.KindMomentary:
			seen["momentary"]++
		case active[key]:
			seen["repeated"]++
		default:
			active[key] = true
			seen["raised"]++
		}
		seen[e.Severity]++
		most = max(most, len(active))
		if len(active) > samples.MaxActive {
			t.Fatalf("after event %d, %d are active", i, len(active))
		}
	}
	for _, what := range []string{"raised", "repeated", "cleared", "momentary", "critical", "major", "minor", "warning", "indeterminate"} {
		if seen[what] < many/200 {
			t.Errorf("%s: %d of %d", what, seen[what], many)
		}
	}
	if most < 10 {
		t.Errorf("never more than %d were active", most)
	}
	t.Logf("at most %d active, %v", most, seen)
}

func TestTheSeedSettlesEverything(t *testing.T) {
	a, b, other := samples.New(7), samples.New(7), samples.New(8)
	differs := false
	for i := range 1000 {
		x, y := a.Next(), b.Next()
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("sample %d: %+v and %+v", i, x, y)
		}
		differs = differs || !reflect.DeepEqual(x, other.Next())
	}
	if !differs {
		t.Error("another seed gives the same")
	}
}

func TestTheEngineTakesThemAll(t *testing.T) {
	log := &inbox.MemoryLog{}
	now := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	epoch, err := inbox.BeginEpoch(t.Context(), log, now)
	if err != nil {
		t.Fatal(err)
	}
	view, _ := inboxtest.StartView(t, log, inbox.ViewOptions{Unassigned: []string{"unassigned"}})
	dir := directory.New(directory.Options{Log: log, View: view, Epoch: epoch})
	report, err := dir.Import(t.Context(), strings.NewReader(samples.Directory()))
	if err != nil || report.Rejected > 0 || report.Users != 3 {
		t.Fatalf("import: %+v, %v", report, err)
	}
	engine := alarm.New(alarm.Options{Log: log, View: view, Router: dir, Epoch: epoch,
		Unassigned: []string{"unassigned"}, Now: func() time.Time { return now }})
	s := samples.New(3)
	for i := range 500 {
		sample := s.Next()
		now = now.Add(sample.After)
		if _, known := dir.Device(sample.Event.Device); !known {
			t.Fatalf("event %d: the directory does not know %s", i, sample.Event.Device)
		}
		switch r := engine.Publish(t.Context(), "demo", []alarm.Event{sample.Event})[0]; r.Status {
		case alarm.StatusRaised, alarm.StatusRepeated, alarm.StatusCleared:
		default:
			t.Fatalf("event %d %+v: %s %v", i, sample.Event, r.Status, r.Err)
		}
	}
}

func TestDirectory(t *testing.T) {
	groups := map[string][]string{}
	users := map[string][]string{}
	trackers := 0
	for line := range strings.Lines(samples.Directory()) {
		var l struct {
			Device, User string
			Groups       []string
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.User != "" {
			users[l.User] = l.Groups
			continue
		}
		groups[l.Device] = l.Groups
		if strings.HasPrefix(l.Device, "00") {
			trackers++
			if !luhnHolds(l.Device) || len(l.Device) != 15 {
				t.Errorf("%s is no IMEI", l.Device)
			}
		}
	}
	if trackers < 5 || len(groups) < 15 {
		t.Errorf("%d devices, %d of them trackers", len(groups), trackers)
	}
	if !reflect.DeepEqual(users["demo"], []string{"*"}) || !reflect.DeepEqual(users["fleet-7"], []string{"fleet-7"}) || len(users["night-shift"]) < 2 {
		t.Errorf("users: %v", users)
	}
}

// luhnHolds checks a number with its check digit.
func luhnHolds(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return sum%10 == 0
}
