package transporttest

import (
	"context"
	"slices"
	"testing"
	"time"

	"tocsin/transports"
)

// resume reads a part over one transport and, with its cursor, exactly the rest
// over each of the others.
func resume(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	for _, other := range env.All {
		t.Run("then "+other.Name, func(t *testing.T) {
			c := w.Crew()
			token := c.Token("", time.Minute)
			from := w.Follow(env.Via, token, "")
			said := c.Raise(2 * limit)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := from.until(ctx, func() bool { return len(from.Got) >= 3 }); err != nil {
				t.Fatal(err)
			}
			from.Cut()
			said = append(said, c.Raise(5)...)
			from.compare(nil, said[:len(from.Got)])
			to := w.Follow(other, token, from.Cursor)
			to.Expect(said[len(from.Got):]...)
			end := c.Raise(1) // nothing comes between
			to.Expect(append(slices.Clone(said[len(from.Got):]), end...)...)
			from.noGap()
			to.noGap()
			if from.Sessions != 1 || to.Sessions != 1 {
				t.Errorf("%d and %d sessions", from.Sessions, to.Sessions)
			}
		})
	}
}

// restart goes on at a node that has started anew on the same log, whether the
// client was connected when it stopped or not.
func restart(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	token := c.Token("", time.Minute)
	away := w.Follow(env.Via, token, "")
	there := w.Follow(env.Via, token, "")
	said := c.Raise(3)
	away.Expect(said...)
	there.Expect(said...)
	away.Cut()
	said = append(said, c.Raise(4)...)
	w.Stop(0)
	w.Start(0)
	said = append(said, c.Raise(5)...)
	away.Expect(said...)
	there.Expect(said...)
	away.noGap()
	there.noGap()
	away.Cut() // a node that stops would wait for it to close
	there.Cut()
}

// slow reads nothing while the others read everything, and then gets it, too.
func slow(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	token := c.Token("", time.Minute)
	late := w.Follow(env.Via, token, "")
	var fast []*Follower
	for _, via := range env.All {
		fast = append(fast, w.Follow(via, token, ""))
	}
	var said []string
	for range 9 {
		said = append(said, c.Raise(10)...)
		for _, f := range fast {
			f.Expect(said...)
		}
	}
	late.Expect(said...)
	late.noGap()
}

// shutdownInABurst ends a node while alarms flow. Its clients find the rest at
// another one.
func shutdownInABurst(t *testing.T, env Env) {
	w := env.World(t, Settings{Nodes: 2})
	c := w.Crew()
	token := c.Token("", time.Minute)
	f := w.Follow(env.Via, token, "")
	said := c.Raise(1)
	f.Expect(said...)
	w.Start(1)
	const burst = 60 // less than a page lists
	begun, done := make(chan struct{}), make(chan struct{})
	other := w.nodes[1]
	go func() { // ends with the burst
		defer close(done)
		every := time.NewTicker(3 * time.Millisecond)
		defer every.Stop()
		for i := range burst {
			said = append(said, c.sayAt(other, "alarm", 1)...)
			if i == burst/4 {
				close(begun)
			}
			<-every.C
		}
	}()
	stopped := make(chan struct{})
	go func() { // ends when the node has stopped
		defer close(stopped)
		<-begun
		w.Stop(0)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := f.until(ctx, func() bool { return len(f.Got) > burst })
	<-done
	<-stopped
	f.compare(err, said)
	if want := env.Via.Drained; want != (End{}) && (!slices.Equal(f.Ends, []End{want}) || f.Sessions != 2) {
		t.Errorf("%d sessions ended with %+v, want %+v once", f.Sessions, f.Ends, want)
	}
	f.Expect(append(said, c.Raise(1)...)...)
	f.noGap()
	f.Cut() // a node that stops would wait for it to close
}

// rounds are those of all streams together: two transports, and each of them
// with and without a front.
const rounds = 1000 / 4

// rotation ends each session of a stream after milliseconds, while alarms flow.
func rotation(t *testing.T, env Env) {
	w := env.World(t, Settings{Limits: transports.Limits{Rotate: 5 * time.Millisecond}})
	c := w.Crew()
	f := w.Follow(env.Via, c.Token("", time.Minute), "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var said []string
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		for every := time.NewTicker(3 * time.Millisecond); ; {
			said = append(said, c.Raise(2)...)
			select {
			case <-every.C:
			case <-stop:
				every.Stop()
				return
			}
		}
	}()
	err := f.until(ctx, func() bool { return f.Sessions >= rounds })
	close(stop)
	<-done
	if err != nil {
		t.Fatalf("in session %d: %v", f.Sessions, err)
	}
	f.Expect(said...)
	f.noGap()
	if len(f.Ends) < f.Sessions-1 {
		t.Errorf("%d of %d sessions ended with a bye", len(f.Ends), f.Sessions)
	}
	for _, end := range f.Ends {
		if end.Reason != "rotate" {
			t.Fatalf("a session ended with %+v", end)
		}
	}
}
