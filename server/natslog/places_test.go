package natslog_test

import (
	"testing"
	"tocsin/server/natslog"
)

func TestPlacesAreKeptPerNameAndUser(t *testing.T) {
	p := newPlaces(t)
	ctx := t.Context()
	for _, user := range []string{"ann", "b.o/b"} {
		if err := p.Set(ctx, "stomp", user, func(string) string { return "c-" + user }); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Set(ctx, "stomp", "ann", func(old string) string { return old + "+" }); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]string{"ann": "c-ann+", "b.o/b": "c-b.o/b", "eve": ""} {
		if got, err := p.Get(ctx, "stomp", user); got != want || err != nil {
			t.Errorf("%s has %q, %v", user, got, err)
		}
	}
	if got, err := p.Get(ctx, "notices", "ann"); got != "" || err != nil {
		t.Errorf("another name has %q, %v", got, err)
	}
}

func newPlaces(t *testing.T) *natslog.Places {
	t.Helper()
	p, err := open(t, natslog.Options{Dir: t.TempDir()}).Places(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
