package native

import (
	"fmt"
	"net/http"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// place is where a client wants to begin.
type place struct {
	Cursor   string `json:"cursor"`
	Snapshot string `json:"snapshot"`
}

func (p *place) start() (inbox.Start, error) {
	if p.Snapshot != "" && p.Snapshot != "active" {
		return inbox.Start{}, &transports.ParamError{Param: "snapshot", Detail: fmt.Sprintf("want active, not %.40q", p.Snapshot)}
	}
	return inbox.Start{Cursor: p.Cursor, Snapshot: p.Snapshot != ""}, nil
}

// auth says who the client is and begins the delivery; later on it renews the
// token in place.
func (c *Conversation) auth(text []byte) ([]byte, error) {
	var m struct {
		place
		Token string `json:"token"`
	}
	if err := parse(text, &m); err != nil {
		return nil, err
	}
	from, err := m.start()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.Bounded()
	defer cancel()
	id, err := c.o.Authenticate(ctx, m.Token)
	switch {
	case err != nil && !c.Begun():
		return nil, rejection{err}
	case err != nil:
		c.mistake() // the old token is good until its time is over
		return nil, err
	case c.Begun() && id.User != c.Identity().User:
		return nil, transports.Closing{Code: CodeForbidden, Reason: "the token is another user's"}
	}
	c.Admit(id)
	switch {
	case c.o.PublishOnly:
		c.Listen()
	case !c.Begun():
		c.Start(from)
	}
	return nil, nil
}

// A rejection is a client that is not let in.
type rejection struct{ error }

func (r rejection) Unwrap() error { return r.error }

// turnAway ends the conversation of a client that is not let in; status is that
// of the problem it was told.
func (c *Conversation) turnAway(status int) {
	switch {
	case status == http.StatusForbidden:
		c.End(transports.Closing{Code: CodeForbidden, Reason: "forbidden"})
	case status >= 500:
		c.End(transports.Unavailable) // not its fault: it comes back
	case status == http.StatusTooManyRequests:
		c.End(transports.Closing{Code: CodeSlowDown, Reason: "slow down"}) // when it was told to
	default:
		c.End(transports.Closing{Code: CodeUnauthenticated, Reason: "not authenticated"})
	}
}
