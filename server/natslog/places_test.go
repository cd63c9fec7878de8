package natslog_test

import (
	"fmt"
	"sync"
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

func TestAParkedPlaceIsClaimedOnceTheOldestFirst(t *testing.T) {
	p := newPlaces(t)
	ctx := t.Context()
	const n = 20
	for i := range n {
		if err := p.Park(ctx, "push", "ann", fmt.Sprintf("c%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := p.Claim(ctx, "push", "an"); got != "" || err != nil {
		t.Errorf("another user claims %q, %v", got, err)
	}
	if got, err := p.Claim(ctx, "push", "ann"); got != "c00" || err != nil {
		t.Errorf("the first claim is %q, %v", got, err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	claimed := map[string]int{}
	for range n + 5 {
		wg.Go(func() {
			got, err := p.Claim(ctx, "push", "ann")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			claimed[got]++
			mu.Unlock()
		})
	}
	wg.Wait()
	for i := 1; i < n; i++ {
		if c := fmt.Sprintf("c%02d", i); claimed[c] != 1 {
			t.Errorf("%s was claimed %d times", c, claimed[c])
		}
	}
	if claimed[""] != 6 {
		t.Errorf("%d claims got nothing", claimed[""])
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
