package ws

import (
	"bufio"
	"net"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"

	"tocsin/transports"
)

// A HandshakeError is a request that is not taken. Nothing has been answered.
type HandshakeError struct {
	// Status is 400, 403 (the origin), 405, 426 (no WebSocket of version 13), 500
	// or 503.
	Status int
	Reason string
}

func (e *HandshakeError) Error() string { return e.Reason }

// allows says whether a page of the request's origin may connect.
func (c *Carrier) allows(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 || c.origins[transports.AnyOrigin] {
		return true
	}
	return len(values) == 1 && (c.origins.Named(values[0]) || transports.SameHost(r, values[0]))
}

// An upgrade is the ResponseWriter of a handshake: it gives the connection a
// socket of ours, and keeps what goes wrong instead of answering it.
type upgrade struct {
	http.ResponseWriter
	conn *Conn
}

// Hijack implements http.Hijacker.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	u.conn.socket = newSocket(raw, u.conn)
	return u.conn.socket, rw, nil
}

// refuse is called by the upgrader with why the handshake fails.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason error) {
	if status == http.StatusBadRequest && (!websocket.IsWebSocketUpgrade(r) || r.Header.Get("Sec-WebSocket-Version") != "13") {
		status = http.StatusUpgradeRequired
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	text := reason.Error()
	if status == http.StatusForbidden {
		text = "pages of this origin may not connect"
	}
	w.(*upgrade).conn.refused = &HandshakeError{Status: status, Reason: strings.TrimPrefix(text, "websocket: ")}
}
