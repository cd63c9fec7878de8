package httpd

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	explaining "tocsin/server/explain"
	"tocsin/server/presence"
)

// explains asks until the verdict is the wanted one.
func (w *world) explains(query string, want explaining.Verdict, says ...string) explaining.Report {
	w.t.Helper()
	for began := time.Now(); ; {
		a := w.do("GET", "/v1/explain?"+query, "").want(200)
		var r explaining.Report
		if err := json.Unmarshal([]byte(a.body), &r); err != nil {
			w.t.Fatal(err)
		}
		if r.Verdict == want {
			for _, text := range says {
				if !strings.Contains(a.body, text) {
					w.t.Errorf("%s, want %q in it", a.body, text)
				}
			}
			return r
		}
		if time.Since(began) > patience {
			w.t.Fatalf("%s, want %s", a.body, want)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-w.t.Context().Done():
		}
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t, nil)
	for _, user := range []string{"sue", "off", "late"} {
		w.do("PUT", "/v1/users/"+user, `{"groups":["crew"]}`).want(200)
	}
	w.openStream("sue", "")
	w.openSocket("guest", "crew")
	id := w.raise("d1")
	w.openStream("late", "")
	w.openStream("eve", "")
	about := "alarm=" + url.QueryEscape(id) + "&user="

	r := w.explains(about+"sue", explaining.Delivered, "the directory has d1 in [crew]", "that is the route g-crew",
		"recorded for that route", "gives sue [crew]", "it is in his inbox", "connected by sse at n1", "reached him over sse at n1")
	var whats []string
	for _, s := range r.Steps {
		if whats = append(whats, s.What); !s.OK {
			t.Errorf("%+v", s)
		}
	}
	if got, want := strings.Join(whats, " "), "device route audience user visible sessions delivered"; got != want {
		t.Errorf("the steps are %s, want %s", got, want)
	}
	w.explains(about+"guest", explaining.Delivered, "the directory gives guest no groups", "connected lately add [crew]")
	w.explains(about+"off", explaining.NotConnected, "he is not connected now", "has not been connected since")
	w.explains(about+"late", explaining.BeganLater, "asked for no snapshot")
	w.explains(about+"eve", explaining.NoGroup, "no group in common")
	w.explains("device=d1&user=off", explaining.Visible)
	w.explains("device=unknown&user=off", explaining.NoGroup, "does not know unknown", "[unassigned]")

	as := func(user string, groups ...string) []string { return bearer(userToken(t, user, groups...)) }
	path := "/v1/explain?" + about
	w.do("GET", path+"sue", "", as("sue")...).want(200, `"verdict":"delivered"`)
	w.do("GET", path+"new", "", as("new", "crew")...).want(200, `the token adds [crew]`)
	w.do("GET", path+"new", "", as("new")...).problem(404, "not-found")
	w.do("GET", "/v1/explain?device=d1&user=new", "", as("new")...).problem(404, "not-found")
	w.do("GET", path+"off", "", as("sue")...).problem(404, "not-found") // another's
	w.do("GET", "/v1/explain?alarm=none&user=sue", "").problem(404, "not-found")
	w.do("GET", "/v1/explain?user=sue", "").problem(400, "malformed", `"field":"alarm"`)
	w.do("GET", path, "").problem(400, "malformed", `"field":"user"`)

	// Shelved, acknowledged, over and raised again: the former occurrence is
	// explained too.
	w.do("POST", "/v1/alarms/"+url.PathEscape(id)+"/ack", `{"note":"seen"}`).want(200)
	w.explains(about+"sue", explaining.Delivered, `"acknowledged"`, "by ada at")
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"cleared"}`).want(202)
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"major"}`).want(202)
	w.explains(about+"sue", explaining.Delivered, "this occurrence is over")
}

func TestExplainWithoutEvidence(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Explain = explaining.New(explaining.Options{View: o.View, Cluster: presence.NewCluster(presence.ClusterOptions{Registry: o.Presence}), Unassigned: []string{"unassigned"}})
	})
	w.do("PUT", "/v1/users/sue", `{"groups":["crew"]}`).want(200)
	w.openStream("sue", "")
	id := w.raise("d1")
	w.explains("alarm="+url.QueryEscape(id)+"&user=sue", explaining.Visible, "no evidence of deliveries is kept", "connected by sse at n1")
	w.do("GET", "/v1/alarms/"+url.PathEscape(id)+"/deliveries", "").problem(404, "not-found", "no evidence")
}

// What has reached somebody is delivered, though the evidence is a moment behind.
func TestExplainDoesNotWaitForTheEvidence(t *testing.T) {
	w := newWorld(t, nil)
	o := &w.server.o // nobody records into this one
	evidence := presence.NewEvidence(presence.EvidenceOptions{Feed: &memoryFeed{}, View: w.view, Log: w.log, Registry: o.Presence})
	o.Explain = explaining.New(explaining.Options{View: w.view, Log: w.log, Cluster: presence.NewCluster(presence.ClusterOptions{Registry: o.Presence}), Evidence: evidence})
	w.do("PUT", "/v1/users/sue", `{"groups":["crew"]}`).want(200)
	w.openStream("sue", "")
	id := w.raise("d1")
	w.explains("alarm="+url.QueryEscape(id)+"&user=sue", explaining.Delivered, "has just reached him over sse at n1")
}
