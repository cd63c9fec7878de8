package httpd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPresence(t *testing.T) {
	w := newWorld(t, nil)
	w.openStream("sue", "")
	w.openSocket("sue")
	w.openSocket("guest", "crew")
	w.do("GET", "/v1/inbox", "", bearer(userToken(t, "poller"))...).want(200)
	type person struct {
		User  string
		Since time.Time
		Seen  time.Time `json:"last_seen"`
		Over  []struct {
			Transport   string
			Connections int
		}
	}
	var p struct {
		Users      []person
		Next       *string
		Total      int
		Transports map[string]crowdJSON
		Node       string
	}
	for began := time.Now(); p.Total != 3 || len(p.Users[2].Over) != 2; {
		a := w.do("GET", "/v1/presence", "").want(200)
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > patience {
			t.Fatal(a.body)
		}
	}
	if p.Users[0].User != "guest" || p.Users[1].User != "poller" || p.Users[1].Over[0].Transport != "poll" || p.Next != nil ||
		p.Node != "n1" || p.Transports["websocket"] != (crowdJSON{2, 2}) || p.Transports["page"] != (crowdJSON{}) {
		t.Errorf("%+v", p)
	}
	if sue := p.Users[2]; sue.Since.IsZero() || sue.Seen.Before(sue.Since) {
		t.Errorf("%+v", sue)
	}
	w.do("GET", "/v1/presence?transport=sse", "").want(200, `"user":"sue"`, `"total":1`)
	w.do("GET", "/v1/presence?prefix=g&limit=1", "").want(200, `"user":"guest"`, `"next":null`)
	w.do("GET", "/v1/presence?limit=1", "").want(200, `"user":"guest"`, `"next":"guest"`, `"total":3`)
	w.do("GET", "/v1/presence?limit=1&after=guest", "").want(200, `"user":"poller"`)
	w.do("GET", "/v1/presence?transport=pigeon", "").problem(400, "malformed", `"field":"transport"`)
	w.do("GET", "/v1/presence?limit=0", "").problem(400, "malformed", `"field":"limit"`)
}

func TestAKickEndsWhatIsOpenAndLetsItComeBack(t *testing.T) {
	w := newWorld(t, nil)
	read := func(path string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "GET", w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+userToken(t, "a/b"))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return nil
		}
		return resp
	}
	stream := read("/v1/inbox/sse")
	defer stream.Body.Close()
	polled := make(chan string, 1)
	go func() { // ends with the kick
		resp := read("/v1/inbox?wait=55")
		if resp == nil {
			polled <- ""
			return
		}
		defer resp.Body.Close()
		text, _ := bufio.NewReader(resp.Body).ReadString('\n')
		polled <- fmt.Sprint(resp.StatusCode, text)
	}()
	w.reads(func(s stats) bool {
		return s.Connections["sse"].Connections == 1 && s.Connections["longpoll"].Connections == 1
	})
	w.openSocket("other")
	ended := 0
	for began := time.Now(); ended < 2; { // the poll may not have begun to wait yet
		var answer struct{ Ended int }
		if err := json.Unmarshal([]byte(w.do("DELETE", "/v1/users/a%2Fb/connections", "").want(200).body), &answer); err != nil {
			t.Fatal(err)
		}
		if ended += answer.Ended; time.Since(began) > patience {
			t.Fatalf("%d have ended", ended)
		}
		waited, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		<-waited.Done()
		cancel()
	}
	var told strings.Builder
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		told.WriteString(lines.Text() + "\n")
	}
	if !strings.Contains(told.String(), "event: bye\ndata: {\"reason\":\"kicked\"") {
		t.Errorf("the stream was told %s", told.String())
	}
	if got := <-polled; !strings.HasPrefix(got, `200{"entries":[]`) {
		t.Errorf("the poll was answered %s", got)
	}
	again := read("/v1/inbox/sse")
	defer again.Body.Close()
	if again.StatusCode != 200 {
		t.Errorf("again: %s", again.Status)
	}
	if n := w.stats().Connections["websocket"].Connections; n != 1 {
		t.Errorf("%d of others are left, want 1", n)
	}
	w.do("DELETE", "/v1/users/nobody/connections", "").want(200, `{"ended":0}`)
}

func TestTheDirectoryIsListed(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 5 {
		w.do("PUT", fmt.Sprintf("/v1/devices/truck-%d", i), `{"groups":["crew","night"]}`).want(200)
		w.do("PUT", fmt.Sprintf("/v1/users/u%d", i), `{"groups":["crew"]}`).want(200)
	}
	w.do("PUT", "/v1/devices/van", `{"groups":["day"]}`).want(200)
	w.do("GET", "/v1/devices?prefix=truck-&limit=2", "").want(200,
		`{"device":"truck-0","groups":["crew","night"]}`, `"next":"truck-1"`, `"total":5`)
	w.do("GET", "/v1/devices?prefix=truck-&limit=2&after=truck-3", "").want(200, `[{"device":"truck-4"`, `"next":null`)
	w.do("GET", "/v1/devices?group=day", "").want(200, `[{"device":"van","groups":["day"]}]`, `"total":1`)
	w.do("GET", "/v1/users?after=u3", "").want(200, `{"users":[{"user":"u4","groups":["crew"]}],"next":null,"total":5}`)
	w.do("GET", "/v1/users?prefix=nobody", "").want(200, `{"users":[],"next":null,"total":0}`)
	w.do("GET", "/v1/users?limit=1001", "").problem(400, "malformed", `"field":"limit"`)
}
