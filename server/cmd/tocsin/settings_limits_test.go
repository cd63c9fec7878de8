package main

import (
	"net/netip"
	"slices"
	"testing"

	"tocsin/server/limit"
)

func TestWhatLimitsMean(t *testing.T) {
	conf, err := load(t, "", nil, []string{"--trusted-proxies", "10.1.2.3/8,fd00::1/64", "--handshakes", "7", "--handshakes-per-address", "8",
		"--handshakes-per-user", "9", "--publish-bytes-per-user", "1MiB", "--unlimited-from", ""})
	if err != nil {
		t.Fatal(err)
	}
	o, err := conf.limitSettings.options()
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64")}
	if !slices.Equal(o.Proxies, want) || len(o.Unlimited) != 0 {
		t.Errorf("proxies %v, unlimited %v", o.Proxies, o.Unlimited)
	}
	if want := (limit.Rate{All: 7, Address: 8, User: 9}); o.Handshakes != want {
		t.Errorf("handshakes %+v", o.Handshakes)
	}
	if o.Bytes != (limit.Rate{User: 1 << 20}) || o.Publishes != (limit.Rate{}) {
		t.Errorf("bytes %+v, publishes %+v", o.Bytes, o.Publishes)
	}
	// The log needs files, too.
	if files := openFiles(); files > 0 && (o.Connections >= files || o.Connections < files*8/10) {
		t.Errorf("%d connections with %d files", o.Connections, files)
	}
}

// Every limit has a setting of its name, by which problems and metrics call it.
func TestLimitsAreCalledAsTheirSettings(t *testing.T) {
	conf := defaults()
	var names []string
	for _, s := range conf.table() {
		names = append(names, s.name)
	}
	for _, name := range limit.Names() {
		if !slices.Contains(names, name) {
			t.Errorf("there is no setting %s", name)
		}
	}
}
