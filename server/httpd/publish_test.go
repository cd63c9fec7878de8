package httpd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

const good = `{"device":"d1","type":"overspeed","severity":"major"}`

type result struct {
	ID        string
	Rev, Seq  uint64
	Status    string
	Duplicate bool
	Problem   *struct {
		Type, Field string
		Status      int
	}
}

func (a answer) results() []result {
	a.t.Helper()
	var v struct{ Results []result }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("%s: %v", a.body, err)
	}
	return v.Results
}

// wantStatuses compares the statuses of all lines.
func (a answer) wantStatuses(want ...string) []result {
	a.t.Helper()
	a.want(202)
	var got []string
	for _, r := range a.results() {
		got = append(got, r.Status)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		a.t.Errorf("%v, want %v", got, want)
	}
	return a.results()
}

func TestABadLineSpoilsNoOther(t *testing.T) {
	w := newWorld(t, nil)
	big := `{"device":"d9","type":"t","severity":"major","message":"` + strings.Repeat("x", alarm.MaxEventBytes) + `"}`
	bad := []string{good, `{"device":"","type":"t","severity":"major"}`, `7`, `{"device":5,"type":"t"}`, big, good}
	for name, a := range map[string]answer{
		"array": w.do("POST", "/v1/alarms", " [ "+strings.Join(bad, " , ")+" ] "),
		"lines": w.do("POST", "/v1/alarms", strings.Join(bad, "\r\n\n")+"\n", "Content-Type", "application/x-ndjson; charset=utf-8"),
	} {
		r := a.want(202).results()
		if len(r) != len(bad) {
			t.Fatalf("%s: %s", name, a.body)
		}
		for i, problem := range []string{"", "invalid", "malformed", "invalid", "too-large", ""} {
			switch {
			case problem == "" && (r[i].Problem != nil || r[i].ID == "" || r[i].Seq == 0 || r[i].Rev == 0):
				t.Errorf("%s: line %d: %+v", name, i, r[i])
			case problem != "" && (r[i].Status != "rejected" || r[i].Problem == nil || r[i].Problem.Type != "/problems/"+problem):
				t.Errorf("%s: line %d: %+v, want %s", name, i, r[i], problem)
			}
		}
		if r[1].Problem.Field != "device" || r[1].Problem.Status != 422 {
			t.Errorf("%+v", r[1].Problem)
		}
	}
	broken := w.do("POST", "/v1/alarms", good+"\n{\"device\"\n"+good, "Content-Type", "application/x-ndjson")
	broken.wantStatuses("repeated", "rejected", "repeated")
}

func TestASingleBadObjectAnswersItself(t *testing.T) {
	w := newWorld(t, nil)
	post := func(body string) answer { return w.do("POST", "/v1/alarms", body) }
	post(`{"device":"d1","type":"t"}`).problem(422, "invalid", `"field":"severity"`)
	post(`{"device":"d1","type":"sp ace","severity":"major"}`).problem(422, "invalid", `"field":"type"`)
	post(`{"device":`).problem(400, "malformed")
	post(`7`).problem(400, "malformed")
	post(``).problem(400, "malformed")
	post(`{"device":"`+strings.Repeat("x", alarm.MaxEventBytes)+`"}`).problem(413, "too-large", `"limit":65536`)
	post(good).wantStatuses("raised")
}

func TestAnArrayThatIsNoJSONIsRefusedWhole(t *testing.T) {
	w := newWorld(t, nil)
	for _, body := range []string{
		"[" + good, "[" + good + ",]", "[" + good + "]]", "[" + good + "] 1", "[,]", "[" + good + " " + good + "]",
		`["`, `[{"device":"}]`, "[" + good + ",{]}]", "[\"\\\"]",
	} {
		w.do("POST", "/v1/alarms", body).problem(400, "malformed")
	}
	if w.view.Head() > 1 {
		t.Error("something was stored")
	}
	w.do("POST", "/v1/alarms", "[]").wantStatuses()
	w.do("POST", "/v1/alarms", `[`+good+`,[1,{"a":"]\\\",["}],null,"x,]"]`).wantStatuses("raised", "rejected", "rejected", "rejected")
}

func TestABatchIsBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxBatchEvents, o.MaxBatchBytes = 3, 1000 })
	w.do("POST", "/v1/alarms", "[1,2,3,4]").problem(413, "too-large", `"limit":3`)
	w.do("POST", "/v1/alarms", "1\n2\n3\n4", "Content-Type", "application/x-ndjson").problem(413, "too-large", `"limit":3`)
	w.do("POST", "/v1/alarms", strings.Repeat(" ", 1001)).problem(413, "too-large", `"limit":1000`)
	if w.view.Head() > 1 {
		t.Error("something was stored")
	}
	w.do("POST", "/v1/alarms", good, "Content-Type", "text/plain").problem(415, "media-type")
	w.do("POST", "/v1/alarms", good, "Content-Type", "application/json; charset=latin1").problem(415, "media-type")
}

func TestTheFullBatchIsTaken(t *testing.T) {
	w := newWorld(t, nil)
	var b strings.Builder
	for i := range alarm.MaxBatchEvents {
		fmt.Fprintf(&b, "{\"device\":\"d%d\",\"type\":\"t\",\"severity\":\"minor\"}\n", i)
	}
	if r := w.do("POST", "/v1/alarms", b.String(), "Content-Type", "application/x-ndjson").want(202).results(); len(r) != alarm.MaxBatchEvents {
		t.Errorf("%d results", len(r))
	}
}

func TestAnIdempotencyKeyNamesTheLines(t *testing.T) {
	w := newWorld(t, nil)
	body := "[" + good + "," + `{"device":"d2","type":"t","severity":"minor","id":"own"}` + ",7," + good + "]"
	first := w.do("POST", "/v1/alarms", body, "Idempotency-Key", "batch-1").wantStatuses("raised", "raised", "rejected", "repeated")
	again := w.do("POST", "/v1/alarms", body, "Idempotency-Key", "batch-1").wantStatuses("raised", "raised", "rejected", "repeated")
	for i := range first {
		if i != 2 && (first[i].Duplicate || !again[i].Duplicate || again[i].Seq != first[i].Seq) {
			t.Errorf("line %d: %+v, then %+v", i, first[i], again[i])
		}
	}
	w.do("POST", "/v1/alarms", `{"device":"d3","type":"t","severity":"minor","id":"batch-1/1"}`).problem(409, "id-reused")
	w.do("POST", "/v1/alarms", body, "Idempotency-Key", strings.Repeat("k", 124)).problem(400, "malformed", `"field":"Idempotency-Key"`)
}

func TestAStorageThatTakesNothingAnswersForAll(t *testing.T) {
	w := newWorld(t, nil)
	w.raise("d1")
	for err, name := range map[error]string{inbox.ErrFull: "storage-full", inbox.ErrUnavailable: "storage-unavailable"} {
		w.log.fail(err)
		a := w.do("POST", "/v1/alarms", good).problem(503, name)
		if strings.Contains(a.body, "node-7") {
			t.Errorf("the answer names the inside: %s", a.body)
		}
		w.do("POST", "/v1/alarms", "["+good+",7]").problem(503, name)
		w.do("POST", "/v1/alarms", "[7]").wantStatuses("rejected")
	}
	w.log.fail(nil)
	w.do("POST", "/v1/alarms", good).wantStatuses("repeated")
}

// What the edge adds to the reading of events: cutting out, results, problems.
func BenchmarkBatch(b *testing.B) {
	line := `{"id":"e-%d","device":"86000000000%04d","type":"overspeed","severity":"major","message":"92 km/h in an 80 km/h zone","attrs":{"speed_kmh":"92","limit_kmh":"80","road":"A7"}}`
	var text []string
	for i := range 1000 {
		text = append(text, fmt.Sprintf(line, i, i))
	}
	body := []byte("[" + strings.Join(text, ",") + "]")
	s := &Server{o: Options{}.withDefaults()}
	results := make([]alarm.Result, 1000)
	for i := range results {
		results[i] = alarm.Result{ID: "860000000000017.overspeed._.1.mwprg3k0", Rev: 1, Seq: uint64(i), Status: "raised"}
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		p := publishing{most: 5000}
		if err := p.readArray(body); err != nil || len(p.events) != 1000 {
			b.Fatal(err)
		}
		s.appendResults(nil, &p, results)
	}
}
