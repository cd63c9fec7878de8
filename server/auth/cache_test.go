package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func digestOf(n int) digest { return sha256.Sum256(fmt.Append(nil, n)) }

func TestTheCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	c := newCache[claims](100)
	for n := range 10_000 {
		c.put(digestOf(n), claims{})
		if _, ok := c.get(digestOf(0)); !ok {
			t.Fatalf("what was used after every other entry is gone after %d", n)
		}
		if c.len() > 100 {
			t.Fatalf("%d entries, want at most 100", c.len())
		}
	}
	if _, ok := c.get(digestOf(1)); ok {
		t.Error("what was never used again is still there")
	}
}

func TestAnExpiredTokenIsForgotten(t *testing.T) {
	now := start
	v := newVerifier(t, Options{HS256: secret, Now: func() time.Time { return now }})
	token := tokenOf(t, hs256, "")
	remembered := func(want int) {
		t.Helper()
		if n := v.keys.Load().seen.len(); n != want {
			t.Errorf("%d tokens remembered, want %d", n, want)
		}
	}
	_, _ = v.Verify(t.Context(), token+"x")
	remembered(0)
	_, _ = v.Verify(t.Context(), token)
	_, _ = v.Verify(t.Context(), token)
	remembered(1)
	now = start.Add(time.Minute)
	_, _ = v.Verify(t.Context(), token)
	remembered(0)
	_, _ = v.Verify(t.Context(), token)
	remembered(0)
}

func TestACacheOfNothingRemembersNothing(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret, CacheSize: -1})
	for range 2 {
		if _, err := v.Verify(t.Context(), tokenOf(t, hs256, "")); err != nil {
			t.Error(err)
		}
	}
	if n := v.keys.Load().seen.len(); n != 0 {
		t.Errorf("%d tokens remembered", n)
	}
}

func TestManyVerifyAtOnce(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret, CacheSize: 8})
	tokens := make([]string, 16)
	for n := range tokens {
		tokens[n] = hsToken(t, payload(t, map[string]any{"sub": fmt.Sprint("user ", n)}))
	}
	var all sync.WaitGroup
	for g := range 4 {
		// Ends after its 400 tokens.
		all.Go(func() {
			for n := range 400 {
				n = (n + g) % len(tokens)
				if id, err := v.Verify(t.Context(), tokens[n]); err != nil || id.User != fmt.Sprint("user ", n) {
					t.Errorf("token %d: %+v, %v", n, id, err)
				}
			}
		})
	}
	all.Wait()
}

// Whoever tries tokens at random, wrong ones and as many as he likes, takes neither
// memory nor the place of those who have been here.
func TestWrongTokensLeaveNothingBehind(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	good := tokenOf(t, hs256, "")
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(good, ".")
	for n := range 100_000 {
		wrong := head + "." + b64(fmt.Append(nil, `{"sub":"user `, n, `"}`)) + "." + b64(fmt.Append(nil, "signature ", n, " of 32 bytes and more"))
		if _, err := v.Verify(t.Context(), wrong); !errors.Is(err, ErrInvalid) {
			t.Fatalf("%s: %v", wrong, err)
		}
	}
	if n := v.keys.Load().seen.len(); n != 1 {
		t.Errorf("%d tokens are remembered, want the good one", n)
	}
}
