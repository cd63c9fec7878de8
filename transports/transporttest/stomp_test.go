package transporttest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
)

// keeper knows sessions of somebody else's.
type keeper map[string]auth.Identity

func (k keeper) Resolve(_ context.Context, session string) (auth.Identity, error) {
	id, known := k[session]
	if !known {
		return id, auth.ErrInvalid
	}
	return id, nil
}

// A session of STOMP is opened by the handshake or by CONNECT, with a token or with
// a session of somebody else's; what a browser sends by itself is in nobody's way.
func TestStompSessions(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, nil, Settings{Sessions: []auth.Resolver{keeper{
		"opaque":  {User: "ann", Scopes: []string{auth.ScopeInbox}, Attributes: map[string]string{"site": "north"}},
		"publish": {User: "backend", Scopes: []string{auth.ScopePublish}},
	}}})
	token := sign(t, auth.Issue{User: "bob", TTL: time.Minute})
	publisher := sign(t, auth.Issue{User: "backend", Scope: "publish", TTL: time.Minute})
	for name, c := range map[string]struct {
		header  []string
		connect string
		user    string
		message string // of ERROR
		status  int    // of the handshake
	}{
		"opaque by CONNECT":         {connect: "passcode:opaque", user: "ann"},
		"opaque by handshake":       {header: []string{"Authorization", "Bearer opaque"}, connect: "host:x", user: "ann"},
		"opaque by cookie":          {header: []string{"Cookie", "tocsin_session=opaque"}, connect: "login:guest", user: "ann"},
		"token by cookie":           {header: []string{"Cookie", "tocsin_session=" + token}, connect: "host:x", user: "bob"},
		"a cookie of former days":   {header: []string{"Cookie", "tocsin_session=a.b.c"}, connect: "passcode:" + token, user: "bob"},
		"an opaque one of those":    {header: []string{"Cookie", "tocsin_session=old"}, connect: "passcode:" + token, user: "bob"},
		"what is said comes first":  {header: []string{"Authorization", "Bearer opaque"}, connect: "passcode:" + token, user: "bob"},
		"unknown by CONNECT":        {connect: "passcode:unknown", message: "The token is not acceptable"},
		"unknown by handshake":      {header: []string{"Authorization", "Bearer unknown"}, status: 401},
		"bad token by handshake":    {header: []string{"Authorization", "Bearer a.b.c"}, status: 401},
		"no inbox by CONNECT":       {connect: "passcode:" + publisher, message: "Not allowed"},
		"no inbox by handshake":     {header: []string{"Authorization", "Bearer " + publisher}, status: 403},
		"opaque, no inbox, either":  {header: []string{"Authorization", "Bearer publish"}, status: 403},
		"nothing":                   {connect: "host:x", message: "Say who you are"},
		"an old cookie and nothing": {header: []string{"Cookie", "tocsin_session=a.b.c"}, connect: "host:x", message: "Say who you are"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s, err := DialStomp(ctx, w.URL(), c.header...)
			var end *End
			if errors.As(err, &end) && end.Code == c.status {
				return
			}
			if err != nil || c.status != 0 {
				t.Fatalf("the handshake: %v, want %d", err, c.status)
			}
			defer s.Close()
			if err := s.Say("CONNECT\naccept-version:1.2\n"+c.connect, ""); err != nil {
				t.Fatal(err)
			}
			f, err := s.Read(ctx)
			if err != nil || f.Header["user-name"] != c.user || f.Header["message"] != c.message {
				t.Fatalf("%+v, %v", f, err)
			}
			if c.message != "" && !strings.Contains(f.Body, `"type":"/problems/`) {
				t.Errorf("no problem: %s", f.Body)
			}
		})
	}
}
