package notices

import (
	"strconv"
	"sync"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

const (
	// maxMistakes is how many frames in a row may be refused before the client is
	// sent away.
	maxMistakes = 10
	// maxMarks bounds the pings whose answers are waited for.
	maxMarks = 64
)

// A Conversation is one client's.
type Conversation struct {
	transports.Dialogue
	o        *Options
	conn     transports.Conn
	place    *Place
	voice    encoder
	mistakes int // in a row

	mu    sync.Mutex
	told  inbox.Cursor // what was sent, as a place to go on from
	news  bool         // something was delivered since the last ping
	marks []mark       // of the pings that are not answered yet
	left  bool         // the client has closed in good order
}

// A mark is what had been sent before a ping, and whether that was more than before
// the one before it.
type mark struct {
	ping uint64
	told inbox.Cursor
	news bool
}

var _ transports.Speaker = (*Conversation)(nil)

// Begin begins the conversation of somebody who is known, from his place, which is
// the conversation's from then on.
func Begin(conn transports.Conn, id transports.Identity, host transports.Host, place *Place, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn, place: place}
	c.voice = encoder{Frames: transports.Frames{Conn: conn}, c: c, again: place.from.sent.Seq}
	c.voice.Taken = c.voice.taken
	c.voice.reader = append(appendMember(nil, "receiverId", id.User), `,"read":`...)
	if p, ok := conn.(pinger); ok {
		place.asks(func() { c.ask(p) })
	}
	c.Dialogue.Begin(c, host, &o.DialogueOptions)
	c.Admit(id)
	from := inbox.Start{Cursor: inbox.Earliest}
	if place.from.got.Epoch != "" {
		from.Cursor = place.from.got.String()
	}
	c.Start(from)
	return c
}

// Voice implements transports.Speaker.
func (c *Conversation) Voice() transports.Voice { return &c.voice }

// Receive takes a notice that the client sends. Only a failure is answered.
func (c *Conversation) Receive(text []byte) {
	if c.Over() {
		return
	}
	user := c.Identity().Client
	if !c.o.rates.take(user.User, time.Now()) {
		c.refuse(429, "slow down")
		return
	}
	ctx, cancel := c.Bounded()
	defer cancel()
	if err := c.o.Send(ctx, user, text); err != nil {
		c.refuse(c.o.Problem(err))
		return
	}
	c.mistakes = 0
}

func (c *Conversation) refuse(code int, message string) {
	b := strconv.AppendInt([]byte(`{"code":`), int64(code), 10)
	_ = c.conn.Send(append(appendMember(b, "message", message), '}')) // one that fails ends the connection by itself
	if c.mistakes++; c.mistakes >= maxMistakes && code < 500 {
		c.End(transports.Closing{Code: codeSlowDown, Reason: "too many mistakes"})
	}
}

// sent notes what the client has been sent. In a snapshot there is no place to go on
// from: who comes back begins it anew.
func (c *Conversation) sent(cursor string, news bool) {
	at, err := inbox.ParseCursor(cursor)
	if err != nil || at.Mode == inbox.Snapshot {
		return
	}
	c.mu.Lock()
	c.told, c.news = at, c.news || news
	c.mu.Unlock()
	c.place.move(position{sent: at}, news)
}

// A pinger can ask its client at once whether it lives.
type pinger interface{ Ping() }

// ask pings a client that has been sent something since the last ping.
func (c *Conversation) ask(p pinger) {
	c.mu.Lock()
	news := c.news
	c.mu.Unlock()
	if news {
		p.Ping()
	}
}

// Mark implements the carrier's marker: what was sent before a ping has reached the
// client once it is answered.
func (c *Conversation) Mark(ping uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.marks) == maxMarks {
		c.marks = append(c.marks[:0], c.marks[1:]...)
	}
	c.marks = append(c.marks, mark{ping, c.told, c.news})
	c.news = false
}

// Arrived implements the carrier's marker.
func (c *Conversation) Arrived(ping uint64) {
	var got mark
	c.mu.Lock()
	for len(c.marks) > 0 && c.marks[0].ping <= ping {
		c.marks[0].news = c.marks[0].news || got.news
		got = c.marks[0]
		c.marks = append(c.marks[:0], c.marks[1:]...)
	}
	c.mu.Unlock()
	c.place.move(position{got: got.told}, got.news)
}

// Pinged implements the carrier's marker; a client's own pings mean nothing here.
func (c *Conversation) Pinged() {}

// Left implements the carrier's leaver: who closes in good order has all of it.
func (c *Conversation) Left() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = true
}

// Gone ends the conversation when its connection is over.
func (c *Conversation) Gone() {
	c.Dialogue.Gone()
	c.mu.Lock()
	told, left := c.told, c.left
	c.mu.Unlock()
	if left {
		c.place.move(position{got: told}, true)
	}
	c.place.Leave()
}
