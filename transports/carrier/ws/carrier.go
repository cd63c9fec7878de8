package ws

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"tocsin/transports"
)

// Close codes of the carrier itself: two of RFC 6455 and one of
// docs/protocol.md §6. What is wrong with the frames themselves is closed with
// 1002.
const (
	CodeGoingAway = 1001
	CodeWrongKind = 1003 // text where binary is taken, or the reverse
	CodeNotUTF8   = 1007
	CodeTooLarge  = 4413
)

// Options are the settings of a Carrier; their zero values are the defaults
// given here.
type Options struct {
	// Origins are the web origins, besides the server's own, whose pages may
	// connect: https://host[:port] each, or * for all. Who sends no Origin is no
	// browser and may.
	Origins []string
	// Subprotocols are what is offered, the best one first. A client that names
	// none is served too.
	Subprotocols []string
	// Binary makes all messages binary ones, both ways; else they are text.
	Binary bool
	// Either takes both kinds from clients, whatever Binary says of what they get.
	Either bool
	// MaxFrame bounds a message from the client, in bytes, however many fragments
	// it has; 0 is 64 KiB.
	MaxFrame int
	// Ping is the time between two protocol pings; 0 is 20 s.
	Ping time.Duration
	// Dead is how long a client may be silent, pongs included; 0 is 45 s.
	Dead time.Duration
	// WriteTimeout is how long a client may take to accept a frame; 0 is 5 s.
	WriteTimeout time.Duration
	// Linger is how long a client may take to close its side after a close frame;
	// 0 is 1 s.
	Linger time.Duration
	// Logger hears of panics; nil is silent.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.MaxFrame = cmp.Or(o.MaxFrame, 64<<10)
	o.Ping = cmp.Or(o.Ping, 20*time.Second)
	o.Dead = cmp.Or(o.Dead, 45*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 5*time.Second)
	o.Linger = cmp.Or(o.Linger, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Conversation is what is said over one connection. Its methods are called one
// after the other.
type Conversation interface {
	// Receive takes the next message, which is the conversation's to keep; text, if
	// it came as such, is valid UTF-8. The client's next one is read after it returns, so it must not
	// take long: a quarter of Options.Dead at most.
	Receive(message []byte)
	// Gone is called once, after the last Receive: the connection is over,
	// whoever ended it, and Send fails.
	Gone()
}

// A Carrier serves WebSocket connections. Its methods may be called by many
// goroutines at once.
type Carrier struct {
	o       Options
	origins transports.Origins
	m       *melody.Melody
	closed  atomic.Bool
}

// Sizes of a connection's buffers, in bytes. Small ones, as most connections are
// silent most of the time. Messages are written from where it is, by the Conn; melody
// writes control frames only.
const (
	readBuffer  = 256
	writeBuffer = 256
	// messageBuffer holds the close; melody drops what does not fit.
	messageBuffer = 1
)

// New returns a Carrier; the error is for an origin that is none.
func New(o Options) (*Carrier, error) {
	c := &Carrier{o: o.withDefaults(), m: melody.New()}
	var err error
	if c.origins, err = transports.ParseOrigins(o.Origins); err != nil {
		return nil, err
	}
	u := c.m.Upgrader
	u.CheckOrigin = c.allows
	u.Error = refuse
	u.Subprotocols = c.o.Subprotocols
	u.ReadBufferSize, u.WriteBufferSize = readBuffer, writeBuffer
	u.WriteBufferPool = &sync.Pool{}
	*c.m.Config = melody.Config{
		WriteWait: c.o.WriteTimeout, PongWait: c.o.Dead, PingPeriod: c.o.Ping,
		MaxMessageSize: int64(c.o.MaxFrame), MessageBufferSize: messageBuffer,
	}
	c.m.HandleConnect(connected)
	switch {
	case c.o.Either:
		c.m.HandleMessage(received)
		c.m.HandleMessageBinary(receivedBinary)
	case c.o.Binary:
		c.m.HandleMessage(func(s *melody.Session, _ []byte) { connOf(s).Close(CodeWrongKind, "binary frames only") })
		c.m.HandleMessageBinary(receivedBinary)
	default:
		c.m.HandleMessage(received)
		c.m.HandleMessageBinary(func(s *melody.Session, _ []byte) { connOf(s).Close(CodeWrongKind, "text frames only") })
	}
	c.m.HandlePong(ponged)
	c.m.HandleClose(answerClose)
	c.m.HandleError(failed)
	return c, nil
}

// Serve answers the handshake. When it returns nil, the connection belongs to
// the conversation that begin returned; begin must not wait, since nothing can
// be sent before it has returned. With an error there is no conversation. A
// HandshakeError is for the caller to answer; any other leaves nothing to be
// answered, as the client is gone.
func (c *Carrier) Serve(w http.ResponseWriter, r *http.Request, begin func(*Conn) Conversation) error {
	if c.closed.Load() {
		return &HandshakeError{Status: http.StatusServiceUnavailable, Reason: "the node is going down"}
	}
	if r.ContentLength != 0 && r.Method == http.MethodGet && websocket.IsWebSocketUpgrade(r) {
		// The upgrader would take it for frames that come too early, and hang up.
		return &HandshakeError{Status: http.StatusBadRequest, Reason: "a handshake has no body"}
	}
	conn := &Conn{o: &c.o, binary: c.o.Binary, begin: begin, opened: make(chan error, 1)}
	opened, u := conn.opened, &upgrade{w, conn}
	// Reads until the client is gone, Close was called or the client was silent
	// for too long, and ends after the conversation's Gone. An idle connection
	// waits deep down in the call: little else is on the stack, so it can shrink.
	go func() { conn.finish(c.m.HandleRequest(u, r)) }()
	return <-opened
}

// Close sends every client away, and takes no more of them. It does not wait.
func (c *Carrier) Close() {
	c.closed.Store(true)
	sessions, err := c.m.Sessions()
	if err != nil {
		return // melody is never closed
	}
	for _, s := range sessions {
		connOf(s).close(s, CodeGoingAway, "the node is going down")
	}
}

// connOf finds the Conn of a session: it is below, as the connection that the
// handshake gave to melody.
func connOf(s *melody.Session) *Conn { return s.WebsocketConnection().NetConn().(*socket).owner }

// connected is called by melody before it begins to write.
func connected(s *melody.Session) {
	s.Request = nil // with its headers and what hangs on its context
	connOf(s).open(s)
}

func received(s *melody.Session, message []byte) {
	conn := connOf(s)
	if !utf8.Valid(message) {
		conn.Close(CodeNotUTF8, "text frames are UTF-8")
		return
	}
	conn.receive(message)
}

func receivedBinary(s *melody.Session, message []byte) { connOf(s).receive(message) }

// answerClose answers a client's close with the code that it has.
func answerClose(s *melody.Session, code int, _ string) error {
	socket := connOf(s).socket
	socket.answers.Store(true)
	// An error means that the client is gone; it ends either way.
	_ = s.WebsocketConnection().WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""),
		time.Now().Add(socket.owner.o.WriteTimeout))
	return nil
}

// failed hears of every error of a session; reading and writing end by
// themselves then. What melody could not queue is lost, and the connection with
// it. A client that is silent gets no time to close its side.
func failed(s *melody.Session, err error) {
	left(s, err)
	var timeout net.Error
	switch {
	case errors.Is(err, melody.ErrMessageBufferFull):
		connOf(s).socket.cut(err)
	case errors.As(err, &timeout) && timeout.Timeout():
		connOf(s).socket.fail(errSilent)
	}
}
