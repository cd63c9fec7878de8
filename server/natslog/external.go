package natslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Credentials are what external servers want to see; what is empty is not shown.
type Credentials struct {
	// File holds a user's JWT and his key.
	File           string
	User, Password string
	Token          string
	// TLS, unless nil, is for the connections.
	TLS *tls.Config
}

// Pings on a connection to external servers: one that is silent for longer is
// given up for another server's.
const (
	connectionPing = 2 * time.Second
	unheardPings   = 2
)

// external are the options of a connection to servers elsewhere.
func (c Credentials) external() []nats.Option {
	o := []nats.Option{
		nats.PingInterval(connectionPing), nats.MaxPingsOutstanding(unheardPings),
		// Who is refused for a moment, by a server that is being set up, comes back.
		nats.IgnoreAuthErrorAbort(),
	}
	if c.File != "" {
		o = append(o, nats.UserCredentials(c.File))
	}
	if c.User != "" {
		o = append(o, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		o = append(o, nats.Token(c.Token))
	}
	if c.TLS != nil {
		o = append(o, nats.Secure(c.TLS))
	}
	return o
}

// connect opens the connection. Servers elsewhere that are not there yet are
// waited for; ones that refuse us are not.
func (l *Log) connect(ctx context.Context, options []nats.Option) error {
	for said := false; ; {
		var err error
		l.nc, err = nats.Connect(l.opts.URL, options...)
		away := errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout)
		switch {
		case err == nil:
			return nil
		case l.opts.URL == "" || !away:
			return fmt.Errorf("connect to the log: %w", err)
		case !said:
			said = true
			l.opts.Logger.Warn("waiting for the servers of the log", "error", err)
		}
		if !l.pause(ctx, formInterval) {
			return fmt.Errorf("connect to the log: %w", errors.Join(err, ctx.Err()))
		}
	}
}
