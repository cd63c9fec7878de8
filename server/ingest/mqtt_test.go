package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/ingest"
	"tocsin/server/natslog"
)

func TestMQTTDevices(t *testing.T) {
	long := strings.Repeat("é", inbox.MaxDeviceChars)
	for topic, want := range map[string]string{
		"alarms/860000000000017":   "860000000000017",
		"alarms/10.0.0.1":          "10.0.0.1",
		"alarms/rack%201%2Funit+2": "rack 1/unit+2",
		"alarms/100%25":            "100%",
		"alarms/" + long:           long,
		"alarms/" + long + "x":     "",
		"alarms/":                  "",
		"alarms/a/b":               "",
		"alarms/a/":                "",
		"alarms/100%":              "",
		"alarms/%FF":               "",
		"alarm/a":                  "",
		"alarms":                   "",
	} {
		items := ingest.MQTTItems(&ingest.MQTTMessage{ID: "1", Topic: topic, Payload: []byte(`{"type":"t","severity":"major"}`)})
		if len(items) != 1 || items[0].Event.Device != want || (items[0].Err == nil) != (want != "") {
			t.Errorf("%s: %+v, want the device %q", topic, items, want)
		}
	}
}

func TestMQTTPayloads(t *testing.T) {
	for payload, want := range map[string]string{ // the problem of each event
		`{"type":"t","severity":"major"}`:                "-",
		` {"device":"d","type":"t","severity":"major"} `: "-",
		`[{"type":"t","severity":"major"},{"type":"t"}]`: "- severity",
		`[{"type":"t","severity":"major"},7]`:            "- malformed",
		`[]`:                                             "",
		``:                                               "malformed",
		`"text"`:                                         "malformed",
		`{"type":"t","severity":"major"} {}`:             "malformed",
		`[{"type":"t","severity":"major"}] []`:           "malformed",
		`{"device":"e","type":"t","severity":"major"}`:   "device",
		`{"type":"t","severity":"major","id":"` + many("i", 128) + `"}`:                      "-",
		`{"type":"t","severity":"major","message":"` + many("m", alarm.MaxEventBytes) + `"}`: "event",
	} {
		var got []string
		for _, item := range ingest.MQTTItems(&ingest.MQTTMessage{ID: "1", Topic: "alarms/d", Payload: []byte(payload)}) {
			var field interface{ InField() (string, string) }
			switch {
			case item.Err == nil && item.Event.Device == "d" && item.Event.Check() == nil && item.Event.ID != "":
				got = append(got, "-")
			case errors.As(item.Err, &field):
				name, _ := field.InField()
				got = append(got, name)
			case errors.Is(item.Err, alarm.ErrMalformed):
				got = append(got, "malformed")
			default:
				got = append(got, fmt.Sprint(item.Err))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%.80s: %v, want %s", payload, got, want)
		}
	}
}

func many(s string, n int) string { return strings.Repeat(s, n) }

// Ids of events are their device's, since nobody knows whose the message is; a
// message without ids is known by its own.
func TestMQTTIDs(t *testing.T) {
	id := func(message, topic, id string) string {
		payload := `{"type":"t","severity":"major","id":"` + id + `"}`
		return ingest.MQTTItems(&ingest.MQTTMessage{ID: message, Topic: topic, Payload: []byte(payload)})[0].Event.ID
	}
	if id("1", "alarms/a", "x") != id("2", "alarms/a", "x") {
		t.Error("an id that is sent again is another one")
	}
	if first, again := id("1", "alarms/a", ""), id("1", "alarms/a", ""); first != again {
		t.Error("a message that is given again has another id")
	}
	seen := map[string]bool{}
	for _, one := range []string{
		id("1", "alarms/a", "x"), id("1", "alarms/b", "x"), id("1", "alarms/ax", ""),
		id("2", "alarms/a", ""), id("1", "alarms/a", "y"), id("1", "alarms/a", "1"),
	} {
		if seen[one] {
			t.Errorf("%s is there twice", one)
		}
		seen[one] = true
	}
}

// mqttDoor is the door of an engine on a real log, with letters in a real feed.
func mqttDoor(t *testing.T, o natslog.Options) (*ingest.MQTT, *natslog.Log) {
	t.Helper()
	o.Dir = t.TempDir()
	log, err := natslog.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	epoch, err := inbox.BeginEpoch(t.Context(), log, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	view, _ := inboxtest.StartView(t, log, inbox.ViewOptions{Unassigned: []string{"unassigned"}})
	engine := alarm.New(alarm.Options{Log: log, View: view, Epoch: epoch, Unassigned: []string{"unassigned"},
		Router: directory.New(directory.Options{Log: log, View: view, Epoch: epoch})})
	feed, err := log.Feed(t.Context(), natslog.FeedConfig{Name: "deadletters"})
	if err != nil {
		t.Fatal(err)
	}
	return &ingest.MQTT{Publish: engine.Publish, Letters: ingest.NewDeadLetters(feed)}, log
}

var mqttMessages = []ingest.MQTTMessage{
	{ID: "1", Topic: "alarms/d", Payload: []byte(`{"type":"t","severity":"major"}`), At: time.Now()},
	{ID: "2", Topic: "alarms/d", Payload: []byte(`[{"type":"u","severity":"minor"},{"type":"t","severity":"minor"}]`), At: time.Now()},
	{ID: "3", Topic: "alarms/d", Payload: []byte(`{"type":"t","state":"cleared"}`), At: time.Now()},
}

func TestMQTTTakenTwiceIsPublishedOnce(t *testing.T) {
	door, log := mqttDoor(t, natslog.Options{})
	var last uint64
	for n := range 2 {
		counts := map[string]int{}
		door.Published = func(status string, n int) { counts[status] += n }
		if err := door.Take(t.Context(), mqttMessages); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(counts) != "map[cleared:1 raised:2 repeated:1]" {
			t.Errorf("the outcomes were %v", counts)
		}
		b, err := log.Bounds(t.Context())
		if err != nil || n == 1 && b.Last != last {
			t.Errorf("the log grew from %d to %d, %v", last, b.Last, err)
		}
		last = b.Last
	}
	if letters, err := door.Letters.List(t.Context(), 10); err != nil || len(letters) != 0 {
		t.Errorf("letters: %+v, %v", letters, err)
	}
}

func TestMQTTIsAskedAgainWhenTheStorageIsFull(t *testing.T) {
	var full atomic.Bool
	door, _ := mqttDoor(t, natslog.Options{Reserve: 50, ReserveInterval: time.Millisecond,
		FreeSpace: func(string) (uint64, error) {
			if full.Load() {
				return 0, nil
			}
			return 100, nil
		}})
	full.Store(true)
	for until := time.Now().Add(30 * time.Second); ; {
		if err := door.Take(t.Context(), mqttMessages); errors.Is(err, inbox.ErrFull) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("a full storage took everything")
		}
	}
	bad := ingest.MQTTMessage{ID: "4", Topic: "alarms/d", Payload: []byte("bad")}
	if err := door.Take(t.Context(), []ingest.MQTTMessage{bad}); !errors.Is(err, inbox.ErrFull) {
		t.Errorf("a letter that cannot be kept: %v", err)
	}
	full.Store(false)
	for until := time.Now().Add(30 * time.Second); ; {
		if err := door.Take(t.Context(), append(mqttMessages, bad)); err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal("with space again it is still refused")
		}
	}
	letters, err := door.Letters.List(t.Context(), 10)
	if err != nil || len(letters) != 1 || string(letters[0].Body) != "bad" || letters[0].Device != "d" || letters[0].Publisher != "mqtt" {
		t.Errorf("letters: %+v, %v", letters, err)
	}
}
