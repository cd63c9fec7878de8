package transports

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tocsin/server/inbox"
)

// A Conn carries the messages of one client. A carrier has it.
type Conn interface {
	// Headroom is how many bytes a message given to Try has before its text: they
	// are the carrier's to write in.
	Headroom() int
	// Try writes one message after those before it, as far as the client's side
	// takes it at once. done is false when something is left: then Settle comes
	// next, and the message must not be changed before that has returned. An error
	// says that the connection is over. Try and Settle are called by one goroutine
	// at a time.
	Try(message []byte) (done bool, err error)
	// Settle waits until what Try left has gone, or returns an error when the
	// connection is over, which a client that takes nothing for
	// Limits.WriteTimeout brings about.
	Settle() error
	// Send is Try and Settle for a text alone. Many goroutines may call it.
	Send(text []byte) error
	// Close ends the connection with a close code, behind the message in flight,
	// and does not wait. Only the first call counts.
	Close(code int, reason string)
}

// An Identity is who the client of a dialogue is.
type Identity struct {
	Client
	// Publish: it may publish, too.
	Publish bool
	// Proof is the composer's own: what its Host wants to know of the token.
	Proof any
}

// A Host hears of one dialogue's course, one call after the other.
type Host interface {
	// Known hears who the client is, and again with each new token of his; the
	// dialogue may be ended at any time from then on, and by anyone.
	Known(d *Dialogue, id Identity)
	// Delivers hears that the delivery begins, also when it begins anew. reached
	// is as in Session, and may be nil; done is called once, when the delivery is
	// over.
	Delivers() (reached func(inbox.Reach), done func())
	// Ended is called once, at the end of Gone, with why: a Reason where the
	// server ended it, context.Canceled where the client was gone.
	Ended(why error)
}

// A Located host knows the network address of its client.
type Located interface{ From() string }

// A Voice tells one client what is delivered to it, in its protocol's words.
type Voice interface {
	Encoder
	// Told is the cursor that the client has; empty while it has none.
	Told() string
	// Farewell tells why it is over, unless Bye has told it, and closes the
	// connection; then it calls gone. It does not wait.
	Farewell(why error, gone func())
}

// A Speaker is the conversation around a Dialogue.
type Speaker interface {
	// Voice makes the voice of a delivery, or of a farewell.
	Voice() Voice
}

// DialogueOptions are what dialogues of one kind have in common. View and Pump
// are required where something is delivered; zero values of the others are the
// defaults given here.
type DialogueOptions struct {
	View *inbox.View
	Pump *Pump
	// AuthTimeout is how long a client may take to begin; 0 is 10 s.
	AuthTimeout time.Duration
	// CommandTimeout bounds each command; 0 is 10 s.
	CommandTimeout time.Duration
	// Lasting is as in Session.
	Lasting bool
	// Delivered, unless nil, hears how many entries were written.
	Delivered func(entries int)
}

// defaultTimeout is that of beginning and of commands.
const defaultTimeout = 10 * time.Second

// A Closing, as a cause, ends a dialogue with a close code of its own: the client
// did what it must not.
type Closing struct {
	Code   int
	Reason string
}

func (c Closing) Error() string { return "closed: " + c.Reason }

// ErrNoAuth ends a dialogue whose client does not begin.
var ErrNoAuth = errors.New("no authentication in time")

// A Dialogue is the course of one client's conversation, whatever its words: who
// he is and until when, the delivery of his inbox, the end. A conversation
// embeds it. Begin comes first; Admit, Start, Stop, Listen, Begun, Identity and
// Bounded are for the goroutine of its carrier, Gone is that one's last call. After
// Listen another one may call Start.
type Dialogue struct {
	o       *DialogueOptions
	speaker Speaker
	host    Host
	ctx     context.Context // of commands
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when nothing is delivered any more
	why     error         // of the end; to be read after done

	begun bool // the delivery is there, or there will be none

	mu     sync.Mutex  // guards what follows; the carrier's goroutine alone writes id
	id     *Identity   // nil until known
	late   time.Time   // when the client must have begun; zero when it has
	timer  *time.Timer // of that, or of the token's end
	stream *Stream     // nil while nothing is delivered
}

// Begin begins the dialogue; options are shared by many.
func (d *Dialogue) Begin(speaker Speaker, host Host, o *DialogueOptions) {
	d.o, d.speaker, d.host, d.done = o, speaker, host, make(chan struct{})
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	timeout := cmp.Or(o.AuthTimeout, defaultTimeout)
	d.late = time.Now().Add(timeout)
	// The timer's goroutine does not wait.
	d.timer = time.AfterFunc(timeout, d.elapse)
}

// End ends the dialogue with a cause: a Reason or a Closing is told to the client.
// Only the first call counts. It does not wait, and may be called by many
// goroutines at any time.
func (d *Dialogue) End(cause error) {
	d.mu.Lock()
	if d.ctx.Err() != nil {
		d.mu.Unlock()
		return
	}
	d.cancel(cause)
	stream := d.stream
	d.mu.Unlock()
	if stream != nil {
		stream.End(context.Cause(d.ctx))
		return
	}
	d.part(d.speaker.Voice(), context.Cause(d.ctx))
}

// Over says whether the dialogue has ended.
func (d *Dialogue) Over() bool { return d.ctx.Err() != nil }

// Gone ends the dialogue when its connection is over.
func (d *Dialogue) Gone() {
	d.End(context.Canceled)
	<-d.done
	d.mu.Lock()
	d.timer.Stop()
	d.mu.Unlock()
	d.host.Ended(d.why)
}

// part is the last thing that is done with the client.
func (d *Dialogue) part(v Voice, why error) {
	v.Farewell(why, func() {
		d.why = why
		close(d.done)
	})
}

// Admit makes the client the one that its token says.
func (d *Dialogue) Admit(id Identity) {
	if host, knows := d.host.(Located); knows {
		id.From = host.From()
	}
	d.mu.Lock()
	regroup := d.stream != nil && !slices.Equal(id.Groups, d.id.Groups)
	d.id = &id
	d.wind()
	if regroup {
		d.stream.End(errRegroup)
	}
	d.mu.Unlock()
	d.host.Known(d, id)
}

// Identity is who the client is, nil until that is known.
func (d *Dialogue) Identity() *Identity { return d.id }

// Begun says whether Start or Listen was called.
func (d *Dialogue) Begun() bool { return d.begun }

// Bounded is the context of one command.
func (d *Dialogue) Bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(d.ctx, cmp.Or(d.o.CommandTimeout, defaultTimeout))
}

// wind sets the timer to what comes first; under the lock.
func (d *Dialogue) wind() {
	next := d.late
	if d.id != nil && !d.id.Expires.IsZero() && (next.IsZero() || d.id.Expires.Before(next)) {
		next = d.id.Expires
	}
	if next.IsZero() {
		d.timer.Stop()
		return
	}
	d.timer.Reset(time.Until(next))
}

// elapse is the timer's; a new token, or the beginning, may have come since it
// fired.
func (d *Dialogue) elapse() {
	d.mu.Lock()
	now := time.Now()
	var cause error
	switch {
	case d.id != nil && !d.id.Expires.IsZero() && !now.Before(d.id.Expires):
		cause = Expired
	case !d.late.IsZero() && !now.Before(d.late):
		cause = ErrNoAuth
	case d.ctx.Err() == nil:
		d.wind()
	}
	d.mu.Unlock()
	if cause != nil {
		d.End(cause)
	}
}

// Start begins the delivery to the client, who is known, unless the dialogue is
// over or something is delivered already.
func (d *Dialogue) Start(from inbox.Start) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil || d.stream != nil {
		return
	}
	d.listening()
	d.deliver(d.speaker.Voice(), from)
}

// Listen begins a dialogue that delivers nothing, for now.
func (d *Dialogue) Listen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listening()
}

// listening notes that the client has begun; under the lock.
func (d *Dialogue) listening() {
	d.begun, d.late = true, time.Time{}
	d.wind()
}

var (
	// errRegroup: the groups have changed, so the delivery begins anew where it was.
	errRegroup = errors.New("the token's groups have changed")
	// errStopped: the client wants no more for now.
	errStopped = errors.New("the client has stopped the delivery")
)

// Stop ends the delivery and nothing else; Start may begin it anew once stopped,
// which gets the cursor that the client has, was called. stopped must not wait.
// It is not called where nothing is delivered, or the dialogue ends first.
func (d *Dialogue) Stop(stopped func(cursor string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stream != nil {
		d.stream.End(stopping{errStopped, stopped})
	}
}

// A stopping is a cause that takes what comes after the delivery with it.
type stopping struct {
	error
	stopped func(cursor string)
}

// deliver begins to deliver to the client as it is now; under the lock.
func (d *Dialogue) deliver(v Voice, from inbox.Start) {
	s, err := Open(d.o.View, d.id.Client, from)
	if err != nil {
		go d.delivered(v, from, err) // as a stream does that ends; it does not wait
		return
	}
	s.Expires = time.Time{} // which a new token moves: the timer knows
	s.Lasting, s.Delivered = d.o.Lasting, d.o.Delivered
	var done func()
	s.Reached, done = d.host.Delivers()
	d.stream = d.o.Pump.Stream(s, v, func(err error) {
		done()
		d.delivered(v, from, err)
	})
	d.stream.Start()
}

// delivered is the end of a delivery: that of the dialogue, unless it begins anew
// or was stopped.
func (d *Dialogue) delivered(v Voice, from inbox.Start, err error) {
	var stop stopping
	stopped := errors.As(err, &stop)
	if stopped || errors.Is(err, errRegroup) {
		d.mu.Lock()
		if d.ctx.Err() == nil {
			told := v.Told()
			if told != "" {
				from = inbox.Start{Cursor: told}
			}
			if d.stream = nil; !stopped {
				d.deliver(v, from)
			}
			d.mu.Unlock()
			if stopped {
				stop.stopped(told)
			}
			return
		}
		d.mu.Unlock()
		err = context.Cause(d.ctx)
	}
	d.cancel(err) // a command under way, too
	d.part(v, err)
}
