package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// What stands in bob's alarms, none of which alice may ever read.
const (
	bobsDevice  = "device-blue-1"
	noDevice    = "device-blue-2"
	bobsMessage = "the vault is open"
	bobsNote    = "called the bank"
)

// A subject is what a probe asks about: bob's, or nothing that there is.
type subject struct {
	id, device, typ, group, cursor, after, user string
	seq                                         int
}

// A probe is one way to ask about somebody else's alarm.
type probe struct {
	name string
	ask  func(s *server, token string, about subject) string
	// blind probes tell their owner nothing either.
	blind bool
}

// over asks by HTTP; the placeholders are those of subject.
func over(method, path, body string, header ...string) func(*server, string, subject) string {
	return func(s *server, token string, about subject) string {
		s.t.Helper()
		h := slices.Clone(header)
		for i := range h {
			h[i] = about.fill(h[i], false)
		}
		a := s.request(method, about.fill(path, true), token, about.fill(body, false), h...)
		return fmt.Sprintln(a.status, a.header.Get("Content-Type"), a.header.Get("ETag") != "", a.body)
	}
}

func (about *subject) fill(text string, inURL bool) string {
	quote := func(s string) string { return s }
	if inURL {
		quote = url.QueryEscape
	}
	return strings.NewReplacer("{id}", quote(about.id), "{device}", quote(about.device), "{type}", quote(about.typ), "{group}", quote(about.group),
		"{cursor}", quote(about.cursor), "{after}", quote(about.after), "{user}", quote(about.user), "{seq}", fmt.Sprint(about.seq)).Replace(text)
}

// said asks by the native WebSocket.
func said(message string) func(*server, string, subject) string {
	return func(s *server, token string, about subject) string {
		s.t.Helper()
		c := transporttest.MustDial(s.t, s.url(), "/v1/inbox/ws", "Sec-WebSocket-Protocol", "tocsin.v1.json", "Authorization", "Bearer "+token)
		defer c.Cut()
		c.Send(`{"op":"start","cursor":"latest"}`)
		c.Send(about.fill(message, false))
		for {
			text := c.Read()
			if strings.Contains(text, `"ref":1`) {
				return text
			}
		}
	}
}

// form asks by a form of the page.
func form(path, fields string) func(*server, string, subject) string {
	return func(s *server, token string, about subject) string {
		s.t.Helper()
		cookie := []string{"Cookie", "tocsin_session=" + token}
		page := s.request("GET", "/inbox", "", "", cookie...)
		csrf := csrfField.FindStringSubmatch(page.body)
		if csrf == nil {
			s.t.Fatalf("no CSRF token in %s", page.body)
		}
		a := s.request("POST", path, "", about.fill(fields, true)+"&csrf="+csrf[1],
			append(cookie, "Origin", s.url(), "Content-Type", "application/x-www-form-urlencoded")...)
		return fmt.Sprintln(a.status, a.header.Get("Location"), a.body)
	}
}

var csrfField = regexp.MustCompile(`name="?csrf"? value="?([A-Za-z0-9_-]+)`)

// stompSays subscribes to a destination that may be somebody else's.
func stompSays(destination string) func(*server, string, subject) string {
	return func(s *server, token string, about subject) string {
		s.t.Helper()
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		c, err := transporttest.DialStomp(ctx, s.url())
		if err != nil {
			s.t.Fatal(err)
		}
		defer c.Close()
		_ = c.Say("CONNECT\naccept-version:1.2\npasscode:"+token, "")
		_ = c.Say("SUBSCRIBE\nid:1\nreceipt:1\ndestination:"+about.fill(destination, false), "")
		for {
			f, err := c.Read(ctx)
			if err != nil {
				return "the connection is over"
			}
			if f.Command == "RECEIPT" || f.Command == "ERROR" {
				return f.Command + " " + f.Header["message"] + " " + f.Body
			}
		}
	}
}

var probes = slices.Concat([]probe{
	{name: "the alarm", ask: over("GET", "/v1/alarms/{id}", "")},
	{name: "its history", ask: over("GET", "/v1/alarms/{id}/history", "")},
	{name: "its history from an entry on", ask: over("GET", "/v1/alarms/{id}/history?after={seq}", "")},
	{name: "whom it reached", ask: over("GET", "/v1/alarms/{id}/deliveries", ""), blind: true},
	{name: "whom an entry reached", ask: over("GET", "/v1/alarms/{id}/deliveries?seq={seq}", ""), blind: true},
	{name: "why", ask: over("GET", "/v1/explain?alarm={id}&user=alice", ""), blind: true},
	{name: "why, of another", ask: over("GET", "/v1/explain?alarm={id}&user=bob", "")},
	{name: "why, of a device", ask: over("GET", "/v1/explain?device={device}&user=alice", ""), blind: true},
	{name: "why, of a device, of another", ask: over("GET", "/v1/explain?device={device}&user={user}", "")},
	{name: "many at once", ask: over("POST", "/v1/alarms/ack", `{"ids":["{id}","none.t._.1.mwprg3qy"],"note":"n"}`)},
	{name: "read marks", ask: over("POST", "/v1/inbox/read", `{"ids":["{id}"]}`), blind: true},
	{name: "a list by device", ask: over("GET", "/v1/alarms?state=all&device={device}", "")},
	{name: "a list by type", ask: over("GET", "/v1/alarms?state=all&type={type}", "")},
	{name: "a list by group", ask: over("GET", "/v1/alarms?state=all&group={group}", "")},
	{name: "a list by text", ask: over("GET", "/v1/alarms?state=all&q={device}", "")},
	{name: "an acknowledgement as PagerDuty has it", ask: func(s *server, token string, about subject) string {
		key := "tocsin." + b64([]byte(about.device+"\x00vault\x00"))
		body, _ := json.Marshal(map[string]string{"event_action": "acknowledge", "dedup_key": key})
		a := s.request("POST", "/v1/ingest/pagerduty", token, string(body))
		return fmt.Sprintln(a.status, strings.ReplaceAll(a.body, key, "…"))
	}},
	{name: "the page of one", ask: func(s *server, token string, about subject) string {
		a := s.request("GET", about.fill("/inbox/alarm?id={id}", true), "", "", "Cookie", "tocsin_session="+token)
		return fmt.Sprintln(a.status, a.body)
	}},
	{name: "ack of many by WebSocket", ask: said(`{"op":"ack","ref":1,"alarms":["{id}"]}`)},
	{name: "read marks by WebSocket", ask: said(`{"op":"read","ref":1,"ids":["{id}"]}`), blind: true},
	{name: "ack by a form", ask: form("/inbox/ack", "id={id}&note=n")},
	{name: "ack of many by a form", ask: form("/inbox/ack", "id={id}&id=none.t._.1.mwprg3qy")},
	{name: "somebody's topic", ask: stompSays("/chat/single/{user}"), blind: false},
	{name: "somebody's inbox by STOMP", ask: stompSays("/user/{user}/queue/inbox"), blind: true},
	{name: "a word to somebody by STOMP", blind: true, ask: func(s *server, token string, about subject) string {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		c, err := transporttest.DialStomp(ctx, s.url())
		if err != nil {
			s.t.Fatal(err)
		}
		defer c.Close()
		_ = c.Say("CONNECT\naccept-version:1.2\npasscode:"+token, "")
		_ = c.Say("SEND\nreceipt:1\ndestination:/chat/single/"+about.user, "hello")
		f, err := c.Read(ctx)
		for ; err == nil && f.Command != "RECEIPT" && f.Command != "ERROR"; f, err = c.Read(ctx) {
		}
		return fmt.Sprint(f.Command, f.Header["message"], err)
	}},
	{name: "somebody's channel by JSON operations", blind: true, ask: func(s *server, token string, about subject) string {
		o := dialOplink(s.t, s.url())
		defer o.Cut()
		o.Send(`{"op":"auth","token":"` + token + `"}`)
		o.Want(succeeded)
		o.Send(`{"op":"subscribe","channel":"@user:` + about.user + `"}`)
		return o.Read()
	}},
	{name: "directory: a device", ask: over("GET", "/v1/devices/{device}", ""), blind: true},
	{name: "directory: a user", ask: over("GET", "/v1/users/{user}", ""), blind: true},
	{name: "connections", ask: over("GET", "/v1/connections?user={user}", ""), blind: true},
}, probesOfCommands())

// probesOfCommands are all commands, over all that takes them.
func probesOfCommands() (all []probe) {
	for _, op := range []string{"unack", "comment", "shelve", "unshelve", "ack", "clear"} {
		all = append(all,
			probe{name: op, ask: over("POST", "/v1/alarms/{id}/"+op, `{"note":"n"}`)},
			probe{name: op + " at a rev", ask: over("POST", "/v1/alarms/{id}/"+op, `{"note":"n"}`, "If-Match", `"1"`)},
			probe{name: op + " by WebSocket", ask: said(`{"op":"` + op + `","ref":1,"alarm":"{id}","note":"n"}`)},
			probe{name: op + " at a rev by WebSocket", ask: said(`{"op":"` + op + `","ref":1,"alarm":"{id}","note":"n","rev":1}`)},
		)
		if op != "ack" {
			all = append(all, probe{name: op + " by a form", ask: form("/inbox/do", "op="+op+"&id={id}&note=n&for=1h")})
		}
	}
	return all
}

// neutral takes out of an answer what it repeats of the question, and what is of
// its time.
func (about *subject) neutral(text string) string {
	text = instances.ReplaceAllString(text, "")
	for _, own := range []string{about.id, url.QueryEscape(about.id), about.device, about.typ, about.group, about.after, about.user} {
		if own != "" {
			text = strings.ReplaceAll(text, own, "…")
		}
	}
	return text
}

var instances = regexp.MustCompile(`"instance":"[^"]*"|"cursor":"[^"]*"|cursor" value="[^"]*"|cursor=[A-Za-z0-9._~-]*|v=[0-9a-f]{12}|name="?csrf"? value="?[A-Za-z0-9_-]+|<time[^>]*>[^<]*</time>|\d\d:\d\d:\d\d`)

// What is another's does not exist: whatever alice asks about bob's alarm, over
// whatever, is answered as if there was none, and she hears nothing of it. Bob
// himself is answered otherwise, so that a probe which finds nothing shows.
func TestNobodyLearnsOfWhatIsAnothers(t *testing.T) {
	t.Parallel()
	s, f := guarded(t, "--evidence", "1h")
	root := f.of("root", "inbox publish admin", "*")
	// They may publish, too, as some doors are publishers' and let them acknowledge.
	alice, bob := f.of("alice", "inbox publish", "red"), f.of("bob", "inbox publish", "blue")
	s.want(s.request("PUT", "/v1/devices/device-red-1", root, `{"groups":["red"]}`), 200)
	s.want(s.request("PUT", "/v1/devices/"+bobsDevice, root, `{"groups":["blue"]}`), 200)
	mine := s.raisedBy(root, `{"device":"device-red-1","type":"door","severity":"minor"}`)
	ears := listenAsAlice(t, s, alice)
	raise := func() string {
		return s.raisedBy(root, fmt.Sprintf(`{"device":%q,"type":"vault","severity":"critical","message":%q}`, bobsDevice, bobsMessage))
	}
	former := raise()
	s.want(s.request("POST", "/v1/alarms", root, `{"device":"`+bobsDevice+`","type":"vault","state":"cleared","severity":"critical"}`), 202)
	id := raise()
	s.want(s.request("POST", "/v1/alarms/"+id+"/comment", bob, `{"note":"`+bobsNote+`"}`), 200)
	his := subject{id: id, device: bobsDevice, typ: "vault", group: "blue", user: "bob", cursor: s.cursorOf(bob), after: "x", seq: s.seqOf(bob, id)}
	none := subject{id: strings.Replace(id, bobsDevice, noDevice, 1), device: noDevice, typ: "attic", group: "grey", user: "ben", cursor: his.cursor, after: "x", seq: his.seq}
	if none.id == id {
		t.Fatalf("the device is not in %s", id)
	}
	abouts := map[string]subject{"a former occurrence": his, "an occurrence to come": his, "another type": his}
	for name, other := range map[string]string{"a former occurrence": former, "an occurrence to come": strings.Replace(id, ".2.", ".9.", 1), "another type": strings.Replace(id, ".vault.", ".attic.", 1)} {
		about := his
		about.id = other
		abouts[name] = about
	}
	abouts["the alarm"] = his
	before := s.countsOf(alice)
	for _, p := range probes {
		want := none.neutral(p.ask(s, alice, none))
		for name, about := range abouts {
			got := about.neutral(p.ask(s, alice, about))
			if got != want {
				t.Errorf("%s, about %s: alice gets\n%.800s\nand for what there is not\n%.800s", p.name, name, got, want)
			}
			quiet(t, p.name, got)
		}
	}
	if after := s.countsOf(alice); after != before {
		t.Errorf("alice's counters were %s and are %s", before, after)
	}
	for _, p := range probes { // last, as some of them change the alarm
		if got := his.neutral(p.ask(s, bob, his)); !p.blind && got == none.neutral(p.ask(s, bob, none)) {
			t.Errorf("%s tells bob nothing of his own alarm: %s", p.name, got)
		}
	}
	readAsAlice(t, s, alice, bob)
	s.want(s.request("POST", "/v1/alarms/"+mine+"/ack", root, `{"note":"the end"}`), 200)
	for _, ear := range ears {
		ear.hears(t, "the end")
	}
}

// quiet fails where a text tells of bob's alarm.
func quiet(t *testing.T, what, text string) {
	t.Helper()
	for _, word := range []string{bobsMessage, bobsNote, bobsDevice, "vault"} {
		if strings.Contains(text, word) {
			t.Errorf("%s: alice reads %q in %.500s", what, word, text)
		}
	}
}

func (s *server) raisedBy(token, event string) string {
	s.t.Helper()
	var a struct{ Results []struct{ ID string } }
	s.want(s.request("POST", "/v1/alarms", token, "["+event+"]"), 202).json(s.t, &a)
	return a.Results[0].ID
}

func (s *server) cursorOf(token string) string {
	s.t.Helper()
	var a struct{ Cursor string }
	s.want(s.request("GET", "/v1/inbox", token, ""), 200).json(s.t, &a)
	return a.Cursor
}

func (s *server) countsOf(token string) string {
	s.t.Helper()
	var a struct {
		Unread int
		Active map[string]int
	}
	s.want(s.request("GET", "/v1/counts", token, ""), 200).json(s.t, &a)
	text, _ := json.Marshal(a)
	return string(text)
}

// seqOf is an entry of the alarm.
func (s *server) seqOf(token, id string) int {
	s.t.Helper()
	var a struct{ Entries []struct{ Seq int } }
	s.want(s.request("GET", "/v1/alarms/"+id+"/history", token, ""), 200).json(s.t, &a)
	return a.Entries[0].Seq
}

// readAsAlice reads whatever alice can read, with cursors of hers, of bob's and
// forged ones, and pages of his lists.
func readAsAlice(t *testing.T, s *server, alice, bob string) {
	t.Helper()
	var list struct{ Next string }
	s.want(s.request("GET", "/v1/alarms?state=all&limit=1", bob, ""), 200).json(t, &list)
	for _, cursor := range []string{"earliest", s.cursorOf(alice), s.cursorOf(bob), "", "zzz", strings.Repeat("0", 64)} {
		for _, path := range []string{"/v1/inbox?limit=1000&cursor=", "/v1/inbox?snapshot=active&cursor=", "/v1/inbox?cursor=earliest&last_event_id="} {
			quiet(t, path+cursor, s.request("GET", path+cursor, alice, "").body)
		}
		quiet(t, "the page", s.request("GET", "/inbox?cursor="+cursor, alice, "").body)
		quiet(t, "Last-Event-ID", s.request("GET", "/v1/inbox", alice, "", "Last-Event-ID", cursor).body)
		s.request("POST", "/v1/inbox/read", alice, `{"upto":"`+cursor+`"}`)
	}
	for _, query := range []string{"state=all", "state=unacked", "state=active", "state=all&severity_min=critical", "state=all&q=vault", "state=all&after=" + url.QueryEscape(list.Next)} {
		quiet(t, "the list "+query, s.request("GET", "/v1/alarms?"+query, alice, "").body)
	}
	if got := s.countsOf(alice); strings.Contains(got, `"critical":1`) {
		t.Errorf("alice counts %s", got)
	}
}

// An ear is a connection of alice's that has been open all the time.
type ear struct {
	name string
	*transporttest.Socket
	m *member
}

// listenAsAlice opens a stream of each protocol.
func listenAsAlice(t *testing.T, s *server, token string) (ears []ear) {
	t.Helper()
	native := transporttest.MustDial(t, s.url(), "/v1/inbox/ws", "Sec-WebSocket-Protocol", "tocsin.v1.json", "Authorization", "Bearer "+token)
	native.Send(`{"op":"start","snapshot":"active"}`)
	ears = append(ears, ear{name: "native", Socket: native})
	for _, d := range fiveDialects {
		m := &member{dialect: d, base: s.url(), user: "alice", token: token, words: &words{all: map[string]string{}}, had: map[string]string{}}
		if err := m.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.conn.Close() })
		ears = append(ears, ear{name: d.name, m: m})
	}
	return ears
}

// hears reads until the end is told, and nothing of bob's before it.
func (e *ear) hears(t *testing.T, end string) {
	t.Helper()
	for {
		var text string
		if e.m == nil {
			text = e.Read()
		} else {
			_ = e.m.conn.SetReadDeadline(time.Now().Add(patience))
			_, b, err := e.m.conn.ReadMessage()
			if err != nil {
				t.Fatalf("%s: %v", e.name, err)
			}
			text = string(b)
		}
		quiet(t, e.name, text)
		// Thin protocols tell that it is acknowledged, not in which words.
		if strings.Contains(text, end) || strings.Contains(text, "acknowledged") || strings.Contains(text, "alarm.acked") || strings.Contains(text, "\x07handled") {
			return
		}
	}
}
