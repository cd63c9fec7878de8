package natslog_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/natslog"
)

const service, holding = "push", "ann"

func cursorAt(n int) string { return "e." + strconv.FormatInt(int64(n), 36) + ".g" }

// at is the number in a cursor of these tests.
func at(t *testing.T, cursor string) int {
	t.Helper()
	if cursor == "" {
		return 0
	}
	n, err := strconv.ParseInt(strings.Split(cursor, ".")[1], 36, 64)
	if err != nil {
		t.Fatalf("%q: %v", cursor, err)
	}
	return int(n)
}

// A holder is a connection of the test's.
type holder struct {
	t     *testing.T
	p     *natslog.Places
	place string
	from  int
}

func hold(t *testing.T, p *natslog.Places, user string) *holder {
	t.Helper()
	place, from, err := p.Hold(t.Context(), service, user)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{t, p, place, at(t, from)}
}

func (h *holder) keep(n int) {
	h.t.Helper()
	var err error
	if h.place, err = h.p.Keep(h.t.Context(), service, holding, h.place, cursorAt(n)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *holder) leave(n int) {
	h.t.Helper()
	if err := h.p.Leave(h.t.Context(), h.place, cursorAt(n)); err != nil {
		h.t.Fatal(err)
	}
}

func TestAPlaceThatWasLeftIsTakenByOneTheOldestFirst(t *testing.T) {
	p := newPlaces(t)
	const n = 9
	for i := n; i > 0; i-- {
		h := &holder{t: t, p: p}
		h.keep(i + 100)
		h.leave(i + 100)
	}
	if h := hold(t, p, "an"); h.place != "" || h.from != 0 {
		t.Errorf("another user holds %+v", h)
	}
	if h := hold(t, p, holding); h.from != 101 || h.place == "" {
		t.Errorf("the first one holds %+v", h)
	} else {
		h.keep(500) // what is held is no bound for those that are older
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	places := map[string]int{}
	for range n + 2 {
		wg.Go(func() {
			h := hold(t, p, holding)
			mu.Lock()
			defer mu.Unlock()
			key, _, _ := strings.Cut(h.place, " ")
			places[key]++
		})
	}
	wg.Wait()
	if places[""] != 3 || len(places) != n {
		t.Errorf("%d places were held, %d got none: %v", len(places)-1, places[""], places)
	}
	for key, times := range places {
		if key != "" && times != 1 {
			t.Errorf("%s is held %d times", key, times)
		}
	}
}

// The user's client may have given up a connection that the node still has.
func TestWhoComesBeginsNoLaterThanWhoIsThere(t *testing.T) {
	p := newPlaces(t)
	old := &holder{t: t, p: p}
	old.keep(50)
	h := hold(t, p, holding)
	if h.from != 50 || h.place != "" {
		t.Fatalf("beside one that is there: %+v", h)
	}
	h.keep(50)
	old.keep(70)
	h.keep(60)
	old.leave(80)
	// What was left is taken, and begins where the other one is.
	if h := hold(t, p, holding); h.from != 60 || h.place == "" {
		t.Errorf("after one has gone: %+v", h)
	}
}

func TestADeadNodesPlacesAreLeft(t *testing.T) {
	log := open(t, natslog.Options{Dir: t.TempDir()})
	dead, err := log.Places(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	living, err := log.Places(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost := &holder{t: t, p: dead}
	lost.keep(30)
	// It never said that it runs.
	taken := hold(t, living, holding)
	if taken.from != 30 || taken.place == "" {
		t.Fatalf("of a dead node: %+v", taken)
	}
	// If it is not dead after all, it gets a place of its own, and leaves the one
	// that was taken alone.
	before := lost.place
	lost.keep(40)
	if lost.place == before {
		t.Error("two hold one place")
	}
	if err := dead.Leave(t.Context(), before, cursorAt(99)); err != nil {
		t.Error(err)
	}
	taken.leave(35)
	if h := hold(t, living, holding); h.from != 35 {
		t.Errorf("what was left is %+v", h)
	}

	// A node that runs has its places to itself.
	said := make(chan error, 1)
	go func() { said <- dead.RunHeld(t.Context()) }() // ends with the test
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	third, err := log.Places(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		fresh := &holder{t: t, p: dead}
		fresh.keep(10)
		h := hold(t, third, holding)
		if h.from != 10 {
			t.Fatalf("begins at %d", h.from)
		}
		if !strings.HasPrefix(h.place, strings.Split(fresh.place, " ")[0]) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a living node's place was taken")
		}
	}
}
