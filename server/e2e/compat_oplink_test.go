package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"tocsin/transports/transporttest"
)

// A backend is the system that knows the sessions: a web server of its own, which
// takes "s-1001" for user 1001 and "s-ada" for ada.
type backend struct {
	*httptest.Server
	asked atomic.Int64
	dead  atomic.Bool
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		var body struct{ Token string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		uid, known := strings.CutPrefix(body.Token, "s-")
		switch {
		case b.dead.Load():
			w.WriteHeader(http.StatusBadGateway)
		case !known:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			if _, err := strconv.Atoi(uid); err != nil {
				uid = strconv.Quote(uid)
			}
			_, _ = io.WriteString(w, `{"uid":`+uid+`,"groups":["crew"]}`)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// An oplink is a client of JSON operations, written from docs/compat alone.
type oplink struct {
	*transporttest.Socket
	t *testing.T
}

const succeeded = `{"result":true}`

func dialOplink(t *testing.T, base string) oplink {
	t.Helper()
	return oplink{transporttest.MustDial(t, base, "/message-center"), t}
}

// enter authenticates and subscribes.
func (o oplink) enter(token string) oplink {
	o.t.Helper()
	o.Send(`{"op":"auth","token":"` + token + `"}`)
	o.Want(succeeded)
	o.Send(`{"op":"subscribe","channel":"@user"}`)
	o.Want(succeeded)
	return o
}

// An oplinkEvent is what it is told.
type oplinkEvent struct {
	Event string
	Data  struct {
		UID json.RawMessage
		Msg struct {
			Type  string
			Alarm struct{ ID, Device, Message string }
		}
	}
}

func (o oplink) event() (e oplinkEvent) {
	o.t.Helper()
	text := o.Read()
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		o.t.Fatalf("%v: %s", err, text)
	}
	return e
}

// crewServer is a server with the device d1 of the crew, and what more it is told.
func crewServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := newServer(t, flags...)
	s.want(s.request("PUT", "/v1/devices/d1", s.root(), `{"groups":["crew"]}`), 200)
	return s
}

func (s *server) raise(message string) string {
	s.t.Helper()
	var results struct{ Results []struct{ ID string } }
	s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`[{"device":"d1","type":"t","qualifier":%q,"severity":"major","message":%q}]`, message, message)), 202).json(s.t, &results)
	return results.Results[0].ID
}

func TestOplinkThroughNginx(t *testing.T) {
	t.Parallel()
	known := newBackend(t)
	s := crewServer(t, "--session-callback-url", known.URL, "--compat-publish-from", "127.0.0.1/32")
	base := transporttest.Nginx(t, []string{s.http})
	o := dialOplink(t, base)
	o.Send(`{"op":"subscribe","channel":"@user"}`)
	o.Want(`{"code":1,"msg":"Not Auth"}`)
	o.Send(`{"op":"unsubscribe","channel":"@user"}`)
	o.Want(`{"code":1,"msg":"Not Auth"}`)
	o.enter("s-1001")
	byJWT := dialOplink(t, base).enter(s.token("ada", "inbox", "crew"))

	s.raise("too fast")
	for _, one := range []struct {
		o   oplink
		uid string
	}{{o, "1001"}, {byJWT, `"ada"`}} {
		if e := one.o.event(); e.Event != "@user" || string(e.Data.UID) != one.uid || e.Data.Msg.Type != "alarm.raised" || e.Data.Msg.Alarm.Message != "too fast" {
			t.Errorf("%+v", e)
		}
	}

	// Published as the original says, without a token, on this node.
	const frame = `{"event":"@user","data":{"uid":1001,"msg":"Hello,World! <é>"}}`
	publish := func(d string) answer {
		body, _ := json.Marshal(map[string]string{"c": "user:1001", "d": d})
		return s.request("POST", "/v1/mesh/publish", "", string(body))
	}
	var answer struct {
		E any
		R struct{ S, F int }
	}
	s.want(publish(frame), 200).json(t, &answer)
	if answer.E != nil || answer.R.S != 1 || answer.R.F != 0 {
		t.Errorf("%+v", answer)
	}
	o.Want(frame)
	s.want(publish("  no JSON at all\n"), 200)
	o.Want("  no JSON at all\n")
	// It is in the inbox, for all other transports.
	var page struct {
		Entries []struct{ Notice struct{ From, Title string } }
	}
	s.want(s.request("GET", "/v1/inbox?snapshot=active", s.token("1001", "inbox"), ""), 200).json(t, &page)
	if len(page.Entries) != 2 || page.Entries[0].Notice.Title != "Hello,World! <é>" || page.Entries[0].Notice.From != "oplink" {
		t.Errorf("%+v", page)
	}

	o.Send(`{"op":"unsubscribe","channel":"@user"}`)
	o.Want(succeeded)
	s.want(publish("not for anybody"), 200)
	o.Send(`{"op":"subscribe","channel":"@user"}`)
	o.Want(succeeded)
	s.want(publish("again"), 200)
	o.Want("again")
	o.SendBinary([]byte(`{"op":"auth"}`))
	o.WantEnd(1003)
}

func TestOplinkRefusals(t *testing.T) {
	t.Parallel()
	known := newBackend(t)
	s := crewServer(t, "--session-callback-url", known.URL, "--auth-timeout", "1s")
	for frame, want := range map[string]struct {
		answer string
		code   int
	}{
		`{"op":"auth","token":"wrong"}`: {`{"code":1,"msg":"Not Auth"}`, 4401},
		`{"op":"auth"}`:                 {`{"code":1,"msg":"Not Auth"}`, 4401},
		`{"op":"auth","token":"` + s.token("p", "publish") + `"}`: {`{"code":1,"msg":"Not Auth"}`, 4401},
		`no JSON`:  {"", 1007},
		`[1,2]`:    {"", 1007},
		`{"op":5}`: {"", 1007},
		`{"op":"auth","token":"` + strings.Repeat("x", 70_000) + `"}`: {"", 4413},
		`{"op":"explode"}`:                     {`{"code":2,"msg":"Unknown op"}`, 4408},
		`{"op":"subscribe","channel":"@user"}`: {`{"code":1,"msg":"Not Auth"}`, 4408},
		"":                                     {"", 1007},
		`{"op":"auth","token":{"a":` + strings.Repeat(`[`, 10_000) + `}}`: {"", 1007},
	} {
		o := dialOplink(t, s.url())
		o.Send(frame)
		if want.answer != "" {
			o.Want(want.answer)
		}
		o.WantEnd(want.code)
	}
	// Nobody else was disturbed, and who is in may make mistakes, as long as he does
	// not make too many.
	o := dialOplink(t, s.url()).enter("s-7")
	for range 9 {
		o.Send(`{"op":"subscribe","channel":"@all"}`)
		o.Want(`{"code":2,"msg":"Unknown channel"}`)
	}
	o.Send(`{"op":"subscribe","channel":"@user"}`)
	o.Want(succeeded) // a second time, harmless
	o.Send(`{"op":"auth","token":"wrong"}`)
	o.Want(`{"code":1,"msg":"Not Auth"}`)
	o.Send(`{"op":"auth","token":"s-7"}`)
	o.Want(succeeded)
	s.raise("still here")
	if e := o.event(); e.Data.Msg.Alarm.Message != "still here" {
		t.Errorf("%+v", e)
	}
	o.Send(`{"op":"auth","token":"s-8"}`)
	o.WantEnd(4403)
	// The door of publishers is closed.
	a := s.want(s.request("POST", "/v1/mesh/publish", "", `{"c":"user:1","d":"x"}`), 401)
	var body struct {
		Type string
		E    struct{ C int }
	}
	if a.json(t, &body); body.E.C != 401 || body.Type != "/problems/unauthenticated" {
		t.Errorf("%s", a.body)
	}
	s.want(s.request("POST", "/v1/mesh/publish", s.token("7", "inbox"), `{"c":"user:1","d":"x"}`), 403)
	if _, err := transporttest.Dial(t, s.url(), "/v1/mesh/ws"); err == nil || err.Error() != "ended with 401" {
		t.Error(err)
	}
	for body, status := range map[string]int{`{"c":"all","d":"x"}`: 422, `{"c":"user:1"}`: 422, `x`: 400, `{"c":"user:1","d":"` + strings.Repeat("x", 17_000) + `"}`: 422} {
		s.want(s.request("POST", "/v1/mesh/publish", s.root(), body), status)
	}
}

// Operations sent in one go are answered each, in order.
func TestOplinkOperationsBackToBack(t *testing.T) {
	t.Parallel()
	s := crewServer(t)
	for range 20 {
		o := dialOplink(t, s.url())
		want := []string{}
		send := func(op, answer string) {
			o.Send(op)
			want = append(want, answer)
		}
		send(`{"op":"subscribe","channel":"@user"}`, `{"code":1,"msg":"Not Auth"}`)
		send(`{"op":"auth","token":"`+s.token("ada", "inbox", "crew")+`"}`, succeeded)
		for range 5 {
			send(`{"op":"subscribe","channel":"@user"}`, succeeded)
			send(`{"op":"no"}`, `{"code":2,"msg":"Unknown op"}`)
			send(`{"op":"unsubscribe","channel":"@user"}`, succeeded)
			send(`{"op":"unsubscribe","channel":"@user"}`, succeeded)
		}
		for _, answer := range want {
			o.Want(answer)
		}
		o.Close()
	}
}

func TestADeadCallbackKeepsWhoIsIn(t *testing.T) {
	t.Parallel()
	known := newBackend(t)
	s := crewServer(t, "--session-callback-url", known.URL)
	in := dialOplink(t, s.url()).enter("s-1001")
	known.dead.Store(true)
	again := dialOplink(t, s.url()).enter("s-1001") // it is remembered
	stranger := dialOplink(t, s.url())
	stranger.Send(`{"op":"auth","token":"s-1002"}`)
	stranger.Want(`{"code":3,"msg":"Unavailable"}`)
	stranger.WantEnd(4011) // to come back
	s.raise("while it is dead")
	for _, o := range []oplink{in, again} {
		if e := o.event(); e.Data.Msg.Alarm.Message != "while it is dead" {
			t.Errorf("%+v", e)
		}
	}
	known.dead.Store(false)
	dialOplink(t, s.url()).enter("s-1002")
	known.CloseClientConnections()
	known.Close()
	stranger = dialOplink(t, s.url())
	stranger.Send(`{"op":"auth","token":"s-1003"}`)
	stranger.Want(`{"code":3,"msg":"Unavailable"}`)
}

// Clients that ask for cursors come back with them, through a kill of the server.
func TestOplinkWithACursorLosesNothing(t *testing.T) {
	t.Parallel()
	s := crewServer(t)
	token := s.token("ada", "inbox", "crew")
	cursor, got := "latest", []string{}
	connect := func() oplink {
		o := dialOplink(t, s.url())
		o.Send(`{"op":"auth","token":"` + token + `"}`)
		o.Want(succeeded)
		o.Send(`{"op":"subscribe","channel":"@user","cursor":"` + cursor + `"}`)
		o.Want(succeeded)
		return o
	}
	read := func(o oplink, n int) {
		t.Helper()
		for n > 0 {
			var e struct {
				Event string
				Data  struct {
					Cursor string
					Msg    struct{ Alarm struct{ Message string } }
				}
			}
			if err := json.Unmarshal([]byte(o.Read()), &e); err != nil {
				t.Fatal(err)
			}
			switch e.Event {
			case "@cursor":
				cursor = e.Data.Cursor
			case "@user":
				got = append(got, e.Data.Msg.Alarm.Message)
				n--
			default:
				t.Fatalf("%+v", e)
			}
		}
		if m := o.Read(); n == 0 && !strings.Contains(m, `"@cursor"`) {
			t.Fatalf("%s", m)
		} else if err := json.Unmarshal([]byte(m[len(`{"event":"@cursor","data":`):len(m)-1]), &struct{ Cursor *string }{&cursor}); err != nil {
			t.Fatal(err)
		}
	}
	o := connect()
	o.Read() // the cursor of now
	s.raise("one")
	read(o, 1)
	o.Cut()
	s.raise("two")
	s.kill()
	s.start()
	s.raise("three")
	read(connect(), 2)
	if !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("%q", got)
	}
}
