package httpd

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
)

// eve is of no group.
func (w *world) eve() []string {
	w.t.Helper()
	token, err := auth.Sign(secret, auth.Issue{User: "eve", TTL: time.Minute}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return bearer(token)
}

func until(d time.Duration) string {
	return `{"until":"` + time.Now().Add(d).UTC().Format(time.RFC3339) + `"}`
}

func TestEveryOperationOverHTTP(t *testing.T) {
	w := newWorld(t, nil)
	path := "/v1/alarms/" + url.PathEscape(w.raise("d1"))
	for i, step := range []struct{ op, body, want string }{
		{"ack", `{"note":"mine"}`, `"acked":true`},
		{"unack", ``, `"acked":false`},
		{"comment", `{"note":"hm"}`, `"comments":1`},
		{"shelve", until(time.Hour), `"shelved_by":"ada"`},
		{"unshelve", `{}`, `"acked":false`},
		{"clear", `{"note":"replaced"}`, `"clear_reason":"forced"`},
	} {
		rev := fmt.Sprintf(`"%d"`, i+1)
		w.do("POST", path+"/"+step.op, step.body, "If-Match", `"99"`).problem(412, "changed", `"rev":`+rev[1:len(rev)-1])
		w.do("POST", path+"/"+step.op, step.body, w.eve()...).problem(404, "not-found")
		a := w.do("POST", path+"/"+step.op, step.body, "If-Match", rev).want(200, step.want)
		if got, want := a.header.Get("ETag"), fmt.Sprintf(`"%d"`, i+2); got != want {
			t.Errorf("%s: ETag %s, want %s", step.op, got, want)
		}
	}
	w.do("POST", path+"/dance", ``).problem(404, "not-found")
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"major"}`).want(202)
	for _, op := range alarm.Ops {
		w.do("POST", path+"/"+string(op), `{"note":"x"}`).problem(409, "superseded", `"occurrence":2`)
	}
	w.do("GET", path, "").want(200, `"superseded":true`, `"occurrence":1`, `"clear_reason":"forced"`)
}

func TestCommandsAtTheirLimits(t *testing.T) {
	w := newWorld(t, nil)
	path := "/v1/alarms/" + url.PathEscape(w.raise("d1"))
	note := strings.Repeat("x", alarm.MaxNoteBytes)
	for _, op := range []string{"ack", "comment"} {
		w.do("POST", path+"/"+op, `{"note":"`+note+`x"}`).problem(422, "invalid", `"field":"note"`, "1024", "1025")
		w.do("POST", path+"/"+op, `{"note":"`+note+`"}`).want(200)
	}
	for _, op := range []string{"comment", "clear"} {
		w.do("POST", path+"/"+op, `{"note":" "}`).problem(422, "invalid", `"field":"note"`)
		w.do("POST", path+"/"+op, ``).problem(422, "invalid", `"field":"note"`)
	}
	w.do("POST", path+"/shelve", until(alarm.MaxShelf)).want(200)
	w.do("POST", path+"/shelve", until(alarm.MaxShelf+5*time.Second)).problem(422, "invalid", `"field":"until"`, "30 days")
	w.do("POST", path+"/shelve", until(-time.Second)).problem(422, "invalid", `"field":"until"`)
	w.do("POST", path+"/shelve", `{"until":"tomorrow"}`).problem(400, "malformed", `"field":"until"`)
	w.do("POST", path+"/shelve", ``).want(200)
}

func TestAcknowledgeManyAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	var ids []string
	for i := range 3 {
		ids = append(ids, w.raise(fmt.Sprintf("d%d", i)))
	}
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"cleared"}`).want(202)
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"major"}`).want(202)
	body, _ := json.Marshal(map[string]any{"ids": append(ids, "none", ids[0]), "note": "all mine"})
	a := w.do("POST", "/v1/alarms/ack", string(body)).want(200)
	var answer struct {
		Results []struct {
			ID      string
			Alarm   *alarm.Alarm
			Problem *struct {
				Status int
				Alarm  *alarm.Alarm
			}
		}
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || len(answer.Results) != 5 {
		t.Fatalf("%s: %v", a.body, err)
	}
	for i, want := range []int{0, 409, 0, 404, 0} {
		r := answer.Results[i]
		switch {
		case want == 0 && (r.Alarm == nil || !r.Alarm.Acked || r.Alarm.AckNote != "all mine" || r.Alarm.ID != r.ID):
			t.Errorf("result %d: %+v", i, r)
		case want != 0 && (r.Problem == nil || r.Problem.Status != want || r.Alarm != nil):
			t.Errorf("result %d: %+v, want %d", i, r, want)
		}
	}
	if present := answer.Results[1].Problem.Alarm; present == nil || present.Occurrence != 2 {
		t.Errorf("the present one of the superseded: %+v", present)
	}
	if answer.Results[4].Alarm.Rev != 2 {
		t.Errorf("a second time: %+v", answer.Results[4].Alarm)
	}
	w.do("POST", "/v1/alarms/ack", `{"ids":["`+ids[0]+`"]}`, w.eve()...).want(200, `"status":404`)
}

func TestManyHasALimit(t *testing.T) {
	w := newWorld(t, nil)
	ids := make([]string, alarm.MaxCommands)
	for i := range ids {
		// As long as an id can be.
		ids[i] = fmt.Sprintf("%03d.", i) + strings.Repeat("=F0=9F=98=80", 128) + ".t.1.x"
	}
	ids[0] = w.raise("d1")
	say := func(ids []string, note string) string {
		text, err := json.Marshal(map[string]any{"ids": ids, "note": note})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	w.do("POST", "/v1/alarms/ack", say(ids, strings.Repeat("x", alarm.MaxNoteBytes+1))).problem(422, "invalid", `"field":"note"`)
	w.do("POST", "/v1/alarms/ack", say(append(ids, "one"), "")).problem(422, "invalid", `"field":"ids"`, "200", "201")
	w.do("POST", "/v1/alarms/ack", say(nil, "")).problem(422, "invalid", `"field":"ids"`)
	w.do("POST", "/v1/alarms/ack", ``).problem(400, "malformed")
	w.do("POST", "/v1/alarms/ack", say(ids, strings.Repeat("x", alarm.MaxNoteBytes))).want(200, `"acked":true`, `"status":404`)
	w.do("POST", "/v1/alarms/ack", say([]string{strings.Repeat("x", maxIDsBody)}, "")).problem(413, "too-large")
	other := w.raise("d2")
	w.log.fail(inbox.ErrFull)
	w.do("POST", "/v1/alarms/ack", say([]string{other, other}, "")).problem(503, "storage-full")
	w.log.fail(nil)
}
