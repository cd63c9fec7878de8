package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/inbox"
)

func TestWhatARevocationTakesBack(t *testing.T) {
	before := func(d time.Duration) time.Time { return start.Add(d) }
	token := &Identity{User: "ada", TokenID: "t1", IssuedAt: start}
	undated := &Identity{User: "ada", TokenID: "t1"}
	nameless := &Identity{User: "ada", IssuedAt: start}
	for name, c := range map[string]struct {
		revocation Revocation
		id         *Identity
		want       bool
	}{
		"the token":                     {Revocation{TokenID: "t1"}, token, true},
		"another token":                 {Revocation{TokenID: "t2"}, token, false},
		"a token without an id":         {Revocation{TokenID: "t1"}, nameless, false},
		"the token, issued before":      {Revocation{TokenID: "t1", Before: before(1)}, token, true},
		"the token, issued then":        {Revocation{TokenID: "t1", Before: before(0)}, token, false},
		"the token, issued after":       {Revocation{TokenID: "t1", Before: before(-1)}, token, false},
		"the token, issued some time":   {Revocation{TokenID: "t1", Before: before(-time.Hour)}, undated, true},
		"a user of the token's name":    {Revocation{TokenID: "ada"}, token, false},
		"the user, issued before":       {Revocation{User: "ada", Before: before(1)}, token, true},
		"the user, issued then":         {Revocation{User: "ada", Before: before(0)}, token, false},
		"the user, issued after":        {Revocation{User: "ada", Before: before(-1)}, token, false},
		"the user, issued some time":    {Revocation{User: "ada", Before: before(-time.Hour)}, undated, true},
		"the user, a token without id":  {Revocation{User: "ada", Before: before(1)}, nameless, true},
		"another user":                  {Revocation{User: "bob", Before: before(1)}, token, false},
		"a token of the user's name":    {Revocation{User: "t1", Before: before(1)}, token, false},
		"the user in capitals":          {Revocation{User: "Ada", Before: before(1)}, token, false},
		"the user, in the same second":  {Revocation{User: "ada", Before: before(900 * time.Millisecond)}, token, true},
		"the user, up to a minute on":   {Revocation{User: "ada", Before: before(time.Minute)}, token, true},
		"the user, a moment long since": {Revocation{User: "ada", Before: time.Unix(0, 0)}, token, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.revocation.Matches(c.id); got != c.want {
				t.Errorf("Matches says %v", got)
			}
			r := NewRevocations(newMemory(0), RevocationOptions{Now: func() time.Time { return start }})
			if err := r.Revoke(t.Context(), c.revocation); err != nil {
				t.Fatal(err)
			}
			if got := r.Revoked(c.id); got != c.want {
				t.Errorf("Revoked says %v", got)
			}
		})
	}
}

func TestRevocationsTakeNoNonsense(t *testing.T) {
	for name, c := range map[string]struct{ body, field string }{
		"nothing":                {`{}`, "jti"},
		"nulls":                  {`{"jti":null,"sub":null,"before":null}`, "jti"},
		"both":                   {`{"jti":"a","sub":"b"}`, "jti"},
		"an empty jti":           {`{"jti":"","sub":"b"}`, "jti"},
		"an empty sub":           {`{"jti":"a","sub":""}`, "sub"},
		"a number":               {`{"sub":7}`, "sub"},
		"a long jti":             {`{"jti":"` + strings.Repeat("ä", MaxTokenID+1) + `"}`, "jti"},
		"a long sub":             {`{"sub":"` + strings.Repeat("ä", MaxUser+1) + `"}`, "sub"},
		"controls":               {`{"sub":"a\nb"}`, "sub"},
		"a time that is none":    {`{"sub":"a","before":"yesterday"}`, "before"},
		"a time as a number":     {`{"sub":"a","before":1795226400}`, "before"},
		"a time without a zone":  {`{"sub":"a","before":"2026-11-21T02:00:00"}`, "before"},
		"the first of all years": {`{"jti":"a","before":"0001-01-01T00:00:00Z"}`, "before"},
		"too far ahead":          {`{"sub":"a","before":"2026-11-21T02:01:00.001Z"}`, "before"},
	} {
		r := NewRevocations(newMemory(0), RevocationOptions{Now: func() time.Time { return start }})
		var v Revocation
		err := json.Unmarshal([]byte(c.body), &v)
		if err == nil {
			err = r.Revoke(t.Context(), v)
		}
		if bad, ok := errors.AsType[*inbox.FieldError](err); !ok || bad.Field != c.field {
			t.Errorf("%s: got %v, want an error in %s", name, err, c.field)
		}
	}
	var v Revocation
	if err := json.Unmarshal([]byte(`{"sub":"a","sub":"b"}`), &v); err == nil {
		t.Error("a field twice was taken")
	}
}

func TestRevocationsAreReadFromTheWire(t *testing.T) {
	for body, want := range map[string]Revocation{
		`{"jti":"` + strings.Repeat("ä", MaxTokenID) + `"}`:                              {TokenID: strings.Repeat("ä", MaxTokenID)},
		`{"sub":"ada","before":null,"jti":null,"reason":{}}`:                             {User: "ada", Before: start},
		`{"sub":"ada","before":"2026-11-21T03:01:00+01:00"}`:                             {User: "ada", Before: start.Add(time.Minute)},
		`{"jti":"t1","before":"2026-11-21T01:00:00.250Z"}`:                               {TokenID: "t1", Before: start.Add(-time.Hour + 250*time.Millisecond)},
		`{"sub":"` + strings.Repeat("x", MaxUser) + `","before":"1970-01-01T00:00:00Z"}`: {User: strings.Repeat("x", MaxUser), Before: time.Unix(0, 0).UTC()},
	} {
		var v Revocation
		err := json.Unmarshal([]byte(body), &v)
		if err == nil {
			v, err = v.normal(start)
		}
		if err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("%s: got %+v, %v", body, v, err)
		}
	}
}

func TestNarrowerRevocationUndoesNothing(t *testing.T) {
	store := newMemory(0)
	now := func() time.Time { return start }
	for _, c := range []struct{ wide, narrow Revocation }{
		{Revocation{User: "ada"}, Revocation{User: "ada", Before: start.Add(-time.Hour)}},
		{Revocation{TokenID: "t1"}, Revocation{TokenID: "t1", Before: start.Add(-time.Hour)}},
	} {
		for _, v := range []Revocation{c.narrow, c.wide, c.narrow} {
			if err := NewRevocations(store, RevocationOptions{Now: now}).Revoke(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := NewRevocations(store, RevocationOptions{Now: now})
	run(t, r)
	issued := start.Add(-time.Minute)
	for _, id := range []*Identity{{User: "ada", IssuedAt: issued}, {User: "bob", TokenID: "t1", IssuedAt: issued}} {
		if !r.Revoked(id) {
			t.Errorf("%+v came back", id)
		}
	}
}

// run runs them for the length of the test and waits until they are loaded.
func run(t *testing.T, r *Revocations) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }() // ends with ctx
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run said %v", err)
		}
	})
	<-r.Loaded()
}

func TestRevocationIsToldOnceOnEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory(0)
		told := map[string]*[]Revocation{}
		nodes := map[string]*Revocations{}
		for _, name := range []string{"here", "there"} {
			nodes[name] = NewRevocations(store, RevocationOptions{})
			heard := new([]Revocation)
			told[name] = heard
			nodes[name].Changed(func(v Revocation) { *heard = append(*heard, v) })
			run(t, nodes[name])
		}
		now := time.Now().UTC().Round(0)
		for _, v := range []Revocation{
			{User: "ada"},
			{User: "ada", Before: now.Add(-time.Hour)}, // narrower: no news
			{TokenID: "t1", Before: now},
			{TokenID: "t1"}, // wider
		} {
			if err := nodes["here"].Revoke(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		want := []Revocation{{User: "ada", Before: now}, {TokenID: "t1", Before: now}, {TokenID: "t1"}}
		for name, got := range told {
			if fmt.Sprint(*got) != fmt.Sprint(want) {
				t.Errorf("%s heard %v, want %v", name, *got, want)
			}
		}
		if !nodes["there"].Revoked(&Identity{User: "ada"}) {
			t.Error("the other node knows nothing")
		}
	})
}

func TestRevocationsAreForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory(time.Hour)
		r := NewRevocations(store, RevocationOptions{TTL: time.Hour, Max: 2 * minSweep})
		run(t, r)
		revoke := func(name string) error { return r.Revoke(t.Context(), Revocation{TokenID: name}) }
		for n := range 2 * minSweep {
			if err := revoke(fmt.Sprint("t", n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := revoke("more"); !errors.Is(err, ErrTooMany) {
			t.Errorf("one too many: %v", err)
		}
		pass(time.Hour - 1)
		if err := revoke("t0"); err != nil {
			t.Errorf("one that is known: %v", err)
		}
		if !r.Revoked(&Identity{TokenID: "t1"}) {
			t.Error("forgotten too early")
		}
		pass(1)
		if r.Revoked(&Identity{TokenID: "t1"}) || !r.Revoked(&Identity{TokenID: "t0"}) {
			t.Error("want the one forgotten, and the other, made again, not")
		}
		if err := revoke("more"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if r.count() != 2 {
			t.Errorf("%d are remembered", r.count())
		}
	})
}

func TestRevocationsOfOtherNodesAreNeverRefused(t *testing.T) {
	store := newMemory(0)
	a, b := NewRevocations(store, RevocationOptions{}), NewRevocations(store, RevocationOptions{Max: 1})
	for n := range 3 * minSweep {
		if err := a.Revoke(t.Context(), Revocation{TokenID: fmt.Sprint("t", n)}); err != nil {
			t.Fatal(err)
		}
	}
	store.set("jti.broken", []byte("nonsense"))
	store.set("jti.empty", []byte("{}"))
	run(t, b)
	for n := range 3 * minSweep {
		if !b.Revoked(&Identity{TokenID: fmt.Sprint("t", n)}) {
			t.Fatalf("t%d got in", n)
		}
	}
	if b.count() != 3*minSweep || b.Revoked(&Identity{}) {
		t.Error("what made no sense was remembered")
	}
}

func TestRevokeStoresOrFails(t *testing.T) {
	store := newMemory(0)
	store.err = fmt.Errorf("update: %w", inbox.ErrUnavailable)
	r := NewRevocations(store, RevocationOptions{})
	if err := r.Revoke(t.Context(), Revocation{User: "ada"}); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if r.Revoked(&Identity{User: "ada"}) {
		t.Error("in force here, and nowhere else")
	}
}

func BenchmarkRevoked(b *testing.B) {
	r := NewRevocations(newMemory(0), RevocationOptions{})
	for n := range 100_000 {
		r.apply(revocationBody{TokenID: fmt.Sprint("t", n), At: time.Now()})
	}
	id := &Identity{User: "ada", TokenID: "none"}
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if r.Revoked(id) {
				b.Error("revoked")
			}
		}
	})
}
