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
	// maxPings bounds the pings whose answers are waited for.
	maxPings = 64
)

// A Conversation is one client's.
type Conversation struct {
	transports.Dialogue
	o        *Options
	conn     transports.Conn
	place    *Place
	voice    encoder
	mistakes int // in a row

	mu     sync.Mutex
	told   inbox.Cursor // what was sent, as a place to go on from
	news   bool         // something was delivered since the last ping
	pinged []ping       // those that are not answered yet
	parted bool
}

// A ping has what had been sent before it, and whether that was more than before
// the one before it.
type ping struct {
	told inbox.Cursor
	news bool
}

var _ transports.Speaker = (*Conversation)(nil)

// Begin begins the conversation of somebody who is known, from his place, which is
// the conversation's from then on.
func Begin(conn transports.Conn, id transports.Identity, host transports.Host, place *Place, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn, place: place}
	c.voice = encoder{Frames: transports.Frames{Conn: conn}, c: c, again: place.from.sent.Seq}
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

// Pinged implements the carrier's witness: what was sent before a ping has reached
// the client once it is answered.
func (c *Conversation) Pinged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pinged) == maxPings {
		c.pinged = append(c.pinged[:0], c.pinged[1:]...)
	}
	c.pinged = append(c.pinged, ping{c.told, c.news})
	c.news = false
}

// Unpinged implements the carrier's witness.
func (c *Conversation) Unpinged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.pinged) - 1; last >= 0 {
		c.news = c.news || c.pinged[last].news
		c.pinged = c.pinged[:last]
	}
}

// Ponged implements the carrier's witness. A client may answer several pings at once,
// so it is the oldest one that is taken for answered.
func (c *Conversation) Ponged() {
	c.mu.Lock()
	if len(c.pinged) == 0 {
		c.mu.Unlock()
		return // it was not asked
	}
	answered := c.pinged[0]
	c.pinged = append(c.pinged[:0], c.pinged[1:]...)
	c.mu.Unlock()
	c.place.move(position{got: answered.told}, answered.news)
}

// Parted implements the carrier's witness: who closes in good order has all of it.
func (c *Conversation) Parted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parted = true
}

// Gone ends the conversation when its connection is over.
func (c *Conversation) Gone() {
	c.Dialogue.Gone()
	c.mu.Lock()
	told, parted := c.told, c.parted
	c.mu.Unlock()
	if parted {
		c.place.move(position{got: told}, true)
	}
	c.place.Leave()
}
