package transporttest

import (
	"context"
	"slices"
	"testing"
	"time"

	"tocsin/server/auth"
)

// within is how soon a revocation holds everywhere.
const within = 2 * time.Second

// refused wants the answer that tells a client with this token and a cursor to
// stop.
func refused(t *testing.T, w *World, via Transport, token, cursor string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := via.Connect(ctx, w.URL(), token, cursor)
	if err == nil { // polls ask later
		defer r.Close()
		_, err = r.Next(ctx)
	}
	if got := endOf(err); got != via.Again {
		t.Errorf("who comes back gets %+v, want %+v", got, via.Again)
	}
}

// tokenExpires ends a session with its token, and goes on with a new one.
func tokenExpires(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	old := c.Token("", 3*time.Second)
	f := w.Follow(env.Via, old, "")
	said := c.Raise(2)
	f.Expect(said...)
	if got := f.end(); got != env.Via.Expired {
		t.Errorf("the session ended with %+v, want %+v", got, env.Via.Expired)
	}
	said = append(said, c.Raise(2)...)
	refused(t, w, env.Via, old, f.Cursor)
	f.token = c.Token("", time.Minute)
	f.Expect(said...)
	f.noGap()
}

// tokenIsRenewedInPlace goes on over the same connection. Another one, which is
// ends a second later, tells when the old token's time is over.
func tokenIsRenewedInPlace(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	old := c.Token("", 2*time.Second)
	clock := w.Follow(env.Via, c.Token("", 3*time.Second), "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := dial(ctx, w.URL(), old, "", true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.say(map[string]string{"op": "auth", "ref": "1", "token": c.Token("", time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if f, err := r.answer(ctx); err != nil || f.Op != "ok" {
		t.Fatalf("the new token: %+v, %v", f, err)
	}
	if got := clock.end(); got != env.Via.Expired {
		t.Errorf("the other session ended with %+v", got)
	}
	f := &Follower{t: t, via: env.Via, url: w.URL, token: old, reader: r}
	f.Expect(c.Raise(3)...)
	if f.Sessions != 0 {
		t.Error("it had to connect again")
	}
}

// tokenIsRevoked ends what is open, held polls too, and lets nobody back in.
func tokenIsRevoked(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	f := w.Follow(env.Via, c.Token("stolen-"+env.Via.Name, time.Minute), "")
	said := c.Raise(2)
	f.Expect(said...)
	innocent := w.Follow(env.Via, c.Token("kept-"+env.Via.Name, time.Minute), f.Cursor)
	ended := make(chan End, 1)
	gauge := "tocsin_connections{transport=\"" + env.Via.Gauge + "\"}"
	go func() { ended <- f.end() }() // ends with the session
	if env.Via.Held {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for w.Gauge(gauge) == 0 { // until it is held
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				t.Fatalf("%s stays 0: %v", gauge, err)
			}
		}
	}
	admin := sign(t, auth.Issue{User: "admin", Scope: "admin", TTL: time.Minute})
	began := time.Now()
	w.request("POST", w.URL()+"/v1/revocations", admin, `{"jti":"stolen-`+env.Via.Name+`"}`, 204)
	if got, took := <-ended, time.Since(began); got != env.Via.Revoked || took > within {
		t.Errorf("the session ended with %+v after %v, want %+v", got, took, env.Via.Revoked)
	}
	refused(t, w, env.Via, f.token, f.Cursor)
	more := c.Raise(2)
	innocent.Expect(more...)
	f.token = c.Token("new", time.Minute)
	f.Expect(slices.Concat(said, more)...)
	f.noGap()
}

// leavingAGroup takes its alarms away at once, on open connections too.
func leavingAGroup(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c, theirs := w.Crew(), w.Crew()
	c.Join(c.Group, theirs.Group)
	f := w.Follow(env.Via, c.Token("", time.Minute), "")
	ours := c.Raise(2)
	f.Expect(slices.Concat(ours, theirs.say("theirs", 2))...)
	f.noGap()
	c.Join(c.Group)
	theirs.say("secret", 2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := f.until(ctx, func() bool { return len(f.Gaps) > 0 && len(f.Got) >= len(ours) })
	f.compare(err, ours)
	theirs.say("secret", 2)
	f.Expect(slices.Concat(ours, c.Raise(2))...)
	if !slices.Equal(f.Gaps, []string{"membership"}) {
		t.Errorf("gaps: %v", f.Gaps)
	}
	if len(f.Ends) > 0 {
		t.Errorf("the session ended for it: %+v", f.Ends)
	}
}
