package auth

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An issuer serves a document on the loopback and counts who asks for it. Its
// clock is the verifier's, too.
type issuer struct {
	url      string
	requests atomic.Int32
	answer   atomic.Pointer[http.HandlerFunc]
	now      atomic.Int64
}

func newIssuer(t *testing.T, answer http.HandlerFunc) *issuer {
	i := &issuer{}
	i.serve(answer)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.requests.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

func (i *issuer) serve(answer http.HandlerFunc) { i.answer.Store(&answer) }
func (i *issuer) clock() time.Time              { return start.Add(time.Duration(i.now.Load())) }
func (i *issuer) pass(d time.Duration)          { i.now.Add(int64(d)) }
func (i *issuer) options(more ...Options) Options {
	o := Options{}
	if len(more) > 0 {
		o = more[0]
	}
	o.JWKSURL, o.Now = i.url, i.clock
	// No fetch but those the tests cause: they take far less than an hour.
	o.JWKSRefresh, o.JWKSCooldown = time.Hour, 20*time.Second
	return o
}

func document(keys ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwks(keys...)) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (i *issuer) asked(t *testing.T, want int32) {
	t.Helper()
	if n := i.requests.Load(); n != want {
		t.Errorf("the document was asked for %d times, want %d", n, want)
	}
}

func TestAnUnknownKidFetchesTheDocumentAgain(t *testing.T) {
	k := ring()
	i := newIssuer(t, document(jwkOf(t, "old", k.ec2)))
	v := newVerifier(t, i.options())
	i.asked(t, 1)

	i.serve(document(jwkOf(t, "old", k.ec2), jwkOf(t, "new", k.ec)))
	token := tokenOf(t, es256, "new")
	_, err := v.Verify(t.Context(), token)
	refused(t, token, err, ErrInvalid) // the cooldown of the first fetch
	i.asked(t, 1)

	i.pass(20 * time.Second)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	i.asked(t, 2)
}

func TestAKeyThatIsGoneTakesItsTokensWithIt(t *testing.T) {
	k := ring()
	i := newIssuer(t, document(jwkOf(t, "a", k.ec)))
	v := newVerifier(t, i.options())
	token := tokenOf(t, es256, "a")
	id, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	told := false
	v.Changed(func() { told = true })
	i.serve(document(jwkOf(t, "b", k.ec2)))
	i.pass(20 * time.Second)
	_, _ = v.Verify(t.Context(), tokenOf(t, es256, "b")) // causes the fetch
	_, err = v.Verify(t.Context(), token)
	refused(t, token, err, ErrInvalid) // although it was remembered
	if !told || v.Vouches(id) {
		t.Errorf("told %v, still vouched for %v", told, v.Vouches(id))
	}
}

func TestUnknownKidsShareOneFetchAndDoNotHammer(t *testing.T) {
	k := ring()
	i := newIssuer(t, document(jwkOf(t, "a", k.ec)))
	v := newVerifier(t, i.options())
	hold := make(chan struct{})
	i.serve(func(w http.ResponseWriter, r *http.Request) {
		<-hold
		document(jwkOf(t, "a", k.ec))(w, r)
	})
	i.pass(20 * time.Second)
	token := tokenOf(t, es256, "unknown")
	var waiting sync.WaitGroup
	for range 50 {
		// Ends when the issuer has answered.
		waiting.Go(func() {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
	// Meanwhile a known key is not kept waiting.
	if _, err := v.Verify(t.Context(), tokenOf(t, es256, "a")); err != nil {
		t.Error(err)
	}
	close(hold)
	waiting.Wait()
	i.asked(t, 2)
	for range 50 {
		_, _ = v.Verify(t.Context(), token)
	}
	i.asked(t, 2)
}

func TestTokensThatNoDocumentCouldVerifyDoNotFetch(t *testing.T) {
	k := ring()
	i := newIssuer(t, document(jwkOf(t, "a", k.ec)))
	v := newVerifier(t, i.options(Options{HS256: []byte(strings.Repeat("x", 32))}))
	i.pass(time.Minute)
	bad := tokenOf(t, es256, "a")
	for _, token := range []string{
		"x.y.z", tokenOf(t, hs256, "unknown"), bad[:len(bad)-8] + "AAAAAAAA",
		b64([]byte(`{"alg":"none","kid":"unknown"}`)) + "..",
	} {
		_, err := v.Verify(t.Context(), token)
		refused(t, token, err, ErrInvalid)
	}
	i.asked(t, 1)
}

func TestABrokenDocumentKeepsTheLastGoodKeys(t *testing.T) {
	k := ring()
	huge := strings.Repeat(" ", maxDocument+1-len(jwks(jwkOf(t, "b", k.ed)))) + string(jwks(jwkOf(t, "b", k.ed)))
	for name, answer := range map[string]http.HandlerFunc{
		"status 500": status(500), "status 404": status(404), "status 204": status(204),
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>moved</html>") },
		"empty":   document(), "only keys of no use": document(`{"kty":"AKP"}`),
		"too large": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, huge) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(jwks())
		},
		"redirected for ever": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusFound)
		},
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, document(jwkOf(t, "a", k.ec)))
			var out strings.Builder
			v := newVerifier(t, i.options(Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}))
			i.serve(answer)
			i.pass(20 * time.Second)
			token := tokenOf(t, edDSA, "b")
			_, err := v.Verify(t.Context(), token)
			refused(t, token, err, ErrUnavailable)
			if _, err := v.Verify(t.Context(), tokenOf(t, es256, "a")); err != nil {
				t.Errorf("the key known so far: %v", err)
			}
			if !strings.Contains(out.String(), "could not load the document") {
				t.Errorf("logged %q", out.String())
			}
			i.serve(document(jwkOf(t, "b", k.ed)))
			i.pass(20 * time.Second)
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("after it has recovered: %v", err)
			}
		})
	}
}

func TestAFewRedirectsAreFollowed(t *testing.T) {
	i := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) < 4 {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
			return
		}
		document(jwkOf(t, "", ring().ed))(w, r)
	})
	if _, err := newVerifier(t, i.options()).Verify(t.Context(), tokenOf(t, edDSA, "")); err != nil {
		t.Error(err)
	}
}

func TestAnUnreachableDocumentAtStartRefusesTokensUntilItAnswers(t *testing.T) {
	i := newIssuer(t, status(503))
	v := newVerifier(t, i.options(Options{HS256: secret}))
	token := tokenOf(t, es256, "a")
	_, err := v.Verify(t.Context(), token)
	refused(t, token, err, ErrUnavailable)
	if _, err := v.Verify(t.Context(), tokenOf(t, hs256, "")); err != nil {
		t.Errorf("the secret beside it: %v", err)
	}
	i.asked(t, 1)
	i.serve(document(jwkOf(t, "a", ring().ec)))
	i.pass(20 * time.Second)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("after its first answer: %v", err)
	}
	i.asked(t, 2)
}

func TestAPublishedSecretIsRefused(t *testing.T) {
	oct := asJSON(t, map[string]any{"kty": "oct", "k": b64(secret), "kid": "s", "alg": "HS256"})
	i := newIssuer(t, document(oct, jwkOf(t, "d", ring().ed)))
	var out strings.Builder
	v := newVerifier(t, i.options(Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}))
	token := tokenOf(t, hs256, "s")
	_, err := v.Verify(t.Context(), token)
	refused(t, token, err, ErrInvalid)
	if !strings.Contains(out.String(), "it is a secret, and was published") {
		t.Errorf("logged %q", out.String())
	}
}

func TestAURLIsLoggedWithoutItsSecrets(t *testing.T) {
	i := newIssuer(t, status(200))
	o := i.options()
	o.JWKSURL = strings.Replace(i.url, "http://", "http://me:hunter2@", 1) + "/keys?key=hunter3"
	var out strings.Builder
	o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	o.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("refused")
	})}
	newVerifier(t, o)
	if s := out.String(); !strings.Contains(s, "/keys") || strings.Contains(s, "hunter") {
		t.Errorf("logged %q", s)
	}
}

func TestAPublishedKeyDoesNotReplaceAConfiguredOne(t *testing.T) {
	k := ring()
	i := newIssuer(t, document(jwkOf(t, "a", k.ec2)))
	v := newVerifier(t, i.options(Options{JWKS: jwks(jwkOf(t, "a", k.ec))}))
	if _, err := v.Verify(t.Context(), tokenOf(t, es256, "a")); err != nil {
		t.Error(err)
	}
}
