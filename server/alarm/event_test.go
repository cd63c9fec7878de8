package alarm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

func attrs(n, bytes int) map[string]string {
	m := map[string]string{}
	for i := range n {
		k := fmt.Sprintf("%02d", i)
		m[k] = strings.Repeat("v", bytes/n-len(k))
	}
	return m
}

// Every limit of a field: at it, and one beyond.
func TestLimitsOfAnEvent(t *testing.T) {
	ok := alarm.Event{Device: "d", Type: "t", Severity: "major"}
	for _, c := range []struct {
		field string
		at    func(e *alarm.Event, beyond int)
	}{
		{"device", func(e *alarm.Event, b int) { e.Device = strings.Repeat("ü", 64+b) }},
		{"type", func(e *alarm.Event, b int) { e.Type = strings.Repeat("t", 128+b) }},
		{"qualifier", func(e *alarm.Event, b int) { e.Qualifier = strings.Repeat("😀", 128+b) }},
		{"id", func(e *alarm.Event, b int) { e.ID = strings.Repeat("i", 128+b) }},
		{"attrs", func(e *alarm.Event, b int) { e.Attrs = attrs(32+b, 640) }},
		{"attrs", func(e *alarm.Event, b int) {
			e.Attrs = attrs(32, 4096)
			e.Attrs["00"] += strings.Repeat("x", b)
		}},
	} {
		e := ok
		c.at(&e, 0)
		if err := e.Check(); err != nil {
			t.Errorf("%s at its limit: %v", c.field, err)
		}
		e = ok
		c.at(&e, 1)
		var field *alarm.FieldError
		if err := e.Check(); !errors.As(err, &field) || field.Field != c.field {
			t.Errorf("%s beyond its limit: %v", c.field, err)
		}
	}
}

func TestParseEventNamesTheField(t *testing.T) {
	for text, want := range map[string]string{
		`{"device":"d","type":"t","severity":"major"}`:                               "",
		`{"device":"d","type":"t","state":"cleared","unknown":1}`:                    "",
		`{"device":7,"type":"t","severity":"major"}`:                                 "device: want a string, not number",
		`{"device":"d","type":"t","severity":"major","attrs":{"a":1}}`:               "attrs: want a string, not number",
		`{"device":"d","type":"t","severity":"major","attrs":[]}`:                    "attrs: want an object of strings, not array",
		`{"device":"d","type":"t","severity":"major","time":"yesterday"}`:            "time: want RFC 3339",
		`{"device":"d","type":"t","severity":"major","time":17}`:                     "time: want RFC 3339",
		`{"device":"","type":"t","severity":"major"}`:                                "device: 1 to 64 characters, not 0",
		`{"device":"d","type":"a b","severity":"major"}`:                             "type: only A-Z",
		`{"device":"d","type":"t"}`:                                                  "severity: required",
		`{"device":"d","type":"t","severity":"major","state":"up"}`:                  "state: want raised or cleared",
		`{"device":"d","type":"t","severity":"major","kind":"x"}`:                    "kind: want stateful or momentary",
		`{"device":"d","type":"t","severity":"major","time":"0001-01-02T00:00:00Z"}`: "time: want a year",
		`{"device":"d"`: "malformed: not JSON",
		`[]`:            "malformed: an event is a JSON object",
		``:              "malformed: an event is a JSON object",
		"{\"device\":\"\xff\",\"type\":\"t\",\"severity\":\"major\"}": "malformed: an event is UTF-8",
	} {
		_, err := alarm.ParseEvent([]byte(text))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	most := `{"device":"d","type":"t","severity":"major"}`
	most += strings.Repeat(" ", alarm.MaxEventBytes-len(most))
	if _, err := alarm.ParseEvent([]byte(most)); err != nil {
		t.Errorf("an event of 64 KiB: %v", err)
	}
	var field *alarm.FieldError
	if _, err := alarm.ParseEvent([]byte(most + " ")); !errors.As(err, &field) {
		t.Errorf("an event beyond 64 KiB: %v", err)
	}
}

func TestAnyTextArrivesIntact(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	const hostile = "CR\r LF\n CRLF\r\n </script> NUL\x00 \U0001f6a8 \u2028 \"\\ <b>&amp;"
	e := alarm.Event{Device: "d\r\n</script>\x00😀", Type: "t", Qualifier: "q\r\n", Severity: "major",
		Message: hostile, Attrs: map[string]string{"k\r\n": hostile}}
	r := n.one(e)
	a := n.get(r.ID)
	if a.Message != hostile || a.Attrs["k\r\n"] != hostile || a.Device != e.Device || a.Qualifier != e.Qualifier {
		t.Errorf("read back: %+v", a)
	}
	reader := inboxtest.Open(t, n.view, "chief", inbox.Start{Cursor: inbox.Earliest}, "*")
	b, err := reader.Read(t.Context(), 10)
	if err != nil || len(b.Items) != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	text := b.Items[0].AppendJSON(nil)
	var entry struct{ Alarm alarm.Alarm }
	if err := json.Unmarshal(text, &entry); err != nil || entry.Alarm.Message != hostile {
		t.Errorf("the entry: %s, %v", text, err)
	}
	if strings.ContainsAny(string(text), "\r\n<>\x00") {
		t.Errorf("the entry has raw control or markup characters: %q", text)
	}
}

func TestMessagesAreCutAtARune(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	for size, want := range map[int]int{alarm.MaxMessageBytes: 1024, alarm.MaxMessageBytes + 1: 1024} {
		e := raise("major")
		e.Message = strings.Repeat("x", size)
		if m := n.get(n.one(e).ID).Message; len(m) != want {
			t.Errorf("a message of %d bytes became one of %d", size, len(m))
		}
	}
	e := raise("major")
	e.Message = "x" + strings.Repeat("😀", 300)
	if m := n.get(n.one(e).ID).Message; !utf8.ValidString(m) || len(m) != 1021 || !strings.HasPrefix(e.Message, m) {
		t.Errorf("%d bytes: %q", len(m), m)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"device":"d","type":"t","severity":"major","time":"2026-11-21T02:00:00.250Z","attrs":{"a":"b"}}`))
	f.Add([]byte(`{"device":null,"state":"cleared","attrs":{"":""}}`))
	f.Add([]byte("{\"device\":\"\\ud800\"}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := alarm.ParseEvent(text); err == nil && e.Check() != nil {
			t.Errorf("%q parses but does not pass its own check", text)
		}
	})
}
