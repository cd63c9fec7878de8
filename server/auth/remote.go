package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Limits of a fetch.
const (
	fetchTimeout = 5 * time.Second
	maxDocument  = 1 << 20 // bytes
	maxRedirects = 3
)

// A remote keeps the keys of a URL. All fetches are made one after the other: the
// first by New, the others by run. A token with an unknown key only asks for one
// and waits, together with all others that do.
type remote struct {
	url               string
	client            *http.Client
	refresh, cooldown time.Duration
	now               func() time.Time
	log               *slog.Logger
	parse             func(doc []byte) ([]key, error)
	install           func([]key)

	ask   chan struct{} // one slot
	ended chan struct{} // closed when run has returned

	mu sync.Mutex
	// flight is closed when the fetch that runs, or was asked for, is over; nil
	// if there is none.
	flight chan struct{}
	last   time.Time // when the last fetch began
	err    error     // of the last fetch

	// Of the goroutine that fetches.
	failures int
	document [sha256.Size]byte // of the keys in use
}

func newRemote(o Options, accepts func(string) bool, install func([]key)) (*remote, error) {
	u, err := url.Parse(o.JWKSURL)
	if err != nil {
		return nil, errors.New("the JWKS URL is not a URL")
	}
	if err := checkURL(u); err != nil {
		return nil, fmt.Errorf("the JWKS URL: %w", err)
	}
	client := *o.HTTPClient
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return checkURL(req.URL)
	}
	log := o.Logger.With("jwks", u.Host+u.Path)
	return &remote{
		url: u.String(), client: &client, refresh: o.JWKSRefresh, cooldown: o.JWKSCooldown,
		now: o.Now, log: log, install: install,
		parse: func(doc []byte) ([]key, error) { return parseJWKS(doc, true, accepts, log) },
		ask:   make(chan struct{}, 1), ended: make(chan struct{}),
	}, nil
}

// checkURL admits what nobody on the way can change: who writes the document
// makes the tokens.
func checkURL(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	switch {
	case u.Host == "":
		return errors.New("it has no host")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()):
		return nil
	}
	return errors.New("want https, or http on the loopback")
}

// run fetches when it is time and when it is asked to, until ctx ends.
func (r *remote) run(ctx context.Context) {
	defer close(r.ended)
	timer := time.NewTimer(r.delay())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.ask:
		}
		r.fetch(ctx)
		timer.Reset(r.delay())
	}
}

// delay is how long to wait for the next fetch: after failures from the cooldown
// on, doubling, up to the ordinary time.
func (r *remote) delay() time.Duration {
	d := r.cooldown
	for i := 1; i < r.failures && d < r.refresh; i++ {
		d *= 2
	}
	if r.failures == 0 || d > r.refresh {
		return r.refresh
	}
	return d
}

// await returns when a fetch that was under way, or could be caused, is over. In
// the cooldown it returns at once. The error is that of the last fetch: with it
// nobody can say that a key does not exist.
func (r *remote) await(ctx context.Context) error {
	r.mu.Lock()
	flight := r.flight
	if flight == nil {
		if r.now().Sub(r.last) < r.cooldown {
			defer r.mu.Unlock()
			return r.err
		}
		flight = make(chan struct{})
		r.flight = flight
		r.ask <- struct{}{} // never blocks: one slot, and one flight at a time
	}
	r.mu.Unlock()

	select {
	case <-flight:
	case <-r.ended:
		return fmt.Errorf("%w: the document of keys is no longer fetched", ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("%w: await the document of keys: %w", ErrUnavailable, ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// fetch gets the document and installs its keys. Failures are logged and change
// nothing. One goroutine at a time may call it.
func (r *remote) fetch(ctx context.Context) {
	r.mu.Lock()
	if r.flight == nil {
		r.flight = make(chan struct{})
	}
	select {
	case <-r.ask: // what was asked for is this fetch
	default:
	}
	r.last = r.now()
	r.mu.Unlock()

	err := r.load(ctx)
	if err != nil {
		r.failures++
		if ctx.Err() == nil { // the end of the program is no failure of the issuer
			r.log.Warn("could not load the document of keys; those known so far stay", "error", err, "failures", r.failures)
		}
		err = fmt.Errorf("%w: the document of keys could not be loaded", ErrUnavailable)
	} else {
		r.failures = 0
	}
	r.mu.Lock()
	r.err = err
	close(r.flight)
	r.flight = nil
	r.mu.Unlock()
}

// load installs the document's keys, if it has changed.
func (r *remote) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	doc, err := r.get(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(doc)
	if sum == r.document {
		return nil
	}
	keys, err := r.parse(doc)
	if err != nil {
		return err
	}
	r.install(keys)
	r.document = sum
	r.log.Info("loaded the document of keys", "keys", len(keys))
	return nil
}

func (r *remote) get(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.client.Do(req)
	if err != nil {
		// The error's own text repeats the URL, whose query may be a secret.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("fetch the document: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch the document: status %d", res.StatusCode)
	}
	doc, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if len(doc) > maxDocument {
		return nil, fmt.Errorf("read the document: more than %d bytes", maxDocument)
	}
	return doc, nil
}
