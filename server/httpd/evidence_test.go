package httpd

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/auth"
	clients "tocsin/server/client"
	explaining "tocsin/server/explain"
	"tocsin/server/inbox"
	"tocsin/server/presence"
)

// memoryFeed is a presence.Feed in memory.
type memoryFeed struct {
	mu   sync.Mutex
	at   []time.Time
	data [][]byte
}

func (f *memoryFeed) Append(_ context.Context, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.data = append(f.at, time.Now()), append(f.data, data)
	return nil
}

func (f *memoryFeed) Scan(ctx context.Context, since time.Time, each func(time.Time, []byte) error) error {
	f.mu.Lock()
	at, data := f.at, f.data
	f.mu.Unlock()
	for i := range data {
		if at[i].Before(since) {
			continue
		}
		if err := each(at[i], data[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// witness makes the node keep evidence.
func (w *world) witness(o *Options) {
	feed := &memoryFeed{}
	o.Presence = presence.New(presence.Options{Node: "n1", Run: "r1"})
	recorder := presence.NewRecorder(o.Presence, feed, nil)
	go recorder.Run(w.t.Context()) // ends with the test
	evidence := presence.NewEvidence(presence.EvidenceOptions{Feed: feed, View: w.view, Log: w.log, Registry: o.Presence})
	o.Explain = explaining.New(explaining.Options{
		View: w.view, Log: w.log, Cluster: presence.NewCluster(presence.ClusterOptions{Registry: o.Presence}), Evidence: evidence, Unassigned: []string{"unassigned"},
	})
}

// userToken is of a user with the scope inbox and the groups.
func userToken(t testing.TB, user string, groups ...string) string {
	t.Helper()
	s, err := auth.Sign(secret, auth.Issue{User: user, Groups: groups, TTL: time.Minute}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stream reads the user's events until the test ends, from the first on.
func (w *world) openStream(user, query string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url+"/v1/inbox/sse"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+userToken(w.t, user))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Scan()
	go func() { // ends with the stream
		for lines.Scan() {
		}
	}()
}

// socket reads the user's WebSocket until the test ends.
func (w *world) openSocket(user string, groups ...string) {
	w.t.Helper()
	c, err := clients.New(w.url, userToken(w.t, user, groups...))
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := c.Dial(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	if err := s.Write(w.t.Context(), map[string]string{"op": "start"}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.Read(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	go func() { // ends with the socket
		for {
			if _, err := s.Read(w.t.Context()); err != nil {
				return
			}
		}
	}()
}

// deliveries waits until the answer is as wanted.
func (w *world) deliveries(id, query string, as func(map[string]explaining.Delivery) bool) explaining.Deliveries {
	w.t.Helper()
	for began := time.Now(); ; {
		a := w.do("GET", "/v1/alarms/"+url.PathEscape(id)+"/deliveries"+query, "").want(200)
		var d explaining.Deliveries
		if err := json.Unmarshal([]byte(a.body), &d); err != nil {
			w.t.Fatal(err)
		}
		by := map[string]explaining.Delivery{}
		for _, one := range d.Deliveries {
			by[one.User] = one
		}
		if as(by) {
			return d
		}
		if time.Since(began) > patience {
			w.t.Fatalf("deliveries stay %s", a.body)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-w.t.Context().Done():
		}
	}
}

func TestDeliveriesOverEveryTransport(t *testing.T) {
	w := newWorld(t, nil)
	for _, user := range []string{"sue", "wim", "pia", "lea", "hal", "off"} {
		w.do("PUT", "/v1/users/"+user, `{"groups":["crew"]}`).want(200)
	}
	w.do("PUT", "/v1/users/eve", `{"groups":["others"]}`).want(200)
	as := func(user string) []string { return bearer(userToken(t, user)) }
	place := func(user string) string {
		var page struct{ Cursor string }
		if err := json.Unmarshal([]byte(w.do("GET", "/v1/inbox", "", as(user)...).want(200).body), &page); err != nil {
			t.Fatal(err)
		}
		return page.Cursor
	}
	cursor, held := place("pia"), place("lea")
	w.openStream("sue", "")
	w.openStream("eve", "")
	w.openSocket("wim")
	w.openSocket("guest", "crew") // whom the directory does not know
	polled := make(chan answer, 1)
	go func() { polled <- w.do("GET", "/v1/inbox?wait=20&cursor="+held, "", as("lea")...) }() // ends with the answer
	id := w.raise("d1")
	(<-polled).want(200, id)
	w.do("GET", "/v1/inbox?cursor="+cursor, "", as("pia")...).want(200, id)
	w.do("GET", "/inbox", "", as("hal")...).want(200, "overspeed")
	w.do("POST", "/v1/inbox/read", `{"upto":"latest"}`, as("pia")...).want(200)
	w.do("POST", "/v1/alarms/"+url.PathEscape(id)+"/ack", "", as("sue")...).want(200)

	over := map[string]string{"sue": "sse", "wim": "websocket", "guest": "websocket", "pia": "poll", "lea": "longpoll", "hal": "page"}
	d := w.deliveries(id, "", func(by map[string]explaining.Delivery) bool {
		for user := range over {
			if !by[user].Delivered {
				return false
			}
		}
		return true
	})
	users := map[string]bool{}
	for _, one := range d.Deliveries {
		users[one.User] = true
		if want := over[one.User]; want != "" && (*one.Transport != want || *one.Node != "n1" || len(*one.At) != len(inbox.TimeFormat)) {
			t.Errorf("%s: over %s at %s by %s, want %s", one.User, *one.Transport, *one.Node, *one.At, want)
		}
		if one.Read != (one.User == "pia") || one.Acked != (one.User == "sue") || one.Acked != (one.AckedAt != nil) {
			t.Errorf("%+v", one)
		}
		if one.User == "off" && (one.Delivered || one.At != nil || one.Session != nil) {
			t.Errorf("who was away: %+v", one)
		}
	}
	if users["eve"] || !users["off"] || len(users) != 7 || d.Told == nil || d.Since == nil || d.Until != nil {
		t.Errorf("%+v", d)
	}
}

func TestDeliveriesOfWhoCameLater(t *testing.T) {
	w := newWorld(t, nil)
	for _, user := range []string{"now", "snap"} {
		w.do("PUT", "/v1/users/"+user, `{"groups":["crew"]}`).want(200)
	}
	id, over := w.raise("d1"), w.raise("d2")
	w.do("POST", "/v1/alarms", `{"device":"d2","type":"overspeed","severity":"cleared"}`).want(202)
	w.do("POST", "/v1/alarms/"+url.PathEscape(over)+"/ack", "").want(200)
	w.openStream("now", "")
	w.openStream("snap", "?snapshot=active")
	w.deliveries(id, "", func(by map[string]explaining.Delivery) bool { return by["snap"].Delivered && !by["now"].Delivered })
	// What was over before the snapshot was not in it.
	w.deliveries(over, "", func(by map[string]explaining.Delivery) bool { return !by["snap"].Delivered && !by["now"].Delivered })

	var a struct{ Rev uint64 }
	if err := json.Unmarshal([]byte(w.do("GET", "/v1/alarms/"+url.PathEscape(id), "").want(200).body), &a); err != nil {
		t.Fatal(err)
	}
	d := w.deliveries(id, "", func(map[string]explaining.Delivery) bool { return true })
	path := "/v1/alarms/" + url.PathEscape(over) + "/deliveries"
	w.do("GET", path+"?seq=1", "").problem(404, "not-found")
	w.do("GET", path+"?seq="+strconv.FormatUint(d.Entry, 10), "").problem(404, "not-found") // another alarm's
	w.do("GET", path+"?seq=x", "").problem(400, "malformed")
	w.do("GET", "/v1/alarms/none/deliveries", "").problem(404, "not-found")
	w.do("GET", path, "", bearer(userToken(t, "snap"))...).problem(403, "forbidden", "admin")
	// An escalation is another announcement, which has to be delivered anew.
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"critical"}`).want(202)
	e := w.deliveries(id, "", func(by map[string]explaining.Delivery) bool { return by["now"].Delivered && by["snap"].Delivered })
	if e.Entry <= d.Entry {
		t.Errorf("entry %d after %d", e.Entry, d.Entry)
	}
	w.deliveries(id, "?seq="+strconv.FormatUint(d.Entry, 10), func(by map[string]explaining.Delivery) bool { return !by["now"].Delivered })
}

func TestWhoJoinsIsDeliveredByHisSnapshot(t *testing.T) {
	w := newWorld(t, nil)
	w.do("PUT", "/v1/users/joe", `{"groups":["others"]}`).want(200)
	w.openStream("joe", "")
	id := w.raise("d1")
	w.do("POST", "/v1/notices", `{"to":{"users":["joe"]},"title":"later"}`).want(202) // moves his position
	d := w.deliveries(id, "", func(map[string]explaining.Delivery) bool { return true })
	if len(d.Deliveries) != 0 {
		t.Errorf("%+v", d)
	}
	w.do("PUT", "/v1/users/joe", `{"groups":["crew"]}`).want(200)
	w.deliveries(id, "", func(by map[string]explaining.Delivery) bool { return by["joe"].Delivered })
}

func TestConnections(t *testing.T) {
	w := newWorld(t, nil)
	w.openStream("sue", "")
	w.openSocket("wim")
	w.do("GET", "/v1/inbox", "", bearer(userToken(t, "pia"))...).want(200)
	a := w.do("GET", "/v1/connections", "").want(200, `"transport":"sse"`, `"transport":"websocket"`, `"transport":"poll"`, `"node":"n1"`, `"subscribed":true`)
	if n := strings.Count(a.body, `"connection":`); n != 3 {
		t.Errorf("%d connections: %s", n, a.body)
	}
	a = w.do("GET", "/v1/connections?user=wim", "").want(200, `"user":"wim"`)
	if strings.Contains(a.body, "sue") {
		t.Errorf("%s", a.body)
	}
	w.do("GET", "/v1/connections", "", bearer(userToken(t, "wim"))...).problem(403, "forbidden")
}
