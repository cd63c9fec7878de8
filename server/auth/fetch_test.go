package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bubbled gives options for a test under synctest: time is the bubble's, and the
// document comes without a network.
func bubbled(answer roundTrip) Options {
	return Options{
		JWKSURL: "https://id.example/keys", HTTPClient: &http.Client{Transport: answer},
		Now: time.Now, JWKSRefresh: 10 * time.Minute, JWKSCooldown: time.Minute,
	}
}

func answerOf(doc []byte) *http.Response {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(doc)))}
}

func TestTheDocumentIsFetchedFromTimeToTimeUntilTheContextEnds(t *testing.T) {
	doc := jwks(jwkOf(t, "a", ring().ed))
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		var failing atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		v, err := New(ctx, bubbled(func(*http.Request) (*http.Response, error) {
			requests.Add(1)
			if failing.Load() {
				return nil, errors.New("unreachable")
			}
			return answerOf(doc), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		after := func(d time.Duration, want int32) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			if n := requests.Load(); n != want {
				t.Errorf("%d requests after %v more, want %d", n, d, want)
			}
		}
		set := v.keys.Load()
		after(10*time.Minute-1, 1)
		after(1, 2)
		after(10*time.Minute, 3)
		if v.keys.Load() != set {
			t.Error("an unchanged document replaced the keys, and the remembered tokens with them")
		}
		failing.Store(true)
		after(10*time.Minute, 4) // fails: next after 1, 2, 4, 8, 10 minutes
		after(time.Minute, 5)
		after(2*time.Minute, 6)
		after(4*time.Minute, 7)
		after(8*time.Minute, 8)
		after(10*time.Minute-1, 8)
		after(1, 9)
		failing.Store(false)
		after(10*time.Minute, 10)
		after(10*time.Minute-1, 10)

		cancel()
		synctest.Wait()
		<-v.remote.ended
		after(time.Hour, 10)
		if _, err := v.Verify(t.Context(), tokenOf(t, edDSA, "b")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("an unknown kid when nobody fetches any more: %v", err)
		}
	})
}

func TestASlowDocumentIsGivenUpAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		v, err := New(t.Context(), bubbled(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		if err != nil || time.Since(began) != 5*time.Second {
			t.Fatalf("New took %v: %v", time.Since(began), err)
		}
		<-time.After(55 * time.Second)

		// Who waits for it is let go by his own context, too.
		began = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = v.Verify(ctx, tokenOf(t, edDSA, "a"))
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("waited %v: %v", time.Since(began), err)
		}
	})
}

func TestNewEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, Options{JWKSURL: "https://id.example/keys"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRedirectsAreLimited(t *testing.T) {
	for _, c := range []struct {
		to   string
		want int
	}{
		{"https://id.example/keys", 1 + maxRedirects},
		{"http://127.0.0.1/keys", 1 + maxRedirects},
		{"http://id.example/keys", 1},
		{"http://10.0.0.1/keys", 1},
	} {
		requests := 0
		o := bubbled(func(*http.Request) (*http.Response, error) {
			requests++
			return &http.Response{StatusCode: 302, Header: http.Header{"Location": {c.to}}, Body: http.NoBody}, nil
		})
		newVerifier(t, o)
		if requests != c.want {
			t.Errorf("to %s: %d requests, want %d", c.to, requests, c.want)
		}
	}
}

func TestAFetchAnswersWhoAskedBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := bubbled(func(*http.Request) (*http.Response, error) { return answerOf(jwks()), nil }).withDefaults()
		r, err2 := newRemote(o, func(string) bool { return true }, func([]key) {})
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		answered := make(chan error, 1)
		// Ends with the fetch below.
		go func() { answered <- r.await(t.Context()) }()
		synctest.Wait()
		r.fetch(t.Context())
		if err := <-answered; !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want the failure of the fetch", err)
		}
		if len(r.ask) != 0 {
			t.Error("the fetch left the question open: there would be a second one")
		}
	})
}
