package httpd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	remote "tocsin/server/client"
)

// ask says something with a ref and returns the answer to it.
func ask(t *testing.T, conn *remote.Socket, text string) (answer struct {
	Op, Ref        string
	Alarm, Problem json.RawMessage
	Results        json.RawMessage
}) {
	t.Helper()
	say(t, conn, text)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for answer.Ref == "" {
		frame, err := conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(frame, &answer); err != nil {
			t.Fatal(err)
		}
	}
	return answer
}

// own is what two alarms of different devices cannot have in common, and two
// answers.
var own = regexp.MustCompile(`"(id|device|[a-z_]+_at|shelved_until|instance)":"[^"]*"`)

func common(text string) string { return own.ReplaceAllString(strings.TrimSpace(text), `"$1":…`) }

// A command has the same outcome over HTTP and over a WebSocket, errors included.
func TestASocketDoesWhatHTTPDoes(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial()
	over := map[bool]string{true: w.raise("d1"), false: w.raise("d2")}
	note := strings.Repeat("x", alarm.MaxNoteBytes)
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, step := range []struct{ op, members, rev string }{
		{"ack", ``, "9"}, {"ack", `"note":"mine"`, "1"}, {"ack", `"note":"again"`, ""}, {"unack", ``, "2"},
		{"comment", ``, ""}, {"comment", `"note":"` + note + `"`, ""}, {"comment", `"note":"` + note + `x"`, ""},
		{"shelve", `"until":"` + soon + `"`, ""}, {"shelve", `"until":"2001-01-01T00:00:00Z"`, ""},
		{"shelve", `"until":"tomorrow"`, ""}, {"unshelve", ``, ""}, {"unshelve", ``, ""},
		{"clear", ``, ""}, {"clear", `"note":"replaced"`, "6"}, {"clear", `"note":"replaced"`, ""},
	} {
		var headers []string
		members := `,"alarm":"` + over[false] + `"`
		if step.members != "" {
			members += "," + step.members
		}
		if step.rev != "" {
			headers = []string{"If-Match", `"` + step.rev + `"`}
			members += `,"rev":` + step.rev
		}
		a := w.do("POST", "/v1/alarms/"+url.PathEscape(over[true])+"/"+step.op, "{"+step.members+"}", headers...)
		b := ask(t, conn, `{"op":"`+step.op+`","ref":"r"`+members+`}`)
		got, want := common(string(b.Alarm)+string(b.Problem)), common(a.body)
		want = strings.Replace(want, `,"instance":…`, "", 1)
		if got != want || (a.status == 200) != (b.Op == "ok") {
			t.Errorf("%s %s: %d over HTTP:\n%s\nover a WebSocket: %s\n%s", step.op, step.members, a.status, want, b.Op, got)
		}
	}
}

func TestASocketAcknowledgesMany(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial()
	ids := make([]string, alarm.MaxCommands)
	for i := range ids {
		ids[i] = fmt.Sprintf("d%d.t._.1.x", i)
	}
	ids[3] = w.raise("d1")
	list := func(ids []string) string {
		text, err := json.Marshal(ids)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var results []struct {
		ID             string
		Alarm, Problem *struct {
			Acked  bool
			Status int
		}
	}
	a := ask(t, conn, `{"op":"ack","ref":"r","note":"all","alarms":`+list(ids)+`}`)
	if err := json.Unmarshal(a.Results, &results); err != nil || len(results) != len(ids) {
		t.Fatalf("%s: %v", a.Results, err)
	}
	for i, r := range results {
		if i == 3 && (r.Alarm == nil || !r.Alarm.Acked) || i != 3 && (r.Problem == nil || r.Problem.Status != 404) || r.ID != ids[i] {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	for _, bad := range []string{list(append(ids, "one")), "[]"} {
		a := ask(t, conn, `{"op":"ack","ref":"r","alarms":`+bad+`}`)
		if !strings.Contains(string(a.Problem), `"status":422`) || !strings.Contains(string(a.Problem), `"field":"alarms"`) || !strings.Contains(string(a.Problem), "200") {
			t.Errorf("%.40s: %s %s", bad, a.Op, a.Problem)
		}
	}
	a = ask(t, conn, `{"op":"dance","ref":"r"}`)
	for _, op := range alarm.Ops {
		if !strings.Contains(string(a.Problem), " "+string(op)+",") {
			t.Errorf("of an unknown op: %s, want %s in it", a.Problem, op)
		}
	}
}
