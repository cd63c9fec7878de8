package httpd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
)

// A Certificate is the server's own, from two files in PEM. Its methods may be
// called by many goroutines at once.
type Certificate struct {
	cert, key string
	now       atomic.Pointer[tls.Certificate]
}

// LoadCertificate reads the certificate, with those that lead to a root behind it,
// and its key.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{cert: certFile, key: keyFile}
	return c, c.Reload()
}

// Reload reads the files anew, for connections that come from then on; those that
// are there go on. After an error the certificate is the one before.
func (c *Certificate) Reload() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read the certificate %s and its key: %w", c.cert, err)
	}
	c.now.Store(&pair)
	return nil
}

// Listen returns a listener whose connections speak TLS 1.2 or 1.3, and offer
// HTTP/2.
func (c *Certificate) Listen(l net.Listener) net.Listener {
	return &secureListener{tls.NewListener(l, c.Config("h2", "http/1.1")), l}
}

// Config is that of a listener who speaks TLS 1.2 or 1.3, and one of the protocols, the
// first that the client offers too.
func (c *Certificate) Config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
}

// A secureListener has the deadlines of the one below it, too, by which a Porch gives
// it back.
type secureListener struct {
	net.Listener
	below net.Listener
}

// SetDeadline is that of Accept.
func (l *secureListener) SetDeadline(t time.Time) error {
	if d, ok := l.below.(interface{ SetDeadline(t time.Time) error }); ok {
		return d.SetDeadline(t) //nolint:wrapcheck // it is the listener's
	}
	return errors.ErrUnsupported
}

// maxStreams is how many requests of one HTTP/2 connection are answered at a time:
// those of all tabs of a browser, with room for a proxy that puts several clients on
// one.
const maxStreams = 250

// http2 ends connections whose client is gone or takes nothing: all that is on one
// hangs on that, as a WebSocket does on its own.
func (s *Server) http2() *http.HTTP2Config {
	silent := cmp.Or(s.o.DeadAfter, 45*time.Second)
	return &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams,
		SendPingTimeout:      silent * 2 / 3, PingTimeout: silent / 3,
		WriteByteTimeout: s.o.AnswerTimeout,
	}
}

// tlsKey is where the context of a connection that came back has its TLS.
type tlsKey struct{}

// rememberTLS notes of a connection that was taken from its server for a poll, and
// comes back for the next request, that it speaks TLS: the server does not see it.
func rememberTLS(ctx context.Context, conn net.Conn) context.Context {
	if _, plain := conn.(*tls.Conn); plain {
		return ctx // as it came in: the server knows
	}
	below, ok := conn.(interface{ NetConn() net.Conn })
	if !ok {
		return ctx
	}
	if secure, ok := below.NetConn().(*tls.Conn); ok {
		state := secure.ConnectionState()
		return context.WithValue(ctx, tlsKey{}, &state)
	}
	return ctx
}

// recallTLS gives requests the TLS that rememberTLS noted.
func recallTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			if state, ok := r.Context().Value(tlsKey{}).(*tls.ConnectionState); ok {
				r.TLS = state
			}
		}
		next.ServeHTTP(w, r)
	})
}

// idleWriter is called between the parts of a long answer: over HTTP/2 the deadline of
// a write that is done would end the answer all the same.
func idleWriter(c echo.Context, rc *http.ResponseController) {
	if c.Request().ProtoMajor >= 2 {
		_ = rc.SetWriteDeadline(time.Time{})
	}
}

// secure says whether the browser speaks https, to this server or to a proxy before
// it.
func secure(r *http.Request) bool {
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto), "https")
}
