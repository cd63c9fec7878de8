package alarmpush

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"tocsin/server/inbox"
	"tocsin/transports"
	pb "tocsin/transports/alarmpush/alarmpushpb"
)

// Close codes of RFC 6455 for frames that do not belong here. Those of
// docs/protocol.md §6 come besides.
const (
	CodeMalformed = 1007
	CodeMisplaced = 1008
)

// Options are what conversations are made of; they are shared by all connections.
// View, Pump, Authenticate and Refusal are required.
type Options struct {
	transports.DialogueOptions
	// Authenticate says who a token speaks for, if he may read an inbox.
	Authenticate func(ctx context.Context, token string) (transports.Identity, error)
	// Refusal puts an error of Authenticate into words, with the HTTP status that
	// it would be answered with.
	Refusal func(err error) (status int, reason string)

	notices transports.Shared[*notice]
}

// A Conversation is one client's. Receive and Gone are the carrier's to call, one
// after the other.
type Conversation struct {
	transports.Dialogue
	o    *Options
	conn transports.Conn
	user string       // set before the delivery starts, for ever
	beat atomic.Int64 // when a heartbeat was sent last, Unix milliseconds
}

var _ transports.Speaker = (*Conversation)(nil)

// Begin begins a conversation over the connection.
func Begin(conn transports.Conn, host transports.Host, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn}
	c.Dialogue.Begin(c, host, &o.DialogueOptions)
	return c
}

// Voice implements transports.Speaker.
func (c *Conversation) Voice() transports.Voice {
	return &encoder{c: c, Frames: transports.Frames{Conn: c.conn}}
}

// Receive handles the client's next message.
func (c *Conversation) Receive(message []byte) {
	if c.Over() {
		return
	}
	var f pb.Frame
	if err := proto.Unmarshal(message, &f); err != nil {
		c.End(transports.Closing{Code: CodeMalformed, Reason: "not a Frame"})
		return
	}
	switch kind := f.Kind.(type) {
	case *pb.Frame_Login:
		c.login(kind.Login)
	case *pb.Frame_Heartbeat:
		c.heartbeat()
	case nil: // of a later version
		if !c.Begun() {
			c.refuse(transports.Refusing(http.StatusUnauthorized, "login comes first"))
		}
	default:
		c.End(transports.Closing{Code: CodeMisplaced, Reason: "want Login or Heartbeat"})
	}
}

// login says who the client is and begins the delivery; later on it renews the
// token in place.
func (c *Conversation) login(l *pb.Login) {
	ctx, cancel := c.Bounded()
	defer cancel()
	id, err := c.o.Authenticate(ctx, l.GetToken())
	switch {
	case err != nil:
		status, reason := c.o.Refusal(err)
		if status >= http.StatusInternalServerError && c.Begun() {
			c.send(loginReply(&pb.LoginReply{Reason: reason})) // the old token is good until its time is over
			return
		}
		c.refuse(transports.Refusing(status, reason))
	case !c.Begun():
		c.user = id.User
		c.Admit(id)
		c.Start(inbox.Start{Cursor: l.GetCursor()})
	case id.User != c.user:
		c.refuse(transports.Refusing(http.StatusForbidden, "the token is another user's"))
	default:
		c.send(loginReply(&pb.LoginReply{Ok: true, User: c.user})) // before a gap that other groups make
		c.Admit(id)
	}
}

// refuse drops a client that is not let in.
func (c *Conversation) refuse(closing transports.Closing) {
	c.send(loginReply(&pb.LoginReply{Reason: closing.Reason}))
	c.End(closing)
}

// heartbeat answers one, unless one was sent just now: a client that answers each
// of ours, and sends its own besides, would never come to an end.
func (c *Conversation) heartbeat() {
	now := time.Now()
	if now.UnixMilli()-c.beat.Load() < time.Second.Milliseconds() {
		return
	}
	c.send(c.beatAt(now))
}

// beatAt makes a heartbeat that is about to be sent.
func (c *Conversation) beatAt(now time.Time) *pb.Frame {
	c.beat.Store(now.UnixMilli())
	return &pb.Frame{Kind: &pb.Frame_Heartbeat{Heartbeat: &pb.Heartbeat{UnixMs: now.UnixMilli()}}}
}

func loginReply(r *pb.LoginReply) *pb.Frame {
	return &pb.Frame{Kind: &pb.Frame_LoginReply{LoginReply: r}}
}

// send sends a frame; one that cannot be sent ends the connection by itself.
func (c *Conversation) send(f *pb.Frame) {
	if text, err := proto.Marshal(f); err == nil {
		_ = c.conn.Send(text)
	}
}
