package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// An audited is a record of GET /v1/audit.
type audited struct {
	Time, By, From, What, Note, Node, Request string
	On                                        []string
	Details                                   json.RawMessage
}

func (s *server) auditOf(query string) (all []audited) {
	s.t.Helper()
	after := ""
	for {
		var page struct {
			Records []audited
			Next    *string
		}
		s.want(s.request("GET", "/v1/audit?limit=3&"+query+after, s.root(), ""), 200).json(s.t, &page)
		if all = append(all, page.Records...); page.Next == nil {
			return all
		}
		after = "&after=" + *page.Next
	}
}

// Whatever somebody does, over whatever, is in the trail with who, when and from where;
// at every node, and after a restart. What devices report is not.
func TestTheAuditTrailHasWhatWasDone(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	one, two := newServer(t, "--nats-url", nats, "--node", "gw1"), newServer(t, "--nats-url", nats, "--node", "gw2")
	root := one.root()
	ann := one.token("ann", "inbox", "crew")
	began := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	one.want(one.request("PUT", "/v1/devices/d1", root, `{"groups":["crew"]}`), 200)
	one.want(one.request("PUT", "/v1/devices/d1", root, `{"groups":["crew","night"]}`, "X-Request-Id", "mine-1"), 200)
	two.want(two.request("PUT", "/v1/users/ben", root, `{"groups":["crew"]}`), 200)
	two.want(two.request("DELETE", "/v1/users/ben", root, ""), 204)
	one.want(one.request("POST", "/v1/directory", root, `{"device":"d2","groups":["crew"]}`, "Content-Type", "application/x-ndjson"), 200)
	one.want(one.request("DELETE", "/v1/devices/d2", root, ""), 204)
	var ids []string
	for i := range 3 {
		ids = append(ids, one.raise(fmt.Sprint("m", i)))
	}
	for _, op := range []string{"ack", "unack", "comment", "shelve", "unshelve", "clear"} {
		one.want(one.request("POST", "/v1/alarms/"+ids[0]+"/"+op, ann, `{"note":"why"}`), 200)
	}
	one.want(one.request("POST", "/v1/alarms/ack", ann, `{"ids":["`+ids[1]+`","none.t._.1.mwprg3qy"],"note":"both"}`), 200)
	// Refused: not in the trail.
	one.want(one.request("POST", "/v1/alarms/"+ids[0]+"/comment", ann, `{}`), 422)
	one.want(one.request("PUT", "/v1/devices/d3", ann, `{"groups":["crew"]}`), 403)
	form("/inbox/ack", "id={id}&note=by+form")(two, ann, subject{id: ids[2]})
	socket := transporttest.MustDial(t, two.url(), "/v1/inbox/ws")
	socket.Send(`{"op":"auth","token":"` + ann + `"}`)
	socket.Send(`{"op":"comment","ref":1,"alarm":"` + ids[2] + `","note":"by socket"}`)
	for !strings.Contains(socket.Read(), `"ref":1`) {
	}
	two.want(two.request("DELETE", "/v1/users/ann/connections", root, ""), 200)
	one.want(one.request("POST", "/v1/revocations", root, `{"jti":"j-1"}`), 204)
	one.want(one.request("POST", "/v1/revocations", root, `{"sub":"mallory"}`), 204)
	one.want(one.request("POST", "/v1/backup", root, ""), 200)

	want := []string{
		"root device.put d1 ", "root device.put d1 ", "root user.put ben ", "root user.delete ben ", "root directory.import  ", "root device.delete d2 ",
		"ann alarm.ack " + ids[0] + " why", "ann alarm.unack " + ids[0] + " why", "ann alarm.comment " + ids[0] + " why", "ann alarm.shelve " + ids[0] + " why",
		"ann alarm.unshelve " + ids[0] + " why", "ann alarm.clear " + ids[0] + " why", "ann alarm.ack " + ids[1] + " both",
		"ann alarm.ack " + ids[2] + " by form", "ann alarm.comment " + ids[2] + " by socket",
		"root user.kick ann ", "root token.revoke j-1 ", "root token.revoke mallory ", "root backup  ",
	}
	slices.Sort(want)
	for _, s := range []*server{one, two} {
		s.awaitTrail(want)
	}
	one.kill()
	one.start()
	for _, r := range one.awaitTrail(want) {
		if r.From != "127.0.0.1" || r.Node != "gw1" && r.Node != "gw2" || r.Time < began {
			t.Errorf("%+v", r)
		}
	}
	mine := one.auditOf("what=device.put&user=root")
	if len(mine) != 2 || mine[0].Request != "mine-1" || string(mine[0].Details) != `{"groups":["crew","night"],"was":["crew"]}` {
		t.Errorf("%+v", mine)
	}
	for query, n := range map[string]int{"user=ann": 9, "user=ann&what=alarm": 9, "what=token": 2, "what=alarm.ack": 3, "since=" + began: len(want), "since=2100-01-01T00:00:00Z": 0, "user=nobody": 0} {
		if got := one.auditOf(query); len(got) != n {
			t.Errorf("%s: %d records, want %d", query, len(got), n)
		}
	}
	for _, bad := range []string{"limit=0", "limit=1001", "after=x", "since=yesterday"} {
		wantProblem(t, bad, one.request("GET", "/v1/audit?"+bad, root, ""), 400, "malformed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, errs, err := one.tocsin(ctx, "audit", "--url", one.url(), "--token", root, "--user", "ann", "--since", "1h", "--limit", "100")
	if err != nil || strings.Count(out, "\n") != 10 || !strings.Contains(out, "by socket") {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
	out, errs, err = one.tocsin(ctx, "audit", "--url", one.url(), "--token", root, "--what", "token.revoke", "--json")
	if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"jti":"j-1"`) {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}

// awaitTrail waits until the trail has these lines: "who what on note".
func (s *server) awaitTrail(want []string) []audited {
	s.t.Helper()
	for end := time.Now().Add(patience); ; pause(s.t.Context(), 20*time.Millisecond) {
		all := s.auditOf("")
		var got []string
		for _, r := range all {
			got = append(got, strings.Join([]string{r.By, r.What, strings.Join(r.On, " "), r.Note}, " "))
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return all
		}
		if time.Now().After(end) {
			s.t.Fatalf("the trail is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
