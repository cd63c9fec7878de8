package e2e

import (
	"context"
	"strings"
	"testing"

	"tocsin/transports/transporttest"
)

// Unless it is configured otherwise, administration is not there for who comes by the
// public listener, whatever his token. The operators' one has it, and all the rest, for
// the same tokens.
func TestAdministrationIsApart(t *testing.T) {
	t.Parallel()
	s, f := guarded(t, "--admin", "ops", "--evidence", "1h")
	root := f.of("root", "inbox publish admin", "*")
	header := []string{"Authorization", "Bearer " + root}
	nothing := s.request("GET", "/v1/nothing", root, "")
	ops := &server{t: t, http: s.ops, ops: s.ops, partial: true}
	s.partial = true
	apart := 0
	for name, a := range accessOf {
		if a.scope != "admin" && name != "GET /console" {
			continue
		}
		apart++
		for who, header := range map[string][]string{"an administrator": header, "nobody": nil} {
			got := s.visit(name, a, header, "")
			if got.status != 404 || instances.ReplaceAllString(got.body, "") != instances.ReplaceAllString(nothing.body, "") && !strings.Contains(name, "/notice/") {
				t.Errorf("%s: %s gets %d %.200s in public", name, who, got.status, got.body)
			}
		}
		if got := ops.visit(name, a, header, ""); got.status == 401 || got.status == 403 || got.status == 404 && name != "GET /v1/devices/:id" && name != "GET /v1/alarms/:id/deliveries" {
			t.Errorf("%s: an administrator gets %d %.200s", name, got.status, got.body)
		}
		if got := ops.visit(name, a, nil, ""); a.scope != "" && got.status != 401 {
			t.Errorf("%s: nobody gets %d %.200s", name, got.status, got.body)
		}
	}
	if apart < 15 {
		t.Errorf("only %d routes are apart", apart)
	}
	// The directory at one, the inbox at both; of others' alarms only one tells why.
	s.want(ops.request("PUT", "/v1/devices/d", root, `{"groups":["red"]}`), 200)
	id := s.raisedBy(root, `{"device":"d","type":"t","severity":"major"}`)
	alice := f.of("alice", "inbox", "red")
	explain := "/v1/explain?alarm=" + id + "&user="
	s.want(s.request("GET", explain+"alice", alice, ""), 200)
	s.want(s.request("GET", explain+"alice", root, ""), 404)
	s.want(ops.request("GET", explain+"alice", root, ""), 200)
	for _, base := range []string{s.url(), ops.url()} {
		c := transporttest.MustDial(t, base, "/v1/inbox/ws", "Sec-WebSocket-Protocol", "tocsin.v1.json", "Authorization", "Bearer "+alice)
		c.Send(`{"op":"start","snapshot":"active"}`)
		for !strings.Contains(c.Read(), id) {
		}
	}
	// A poll that waited gives its connection back to the listener that it came by.
	told := make(chan answer, 1)
	go func() { // ends with the answer
		a, _ := request(t.Context(), "GET", ops.url()+"/v1/inbox?wait=30", root, "")
		told <- a
	}()
	s.awaitPolls(1)
	s.raisedBy(root, `{"device":"d","type":"u","severity":"major"}`)
	s.want(<-told, 200)
	s.want(ops.request("GET", "/v1/stats", root, ""), 200)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/routes"} {
		s.want(ops.request("GET", path, "", ""), 200)
		s.want(s.request("GET", path, root, ""), 404)
	}
	// Names that are paths arrive as they are.
	s.want(ops.request("PUT", "/v1/users/a%2F..%2Fb", root, `{"groups":["red"]}`), 200)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, errs, err := s.tocsin(ctx, "audit", "--url", s.url(), "--token", root); err == nil || !strings.Contains(errs, "TOCSIN_ADMIN_URL") {
		t.Errorf("%v: %s%s", err, out, errs)
	}
	if out, errs, err := s.tocsin(ctx, "audit", "--url", ops.url(), "--token", root); err != nil || !strings.Contains(out, "a/../b") {
		t.Errorf("%v: %s%s", err, out, errs)
	}
}
