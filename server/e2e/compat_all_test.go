package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/client"
	"tocsin/server/internal/streamtest"
)

// Five hundred clients of one user group, a hundred of each of the older protocols,
// on one server: while a stream is replayed and users send each other notices,
// everyone has exactly what his protocol promises, in one order. A fifth of them
// vanish on the way and come back. What one acknowledges, all see.
func TestFiveProtocolsAtOnce(t *testing.T) {
	stream := streamOf(t, "wireless")
	const users, group = 100, "site-01"
	s := newServer(t, "--device-time", "trust", "--fold", "0", "--ping-interval", "5s", "--write-timeout", "1m", "--dead-after", "5m", "--compat-publish-from", "127.0.0.0/8")
	var people strings.Builder
	for i := range users {
		fmt.Fprintf(&people, "{\"user\":\"user-%d\",\"groups\":[%q]}\n", i, group)
	}
	s.want(s.request("POST", "/v1/directory", s.root(), directoryOf(stream.Lines)+people.String(), "Content-Type", "application/x-ndjson"), 200)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() { cancel(); running.Wait() }()
	var all []*member
	w := &words{all: map[string]string{}}
	for _, d := range fiveDialects {
		for i := range users {
			user := fmt.Sprint("user-", i)
			m := &member{dialect: d, base: s.url(), user: user, token: s.token(user, "inbox"), words: w, had: map[string]string{}}
			if i%5 == 2 {
				m.slips = 50 + i
			}
			if err := m.connect(ctx); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
			running.Go(func() { m.run(ctx) })
		}
	}
	s.subscribed(all)

	talk(ctx, t, s, stream, all)
	reference := s.shownTo("user-0")
	acknowledgeByMany(t, s, reference)
	settleMembers(t, all, s.inboxes(all), nil) // who vanishes has come back: a topic tells nobody what he missed
	topics := speakToTopics(t, s, all)
	inboxes := s.inboxes(all)
	settleMembers(t, all, inboxes, topics)

	cancel()
	running.Wait()
	ids, again := map[string]string{}, 0 // of app push, which are the same for all users
	for _, m := range all {
		if err := m.check(inboxes[m.user], topics[m]); err != nil {
			t.Fatal(err)
		}
		if m.again > 0 && !m.slipped {
			t.Errorf("%s of %s was told %d things again, though it stayed", m.name, m.user, m.again)
		}
		again += m.again
		for id, line := range m.had {
			if m.name != "app-push" || !strings.HasPrefix(line, "{") {
				continue
			}
			if other, known := ids[line]; known && other != id {
				t.Errorf("%s is %s and %s", line, id, other)
			}
			ids[line] = id
		}
	}
	t.Logf("%d clients, %d entries in the group, %d repeats were recognised", len(all), len(reference), again)
}

// streamOf is a stream of real alarms, or the made one where there are none.
func streamOf(t *testing.T, name string) streamtest.Stream {
	streams := streamtest.Streams(t)
	for _, one := range streams {
		if one.Name == name {
			return one
		}
	}
	made := streams[0]
	for i := range made.Lines {
		made.Lines[i].Group = strings.Replace(made.Lines[i].Group, "fleet-", "site-0", 1)
	}
	return made
}

// subscribed waits until each member has a connection that is delivered to, and there
// are no others of the five.
func (s *server) subscribed(all []*member) {
	n := len(all)
	s.t.Helper()
	for end := time.Now().Add(patience); ; pause(s.t.Context(), 20*time.Millisecond) {
		var list struct {
			Connections []struct {
				Transport  string
				Subscribed bool
			}
		}
		s.want(s.request("GET", "/v1/connections", s.root(), ""), 200).json(s.t, &list)
		there, served := 0, 0
		for _, c := range list.Connections {
			if slices.ContainsFunc(fiveDialects, func(d *dialect) bool { return d.name == c.Transport }) {
				if there++; c.Subscribed {
					served++
				}
			}
		}
		if there == n && served == n {
			return
		}
		for _, m := range all {
			m.mu.Lock()
			if len(m.odd) > 0 {
				s.t.Fatalf("%s of %s: %q", m.name, m.user, m.odd)
			}
			m.mu.Unlock()
		}
		if time.Now().After(end) {
			s.t.Fatalf("of %d connections, %d are there and %d are delivered to", n, there, served)
		}
	}
}

// talk replays the stream, while each user sends the next one a notice, and the
// backends of two protocols publish.
func talk(ctx context.Context, t *testing.T, s *server, stream streamtest.Stream, all []*member) {
	var sending sync.WaitGroup
	sending.Go(func() {
		if err := publish(ctx, s, stream.Lines, 50, 0, func(int) {}); err != nil {
			t.Error(err)
		}
	})
	for i, m := range all {
		if m.name != "notices" || m.slips > 0 {
			continue
		}
		if err := m.text(`{"receiverId":"user-%d","message":"from %s"}`, (i+1)%100, m.user); err != nil {
			t.Error(err)
		}
	}
	for n := range 20 {
		d, _ := json.Marshal(fmt.Sprintf(`{"event":"@user","data":{"uid":"user-%d","msg":"frame %d"}}`, n, n))
		s.want(s.request("POST", "/v1/mesh/publish", "", fmt.Sprintf(`{"c":"user:user-%d","d":%s}`, n, d)), 200)
		s.want(s.request("POST", "/push", "", fmt.Sprintf(`{"users":["user-%d","user-%d"],"title":"push %d","message":%d}`, n, n+50, n, n)), 200)
		s.want(s.request("POST", "/notice/push", "", fmt.Sprintf(`{"receiverId":"user-%d","message":"notice %d","senderId":"the planner"}`, n+3, n)), 200)
	}
	sending.Wait()
}

// shownTo is the user's inbox, as it is paged.
func (s *server) shownTo(user string, groups ...string) (all []shown) {
	s.t.Helper()
	for cursor, more := "earliest", true; more; {
		var page struct {
			Entries []json.RawMessage
			Cursor  string
			More    bool
			Gap     *struct{}
		}
		s.want(s.request("GET", "/v1/inbox?limit=1000&cursor="+url.QueryEscape(cursor), s.token(user, "inbox", groups...), ""), 200).json(s.t, &page)
		if page.Gap != nil {
			s.t.Fatalf("%s is told a gap", user)
		}
		for _, raw := range page.Entries {
			e := shown{raw: string(raw)}
			if err := json.Unmarshal(raw, &e); err != nil {
				s.t.Fatal(err)
			}
			all = append(all, e)
		}
		cursor, more = page.Cursor, page.More
	}
	return all
}

// inboxes are those of all users.
func (s *server) inboxes(all []*member) map[string][]shown {
	s.t.Helper()
	inboxes := map[string][]shown{}
	for _, m := range all {
		if inboxes[m.user] == nil {
			inboxes[m.user] = s.shownTo(m.user)
		}
	}
	return inboxes
}

// acknowledgeByMany acknowledges alarms, cleared and active: over HTTP, as clients of
// alarm push do, and by a frame of the native conversation, each as another user.
func acknowledgeByMany(t *testing.T, s *server, reference []shown) {
	t.Helper()
	last := reference[len(reference)-1]
	for i := len(reference) - 1; last.Alarm == nil; i-- {
		last = reference[i]
	}
	ids := []string{last.Alarm.ID}
	for i := range 5 {
		ids = append(ids, s.raiseOf(last.Alarm.Device, fmt.Sprint("acknowledged-", i)))
	}
	for i, id := range ids {
		user := fmt.Sprint("user-", 10+i)
		if i%2 == 1 {
			s.ackByFrame(user, id)
		} else {
			s.ack(id, s.token(user, "inbox"))
		}
	}
	s.clearOf(last.Alarm.Device, "acknowledged-1")
}

func (s *server) ackByFrame(user, id string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c, err := client.New(s.url(), s.token(user, "inbox"))
	if err != nil {
		s.t.Fatal(err)
	}
	socket, err := c.Dial(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer socket.Close()
	for _, frame := range []map[string]string{{"op": "start"}, {"op": "ack", "alarm": id, "ref": "r"}} {
		if err := socket.Write(ctx, frame); err != nil {
			s.t.Fatal(err)
		}
	}
	for {
		text, err := socket.Read(ctx)
		if err != nil || strings.Contains(string(text), `"error"`) {
			s.t.Fatalf("%s, %v", text, err)
		}
		if strings.Contains(string(text), `"op":"ok"`) {
			return
		}
	}
}

// speakToTopics says something to a topic, which all clients of STOMP hear, and to
// one user alone, and returns what each member is to hear of that.
func speakToTopics(t *testing.T, s *server, all []*member) map[*member][]string {
	t.Helper()
	heard := map[*member][]string{}
	var speaker *member
	for _, m := range all {
		if m.name == "stomp" && speaker == nil {
			speaker = m
		}
	}
	for n := range 20 {
		if err := speaker.text("SEND\ndestination:/topic/all\n\nword %d\x00", n); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); pause(t.Context(), 5*time.Millisecond) {
		if _, n := speaker.count(); n == 20 {
			break
		}
	}
	s.want(s.request("GET", "/v1/chat/http?from=ops&to=user-7&content=hello", "", ""), 200)
	for _, m := range all {
		if m.name != "stomp" {
			continue
		}
		for n := range 20 {
			heard[m] = append(heard[m], fmt.Sprintf("%s word %d", speaker.user, n))
		}
		if m.user == "user-7" {
			heard[m] = append(heard[m], `ops {"from":"ops","to":"user-7","content":"hello"}`)
		}
	}
	return heard
}

// settleMembers waits until everyone has as much as he should, or the time is up; check
// says what is wrong.
func settleMembers(t *testing.T, all []*member, inboxes map[string][]shown, topics map[*member][]string) {
	t.Helper()
	end := time.Now().Add(patience)
	for _, m := range all {
		want := len(m.wants(inboxes[m.user]))
		for time.Now().Before(end) {
			if lines, cast := m.count(); lines >= want && cast >= len(topics[m]) {
				break
			}
			pause(t.Context(), 10*time.Millisecond)
		}
	}
}
