package main

import (
	"net"
	"strings"
	"testing"
)

func TestHealthAsksTheGatewayOfThisMachine(t *testing.T) {
	data, secret := workplace(t)
	server := start(t, "--data", data, "--jwt-hs256-file", secret)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.ops, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	for _, c := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"--ops", ":" + port}, 0, "ok"},
		{[]string{"--ops", "0.0.0.0:" + port, "--alive"}, 0, "ok"},
		{[]string{"--ops", nobody.Addr().String()}, exitFailed, "ask the gateway"},
		{[]string{"--ops", strings.TrimPrefix(server.http, "http://"), "--alive"}, exitFailed, "not well"},
		{[]string{"--ops", ""}, exitUsage, "no address of operation"},
	} {
		got := call(t, "", append([]string{"health"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.out+got.err, c.said) {
			t.Errorf("%v: exit code %d, %s%s", c.args, got.code, got.out, got.err)
		}
	}
	// Where else it would have stood is the environment, as in a container.
	t.Setenv("TOCSIN_OPS", ":"+port)
	call(t, "", "health").ok(t)
}
