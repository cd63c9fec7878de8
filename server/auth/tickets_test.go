package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/inbox"
)

// ada is somebody whose token lasts an hour.
func ada() *Identity {
	return &Identity{
		User: "ada", Groups: []string{"fleet-7", "night <shift>"}, Scopes: Scopes{ScopeAdmin, ScopeInbox},
		Expires: time.Now().Add(time.Hour).UTC().Round(0), TokenID: "t1", IssuedAt: start,
	}
}

// pass lets time go by, in a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }

func issue(t *testing.T, tickets *Tickets, id *Identity) string {
	t.Helper()
	ticket, _, err := tickets.Issue(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func TestTicketGivesTheWholeIdentityOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory(TicketTTL)
		tickets := NewTickets(store, TicketOptions{})
		ticket, ttl, err := tickets.Issue(t.Context(), ada())
		if err != nil || ttl != TicketTTL {
			t.Fatalf("got %v, %v", ttl, err)
		}
		sum := sha256.Sum256([]byte(ticket))
		value, ok := store.get(hex.EncodeToString(sum[:]))
		if !ok || strings.Contains(string(value), ticket) {
			t.Errorf("stored %q: want it under the hash, without the ticket", value)
		}
		// Redeemed by another node.
		got, err := NewTickets(store, TicketOptions{}).Redeem(t.Context(), ticket)
		if err != nil || !reflect.DeepEqual(got, ada()) {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := tickets.Redeem(t.Context(), ticket); err != errTicket {
			t.Errorf("the second time: %v", err)
		}
	})
}

func TestTicketIsOverAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := NewTickets(newMemory(TicketTTL), TicketOptions{})
		first, second := issue(t, tickets, ada()), issue(t, tickets, ada())
		pass(TicketTTL - 1)
		if _, err := tickets.Redeem(t.Context(), first); err != nil {
			t.Errorf("just in time: %v", err)
		}
		pass(1)
		if _, err := tickets.Redeem(t.Context(), second); err != errTicket {
			t.Errorf("too late: %v", err)
		}
	})
}

func TestTicketEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := NewTickets(newMemory(TicketTTL), TicketOptions{})
		id := ada()
		id.Expires = time.Now().Add(10 * time.Second)
		ticket, ttl, err := tickets.Issue(t.Context(), id)
		if err != nil || ttl != 10*time.Second {
			t.Fatalf("got %v, %v", ttl, err)
		}
		pass(10 * time.Second)
		if _, err := tickets.Redeem(t.Context(), ticket); !errors.Is(err, ErrExpired) {
			t.Errorf("redeemed: %v", err)
		}
		if _, _, err := tickets.Issue(t.Context(), id); !errors.Is(err, ErrExpired) {
			t.Errorf("issued: %v", err)
		}
	})
}

func TestTicketsThatAreNone(t *testing.T) {
	store := newMemory(0)
	store.err = errors.New("the store was asked")
	tickets := NewTickets(store, TicketOptions{})
	for _, bad := range []string{"", "abc", strings.Repeat("a", 26), strings.Repeat("A", 27), strings.Repeat("A", 25) + "1", strings.Repeat("é", 13)} {
		if _, err := tickets.Redeem(t.Context(), bad); err != errTicket {
			t.Errorf("%q: %v", bad, err)
		}
	}
	store.err = nil
	unknown := strings.Repeat("A", 26)
	if _, err := tickets.Redeem(t.Context(), unknown); err != errTicket || !errors.Is(err, ErrInvalid) {
		t.Errorf("an unknown one: %v", err)
	}
	store.set(ticketKey(unknown), []byte("{}"))
	if _, err := tickets.Redeem(t.Context(), unknown); err != errTicket {
		t.Errorf("a broken one: %v", err)
	}
}

func TestTicketsSayThatTheStoreIsAway(t *testing.T) {
	store := newMemory(0)
	tickets := NewTickets(store, TicketOptions{})
	ticket := issue(t, tickets, ada())
	store.err = inbox.ErrUnavailable
	_, err := tickets.Redeem(t.Context(), ticket)
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), ticket) {
		t.Errorf("redeem: %v", err)
	}
	if _, _, err := tickets.Issue(t.Context(), ada()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("issue: %v", err)
	}
}

func TestTicketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory(TicketTTL)
		tickets := NewTickets(store, TicketOptions{MaxPerUser: 3})
		for range 3 {
			issue(t, tickets, ada())
		}
		if _, _, err := tickets.Issue(t.Context(), ada()); !errors.Is(err, ErrTooMany) {
			t.Errorf("the fourth: %v", err)
		}
		other := ada()
		other.User = "bob"
		issue(t, tickets, other)
		pass(TicketTTL)
		issue(t, tickets, ada())

		usual := NewTickets(store, TicketOptions{})
		for range DefaultMaxTickets {
			issue(t, usual, ada())
		}
		if _, _, err := usual.Issue(t.Context(), ada()); !errors.Is(err, ErrTooMany) {
			t.Errorf("one more than %d: %v", DefaultMaxTickets, err)
		}

		huge := ada()
		huge.Groups = []string{strings.Repeat("x", maxTicketBytes)}
		if _, _, err := tickets.Issue(t.Context(), huge); err == nil {
			t.Error("a ticket without bounds was stored")
		}
	})
}

// TestWhateverATokenSaysFitsATicket takes the claims that grow most on their way
// from a token to what is stored.
func TestWhateverATokenSaysFitsATicket(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	var groups []string
	for i := range MaxGroups {
		groups = append(groups, strings.Repeat("<", MaxGroup-2)+fmt.Sprintf("%02d", i))
	}
	token := hsToken(t, fmt.Sprintf(`{"sub":"%s","exp":%d,"jti":"%s","scope":"%s","groups":["%s"]}`, strings.Repeat("<", MaxUser),
		start.Unix()+60, strings.Repeat("&", MaxTokenID), strings.Repeat("<", 1000), strings.Join(groups, `","`)))
	id, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(token), err)
	}
	tickets := NewTickets(newMemory(0), TicketOptions{Now: func() time.Time { return start }})
	got, err := tickets.Redeem(t.Context(), issue(t, tickets, id))
	if err != nil || !reflect.DeepEqual(got, id) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOneOfManyRedeemersWins(t *testing.T) {
	store := newMemory(0)
	ticket := issue(t, NewTickets(store, TicketOptions{}), ada())
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			switch _, err := NewTickets(store, TicketOptions{}).Redeem(t.Context(), ticket); {
			case err == nil:
				won.Add(1)
			case err != errTicket:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}
