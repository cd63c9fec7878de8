package e2e

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// A node that stands still is taken for gone, and is there again with its people
// when it goes on; so are the others for it.
func TestANodeThatStoodStillIsThereAgain(t *testing.T) {
	nodes := newNodes(t, "gw1", "gw2")
	a, b := nodes[0], nodes[1]
	a.socket("ada")
	b.socket("bob")
	both := []string{"ada websocket×1@gw1", "bob websocket×1@gw2"}
	is := func(s *server, want ...string) func() bool {
		return func() bool { people, _ := s.says(""); return slices.Equal(people, want) }
	}
	within(t, 5*time.Second, "both are known", func() bool { return is(a, both...)() && is(b, both...)() })
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Logf("gone after %s", within(t, 7*time.Second, "who stands still is gone", is(a, both[0])))
	late := a.socket("cleo")
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	three := []string{both[0], both[1], "cleo websocket×1@gw1"}
	t.Logf("back after %s", within(t, 5*time.Second, "all are known again", func() bool {
		return is(a, three...)() && is(b, three...)()
	}))
	b.want(b.request("DELETE", "/v1/users/cleo/connections", b.root(), ""), 200)
	if why := end(t, late); why != "kicked" {
		t.Errorf("ended with %s", why)
	}
}
