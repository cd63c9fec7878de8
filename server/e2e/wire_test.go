package e2e

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tocsin/transports/transporttest"
)

var updateWire = flag.Bool("update-wire", false, "write testdata/wire.txt anew")

// volatile is what differs from run to run, and what stands for it.
var volatile = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-z]{12}\.[0-9a-z]+\.[0-9a-z]{9}(\.[cs][0-9a-z.]*)?\b`), "CURSOR"},
	{regexp.MustCompile(`("id":"d\.t[^"]*?\._?\.\d+\.)[0-9a-z]+"`), `${1}MS"`},
	{regexp.MustCompile(`"instance":"[A-Z2-7]{26}"`), `"instance":"REQUEST"`},
	{regexp.MustCompile(`"ticket":"[A-Z2-7]{26}"`), `"ticket":"TICKET"`},
	{regexp.MustCompile(`"seq":\d+`), `"seq":N`},
	{regexp.MustCompile(`retry: \d+`), "retry: MS"},
	{regexp.MustCompile(`"retry_ms":\d+`), `"retry_ms":MS`},
	{regexp.MustCompile(`"expires_in":\d+`), `"expires_in":S`},
	{regexp.MustCompile(`"next":"[^"]+"`), `"next":"NEXT"`},
}

func settledText(text string) string {
	for _, v := range volatile {
		text = v.what.ReplaceAllString(text, v.by)
	}
	return text
}

// wireForms collect what a server says, form by form.
type wireForms struct {
	t *testing.T
	s *server
	b strings.Builder
}

// note keeps a form; schema, unless empty, is what it has to fit besides.
func (w *wireForms) note(what, text, schema string) {
	w.t.Helper()
	if schema != "" {
		if err := openAPI().fits("#/components/schemas/"+schema, []byte(text)); err != nil {
			w.t.Errorf("%s: %v in %s", what, err, text)
		}
	}
	fmt.Fprintf(&w.b, "# %s\n%s\n", what, settledText(strings.TrimSpace(text)))
}

func (w *wireForms) ask(what string, status int, method, path, token, body string) answer {
	w.t.Helper()
	a := w.s.want(w.s.request(method, path, token, body), status)
	w.note(what, fmt.Sprintf("%d %s\n%s", a.status, a.header.Get("Content-Type"), a.body), "")
	return a
}

// The promise of docs/compatibility.md for the wire: each form of page, event and frame
// is what it was, member by member. What is added is added here, too, and shows.
func TestTheWireIsAsItWas(t *testing.T) {
	t.Parallel()
	w := &wireForms{t: t, s: newServer(t, "--fold", "0")}
	id := w.answers()
	w.events()
	w.frames(id)
	file := filepath.Join("testdata", "wire.txt")
	if *updateWire {
		if err := os.WriteFile(file, []byte(w.b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	had, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	was, is := strings.Split(string(had), "\n"), strings.Split(w.b.String(), "\n")
	for i := range max(len(was), len(is)) {
		if i >= len(was) || i >= len(is) || was[i] != is[i] {
			t.Fatalf("line %d is\n%s\nand was\n%s\n(additions: go test ./server/e2e -run TestTheWireIsAsItWas -update-wire)",
				i+1, is[min(i, len(is)-1)], was[min(i, len(was)-1)])
		}
	}
}

// answers are those of plain requests; it returns the id of an alarm.
func (w *wireForms) answers() string {
	s := w.s
	root, anna := s.root(), s.token("anna", "inbox", "crew")
	w.ask("a device", 200, "PUT", "/v1/devices/d", root, `{"groups":["crew"]}`)
	w.ask("an empty page", 200, "GET", "/v1/inbox?cursor=earliest", anna, "")
	a := w.ask("results", 202, "POST", "/v1/alarms", root, `[{"device":"d","type":"t","severity":"major","message":"m","attrs":{"k":"v"},"id":"1"},{"device":"d","type":"t"}]`)
	var got struct{ Results []struct{ ID string } }
	a.json(w.t, &got)
	id := got.Results[0].ID
	w.ask("a result, again", 202, "POST", "/v1/alarms", root, `{"device":"d","type":"t","severity":"major","message":"m","attrs":{"k":"v"},"id":"1"}`)
	w.ask("a notice's results", 202, "POST", "/v1/notices", root, `{"to":"everyone","title":"T","body":"B","data":{"k":1},"id":"n"}`)
	w.ask("a page", 200, "GET", "/v1/inbox?cursor=earliest", anna, "")
	w.ask("a page with a gap", 200, "GET", "/v1/inbox?cursor=0mwprdiyok3f.16.2hx91kq0a", anna, "")
	w.ask("an alarm", 200, "GET", "/v1/alarms/"+id, anna, "")
	w.ask("a list", 200, "GET", "/v1/alarms?limit=1", anna, "")
	w.ask("counters", 200, "GET", "/v1/counts", anna, "")
	w.ask("a command", 200, "POST", "/v1/alarms/"+id+"/ack", anna, `{"note":"N"}`)
	w.ask("a second command", 200, "POST", "/v1/alarms/"+id+"/shelve", anna, "")
	w.ask("many commands", 200, "POST", "/v1/alarms/ack", anna, `{"ids":["`+id+`","gone"]}`)
	w.ask("a history", 200, "GET", "/v1/alarms/"+id+"/history", anna, "")
	w.ask("read", 200, "POST", "/v1/inbox/read", anna, `{"upto":"latest"}`)
	w.ask("a ticket", 200, "POST", "/v1/ticket", anna, "")
	w.ask("transports", 200, "GET", "/v1/transports", "", "")
	w.ask("a problem", 401, "GET", "/v1/inbox", "", "")
	w.ask("a problem with a field", 422, "POST", "/v1/alarms", root, `{"device":"","type":"t"}`)
	w.ask("a problem with a limit", 400, "GET", "/v1/inbox?limit=1001", anna, "")
	w.ask("a report", 200, "POST", "/v1/directory", root, `{"user":"bob","groups":["crew"]}`)
	return id
}

// events are the blocks of a stream.
func (w *wireForms) events() {
	s := w.s
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.url()+"/v1/inbox/sse?cursor=nonsense%21", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token("anna", "inbox", "crew"))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	block := func(schema string) {
		w.t.Helper()
		var text, data string
		for in.Scan() && in.Text() != "" {
			text += in.Text() + "\n"
			if part, is := strings.CutPrefix(in.Text(), "data: "); is {
				data = part
			}
		}
		w.note("an event", text, "")
		if err := openAPI().fits("#/components/schemas/"+schema, []byte(data)); err != nil {
			w.t.Errorf("%s: %v in %s", schema, err, text)
		}
	}
	block("SSEHello")
	block("Gap")
	block("Entry") // the alarm, which nobody has cleared
	s.want(s.request("POST", "/v1/alarms", s.root(), `{"device":"d","type":"t2","severity":"critical"}`), 202)
	block("Entry")
	block("Counters")
	s.want(s.request("POST", "/v1/inbox/read", s.token("anna", "inbox", "crew"), `{"upto":"latest"}`), 200)
	block("Counters")
	s.want(s.request("DELETE", "/v1/users/anna/connections", s.root(), ""), 200)
	block("SSEBye")
}

// frames are those of a WebSocket. Answers come between what is delivered, in whichever
// order, so they are sorted.
func (w *wireForms) frames(id string) {
	s := w.s
	c := transporttest.MustDial(w.t, s.url(), "/v1/inbox/ws")
	c.Send(`{"op":"start","ref":0}`)
	c.WantEnd(4401)
	c = transporttest.MustDial(w.t, s.url(), "/v1/inbox/ws?access_token="+s.token("carl", "inbox publish", "crew"))
	had := map[string]bool{}
	until := func(text string) {
		w.t.Helper()
		for {
			frame := c.Read()
			if err := openAPI().fits("#/components/schemas/ServerMessage", []byte(frame)); err != nil {
				w.t.Errorf("%v in %s", err, frame)
			}
			had[settledText(numbers.ReplaceAllString(frame, `$1:N`))] = true
			if strings.Contains(frame, text) {
				return
			}
		}
	}
	for ref, say := range []string{
		`{"op":"start","cursor":"latest","ref":0}`, `{"op":"read","upto":"latest","ref":1}`, `{"op":"comment","alarm":"` + id + `","ref":2}`,
		`{"op":"ack","alarms":["gone"],"ref":3}`, `{"op":"publish","alarms":[{"device":"d","type":"t3","severity":"minor"}],"ref":4}`,
	} {
		c.Send(say)
		until(fmt.Sprintf(`"ref":%d`, ref))
	}
	for !strings.Contains(strings.Join(sortedKeys(had), ""), `"op":"entries"`) {
		until("")
	}
	s.want(s.request("DELETE", "/v1/users/carl/connections", s.root(), ""), 200)
	until(`"op":"bye"`)
	for _, frame := range sortedKeys(had) {
		w.note("a frame", frame, "")
	}
}

// numbers are those of counters, which depend on the order.
var numbers = regexp.MustCompile(`("unread"|"critical"|"major"|"minor"|"warning"|"indeterminate"):\d+`)
