package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// newGate makes one whose clock stands at start, and its stores.
func newGate(t *testing.T) (gate *Gate, tickets, revocations *memory) {
	t.Helper()
	now := func() time.Time { return start }
	tickets, revocations = newMemory(0), newMemory(0)
	return &Gate{
		Verifier:    newVerifier(t, Options{HS256: secret}),
		Tickets:     NewTickets(tickets, TicketOptions{Now: now}),
		Revocations: NewRevocations(revocations, RevocationOptions{Now: now}),
		AllowQuery:  true,
	}, tickets, revocations
}

// as is a token of somebody, issued at start.
func as(t *testing.T, user string) string {
	t.Helper()
	return hsToken(t, payload(t, map[string]any{"sub": user, "jti": "t-" + user, "iat": start.Unix()}))
}

// TestExplicitComesBeforeAmbient tries all requests that use some of the four
// sources, each of them good or bad: the first in the order decides, for good or
// bad.
func TestExplicitComesBeforeAmbient(t *testing.T) {
	gate, _, _ := newGate(t)
	order := []Source{FromHeader, FromTicket, FromQuery, FromCookie}
	const absent, good, bad = 0, 1, 2
	for n := range 3 * 3 * 3 * 3 {
		r := httptest.NewRequest("GET", "/v1/inbox", nil)
		q := r.URL.Query()
		want, wantErr := Source(""), ErrMissing
		for i, rest := 0, n; i < len(order); i, rest = i+1, rest/3 {
			use := rest % 3
			if use == absent {
				continue
			}
			if want == "" {
				want, wantErr = order[i], nil
				if use == bad {
					wantErr = ErrInvalid
				}
			}
			secret := "nonsense"
			if use == good {
				secret = as(t, string(order[i]))
			}
			switch order[i] {
			case FromHeader:
				r.Header.Set("Authorization", "Bearer "+secret)
			case FromTicket:
				if use == good {
					id, err := gate.Verify(t.Context(), secret)
					if err != nil {
						t.Fatal(err)
					}
					secret = issue(t, gate.Tickets, id)
				}
				q.Set("ticket", secret)
			case FromQuery:
				q.Set("access_token", secret)
			case FromCookie:
				r.AddCookie(SessionCookie(secret, start, false))
			}
		}
		r.URL.RawQuery = q.Encode()
		id, from, err := gate.Authenticate(t.Context(), r)
		if from != want || !errors.Is(err, wantErr) || err == nil && id.User != string(want) || err != nil && id != nil {
			t.Errorf("%s %v: got %v from %q, %v; want it from %q, %v", r.URL.RawQuery, r.Header, id, from, err, want, wantErr)
		}
	}
}

func TestGateKeepsOutWhoIsRevoked(t *testing.T) {
	gate, _, _ := newGate(t)
	id, err := gate.Verify(t.Context(), as(t, "ada"))
	if err != nil {
		t.Fatal(err)
	}
	ticket := issue(t, gate.Tickets, id)
	if err := gate.Revocations.Revoke(t.Context(), Revocation{TokenID: "t-ada"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		url    string
		header http.Header
	}{
		"header": {"/", http.Header{"Authorization": {"Bearer " + as(t, "ada")}}},
		"ticket": {"/?ticket=" + ticket, nil},
		"query":  {"/?access_token=" + as(t, "ada"), nil},
		"cookie": {"/", http.Header{"Cookie": {"tocsin_session=" + as(t, "ada")}}},
	} {
		r := httptest.NewRequest("GET", c.url, nil)
		r.Header = c.header
		got, from, err := gate.Authenticate(t.Context(), r)
		if !errors.Is(err, ErrRevoked) || !errors.Is(err, ErrInvalid) || string(from) != name || got != nil {
			t.Errorf("%s: got %v from %q, %v", name, got, from, err)
		}
	}
	if _, err := gate.Verify(t.Context(), as(t, "ada")); !errors.Is(err, ErrRevoked) {
		t.Errorf("Verify: %v", err)
	}
	if _, err := gate.Verify(t.Context(), as(t, "bob")); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func TestTicketIsNoToken(t *testing.T) {
	gate, _, _ := newGate(t)
	ticket := issue(t, gate.Tickets, &Identity{User: "ada", Expires: start.Add(time.Hour)})
	for _, r := range []*http.Request{
		httptest.NewRequest("GET", "/?access_token="+ticket, nil),
		httptest.NewRequest("GET", "/?ticket="+as(t, "ada"), nil),
	} {
		if _, _, err := gate.Authenticate(t.Context(), r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", r.URL, err)
		}
	}
}

func TestGateWithoutItsStores(t *testing.T) {
	gate, tickets, _ := newGate(t)
	ask := func(url string) error {
		_, from, err := gate.Authenticate(t.Context(), httptest.NewRequest("GET", url, nil))
		if from != FromTicket {
			t.Errorf("%s: from %q", url, from)
		}
		return err
	}
	ticket := issue(t, gate.Tickets, &Identity{User: "ada", Expires: start.Add(time.Hour)})
	tickets.err = inbox.ErrUnavailable
	if err := ask("/?ticket=" + ticket); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalid) {
		t.Errorf("the store is away: %v", err)
	}
	gate.Tickets, gate.Revocations = nil, nil
	if err := ask("/?ticket=" + ticket); !errors.Is(err, ErrInvalid) {
		t.Errorf("no tickets: %v", err)
	}
	if id, err := gate.Verify(t.Context(), as(t, "ada")); err != nil || id.User != "ada" {
		t.Errorf("no revocations: %v", err)
	}
}
