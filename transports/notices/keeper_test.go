package notices

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/inbox"
)

// shelf keeps places in memory, while it is up.
type shelf struct {
	mu     sync.Mutex
	texts  map[string]string
	down   bool
	writes int
	takes  time.Duration // each writing
}

var errDown = errors.New("down")

func (s *shelf) Get(_ context.Context, name, user string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return "", errDown
	}
	return s.texts[name+"/"+user], nil
}

func (s *shelf) Set(_ context.Context, name, user string, choose func(string) string) error {
	<-time.After(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	s.texts[name+"/"+user] = choose(s.texts[name+"/"+user])
	s.writes++
	return nil
}

func (s *shelf) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *shelf) has(user string) (string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.texts[Name+"/"+user], s.writes
}

// epochs is a log up to head: a until 100, b from there on.
type epochs struct{ head uint64 }

func (e epochs) Head() uint64 { return e.head }
func (e epochs) Epoch(seq uint64) string {
	if seq < 100 {
		return "a"
	}
	return "b"
}

func at(epoch string, seq uint64) inbox.Cursor {
	return inbox.Cursor{Epoch: epoch, Seq: seq, Groups: "g"}
}

func TestPositionsAreReadBack(t *testing.T) {
	catching := at("a", 7)
	catching.Mode, catching.End = inbox.CatchUp, 9
	for _, p := range []position{{}, {sent: at("a", 1)}, {got: at("a", 5), sent: at("b", 120)}, {got: catching, sent: catching}} {
		if again := parsePosition(p.String()); again != p {
			t.Errorf("%v is read as %v", p, again)
		}
	}
	for _, text := range []string{"", " ", "- -", "x", "a.1.g.s", "no cursor at all"} {
		if p := parsePosition(text); p != (position{}) {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}

func TestTheLaterPositionCounts(t *testing.T) {
	v := epochs{200}
	nothing := inbox.Cursor{}
	for _, one := range []struct{ a, b, want inbox.Cursor }{
		{nothing, at("a", 5), at("a", 5)},
		{at("a", 5), nothing, at("a", 5)},
		{at("a", 5), at("a", 6), at("a", 6)},
		{at("b", 150), at("a", 6), at("b", 150)},
		{at("a", 6), at("a", 150), at("a", 6)},   // the log has lost it
		{at("a", 6), at("c", 250), at("c", 250)}, // this node is behind
		{nothing, at("z", 50), nothing},
	} {
		if got := later(one.a, one.b, v); got != one.want {
			t.Errorf("of %v and %v: %v", one.a, one.b, got)
		}
	}
}

func enter(t *testing.T, k *Keeper, user string) *Place {
	t.Helper()
	p, err := k.Enter(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPlaceIsKeptAndFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{texts: map[string]string{}}
		k := NewKeeper(s, epochs{200}, slog.New(slog.DiscardHandler))
		p := enter(t, k, "ada")
		if p.from != (position{}) {
			t.Errorf("a new user begins at %v", p.from)
		}
		p.move(position{sent: at("b", 110)}, true)
		synctest.Wait()
		if text, writes := s.has("ada"); text != "- b.32.g" || writes != 1 {
			t.Errorf("%q in %d writings", text, writes)
		}
		for seq := range uint64(50) {
			p.move(position{sent: at("b", 111+seq)}, true)
			<-time.After(time.Millisecond)
		}
		<-time.After(time.Second)
		if text, writes := s.has("ada"); text != "- b.4g.g" || writes != 2 {
			t.Errorf("%q in %d writings", text, writes)
		}
		// A second connection, and one that is not as far.
		q := enter(t, k, "ada")
		if q.from.sent != at("b", 160) {
			t.Errorf("the second begins at %v", q.from)
		}
		q.move(position{got: at("b", 120)}, true)
		p.move(position{got: at("b", 115)}, true)
		p.Leave()
		q.Leave()
		k.Close()
		if text, _ := s.has("ada"); text != "b.3c.g b.4g.g" {
			t.Errorf("%q", text)
		}
		if len(k.users) != 0 {
			t.Errorf("%d accounts are left", len(k.users))
		}
	})
}

func TestPlacesThatCannotBeWrittenAreWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{texts: map[string]string{}}
		k := NewKeeper(s, epochs{200}, slog.New(slog.DiscardHandler))
		p := enter(t, k, "ada")
		s.set(true)
		p.move(position{got: at("b", 110), sent: at("b", 110)}, true)
		p.Leave()
		<-time.After(10 * time.Second)
		if _, err := k.Enter(t.Context(), "eve"); !errors.Is(err, errDown) {
			t.Error(err)
		}
		s.set(false)
		<-time.After(10 * time.Second)
		if text, _ := s.has("ada"); text != "b.32.g b.32.g" {
			t.Errorf("%q", text)
		}
		k.Close()
	})
}

func TestPlacesOfManyTakeAShareOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{texts: map[string]string{}, takes: 10 * time.Millisecond}
		k := NewKeeper(s, epochs{2000}, slog.New(slog.DiscardHandler))
		var places []*Place
		for n := range 800 {
			places = append(places, enter(t, k, fmt.Sprint(n)))
		}
		for i := range 100 { // ten seconds
			for _, p := range places {
				p.move(position{sent: at("b", 200+uint64(i))}, true)
			}
			<-time.After(100 * time.Millisecond)
		}
		// A round of 800, eight at a time, takes a second; the first may begin when not
		// all have moved yet.
		if _, writes := s.has(""); writes < 700 || writes > 2000 {
			t.Errorf("%d writings", writes)
		}
		for _, p := range places {
			p.Leave()
		}
		k.Close()
		if text, _ := s.has("7"); text != "- b.8b.g" {
			t.Errorf("%q", text)
		}
	})
}

func TestOneUserMaySendSoOften(t *testing.T) {
	var r rates
	now := time.Now()
	taken := 0
	for range 100 {
		if r.take("ada", now) {
			taken++
		}
	}
	if taken != burst || !r.take("bob", now) || r.take("ada", now.Add(50*time.Millisecond)) || !r.take("ada", now.Add(150*time.Millisecond)) {
		t.Errorf("%d at once", taken)
	}
	for n := range 3 * maxRates {
		r.take(fmt.Sprint(n), now.Add(time.Duration(n)*time.Millisecond))
	}
	if len(r.users) > maxRates+1000 {
		t.Errorf("%d are remembered", len(r.users))
	}
}
