package auth

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestKeysAreReplacedWhileTokensAreVerified(t *testing.T) {
	k := ring()
	v := newVerifier(t, Options{PEM: pemOf(t, k.rsa)})
	changes := 0
	v.Changed(func() { changes++ })
	byRSA, byEC, bySecret := tokenOf(t, rs256, ""), tokenOf(t, es256, ""), tokenOf(t, hs256, "")
	id, err := v.Verify(t.Context(), byRSA)
	if err != nil || !v.Vouches(id) || !v.Vouches(&Identity{User: "of a session"}) {
		t.Fatalf("%+v, %v", id, err)
	}
	// With its successor, whose algorithm is another one, beside it.
	if err := v.Replace(Options{PEM: pemOf(t, k.rsa, k.ec)}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), byEC); err != nil || !v.Vouches(id) || changes != 1 {
		t.Errorf("%v, vouches %v, %d changes", err, v.Vouches(id), changes)
	}
	for name, o := range map[string]Options{"nothing": {}, "nonsense": {PEM: []byte("x")}, "a short secret": {HS256: []byte("x")}} {
		if err := v.Replace(o); err == nil || changes != 1 || !v.Vouches(id) {
			t.Errorf("%s: %v, %d changes", name, err, changes)
		}
	}
	// Alone: what the old one signed is refused, though it was remembered.
	if err := v.Replace(Options{PEM: pemOf(t, k.ec), HS256: secret}); err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), byRSA)
	if !errors.Is(err, ErrInvalid) || v.Vouches(id) || changes != 2 {
		t.Errorf("%v, vouches %v, %d changes", err, v.Vouches(id), changes)
	}
	for _, token := range []string{byEC, bySecret} {
		if id, err := v.Verify(t.Context(), token); err != nil || !v.Vouches(id) {
			t.Error(err)
		}
	}
	strict := newVerifier(t, Options{PEM: pemOf(t, k.rsa), Algorithms: []string{rs256}})
	if err := strict.Replace(Options{PEM: pemOf(t, k.ec)}); err == nil {
		t.Error("a key of an algorithm that is not accepted was taken")
	}
}

// What a token of a key was exchanged for ends with that key, too.
func TestATicketEndsWithTheKeyOfItsToken(t *testing.T) {
	k := ring()
	g := &Gate{Verifier: newVerifier(t, Options{PEM: pemOf(t, k.rsa, k.ec)}), Tickets: NewTickets(newMemory(0), TicketOptions{Now: func() time.Time { return start }})}
	for alg, want := range map[string]error{rs256: ErrRevoked, es256: nil} {
		id, err := g.Verify(t.Context(), tokenOf(t, alg, ""))
		if err != nil {
			t.Fatal(err)
		}
		ticket, _, err := g.Tickets.Issue(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Verifier.Replace(Options{PEM: pemOf(t, k.ec)}); err != nil {
			t.Fatal(err)
		}
		if got, err := g.redeem(t.Context(), ticket); !errors.Is(err, want) || want == nil && (err != nil || g.TakenBack(got)) {
			t.Errorf("%s: %v, want %v", alg, err, want)
		}
		if g.TakenBack(id) != (want != nil) {
			t.Errorf("%s is taken back: %v", alg, g.TakenBack(id))
		}
		if err := g.Verifier.Replace(Options{PEM: pemOf(t, k.rsa, k.ec)}); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever is verified while keys come and go is verified by the keys of one moment.
func TestKeysAreReplacedUnderManyReaders(t *testing.T) {
	k := ring()
	one, both := pemOf(t, k.rsa), pemOf(t, k.rsa, k.ec)
	v := newVerifier(t, Options{PEM: one})
	token := tokenOf(t, rs256, "")
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var verified atomic.Int64
	for range 4 {
		readers.Go(func() { // ends with the context
			for ctx.Err() == nil {
				if id, err := v.Verify(t.Context(), token); err != nil || !v.Vouches(id) {
					t.Errorf("%+v, %v", id, err)
					return
				}
				verified.Add(1)
			}
		})
	}
	for i := 0; verified.Load() < 2000 && i < 1e6; i++ {
		if err := v.Replace(Options{PEM: [][]byte{one, both}[i%2]}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	readers.Wait()
	if bytes.Equal(one, both) || verified.Load() == 0 {
		t.Error("nothing was verified")
	}
}
