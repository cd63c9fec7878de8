package hooks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// Event names what a message tells.
type Event string

// The events there are.
const (
	Connected    Event = "connection.connected"
	Subscribed   Event = "connection.subscribed"
	Unsubscribed Event = "connection.unsubscribed"
	Disconnected Event = "connection.disconnected"
	Acked        Event = "alarm.acked"
	Undelivered  Event = "alarm.undelivered"
)

// Events lists them.
var Events = []Event{Connected, Subscribed, Unsubscribed, Disconnected, Acked, Undelivered}

// Defaults of Options.
const (
	DefaultTimeout = 10 * time.Second
	DefaultGiveUp  = 24 * time.Hour
	defaultBuffer  = 4096
)

// Backoff is the pause after each attempt that failed; the last one repeats.
var Backoff = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}

// A Job is one attempt at a message from a queue.
type Job struct {
	Data    []byte
	Attempt int       // from 1
	At      time.Time // when it was put
}

// A Queue keeps jobs until they are done. natslog has it.
type Queue interface {
	// Put stores a job; the same id soon after is the same job.
	Put(ctx context.Context, id string, data []byte) error
	// Run does jobs until the context ends. One whose do fails is done again.
	Run(ctx context.Context, do func(ctx context.Context, job Job) error) error
}

// A Receiver is one URL, with a queue of its own.
type Receiver struct {
	URL   string
	Queue Queue
}

// A Letter is a message that was given up.
type Letter struct {
	ID       string
	URL      string // without a password
	Event    Event
	Body     []byte
	At       time.Time // of the message
	Attempts int
	Reason   string
}

// Outcomes, as Options.Count hears them.
const (
	Sent    = "sent"
	Failed  = "failed"   // and to be tried again
	Gone    = "gone"     // the receiver answered 410
	GivenUp = "given_up" // too old
	Dropped = "dropped"  // an event of a connection for which there was no room
)

// Options are what Hooks are made of. Receivers and Secret are required; zero
// values of the others are the defaults given here.
type Options struct {
	Receivers []Receiver
	// Secret signs: see ParseSecret.
	Secret []byte
	// Events are those that are told; nil are Acked and Undelivered.
	Events []Event
	// Timeout bounds one attempt; 0 is DefaultTimeout.
	Timeout time.Duration
	// GiveUp is how old a message may get; 0 is DefaultGiveUp.
	GiveUp time.Duration
	// Dead, unless nil, takes what was given up. After an error it is called again
	// later.
	Dead func(ctx context.Context, l Letter) error
	// Count, unless nil, hears of outcomes.
	Count func(outcome string)
	// Agent is sent as User-Agent; empty is tocsin.
	Agent string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger; nil is silent.
	Logger *slog.Logger
}

// Hooks send messages.
type Hooks struct {
	o       Options
	senders []*sender
	offered chan offer
}

// An offer is an event of a connection on its way to the queue.
type offer struct {
	id   string
	body []byte
}

// New returns Hooks that send nothing before Run.
func New(o Options) (*Hooks, error) {
	if len(o.Receivers) == 0 || len(o.Secret) == 0 {
		return nil, errors.New("hooks: Receivers and Secret are required")
	}
	if o.Events == nil {
		o.Events = []Event{Acked, Undelivered}
	}
	for _, e := range o.Events {
		if !slices.Contains(Events, e) {
			return nil, fmt.Errorf("hooks: no such event: %q", e)
		}
	}
	o.Timeout, o.GiveUp = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.GiveUp, DefaultGiveUp)
	o.Agent = cmp.Or(o.Agent, "tocsin")
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Count == nil {
		o.Count = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hooks{o: o, offered: make(chan offer, defaultBuffer)}
	for _, r := range o.Receivers {
		s, err := newSender(r, &h.o)
		if err != nil {
			return nil, err
		}
		h.senders = append(h.senders, s)
	}
	return h, nil
}

// Wants says whether the event is told.
func (h *Hooks) Wants(e Event) bool { return slices.Contains(h.o.Events, e) }

// Run sends what is in the queues until the context ends.
func (h *Hooks) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	for _, s := range h.senders {
		tasks.Go(func() { s.run(ctx) }) // ends with the context
	}
	tasks.Go(func() { h.drain(ctx) }) // ends with the context
	tasks.Wait()
	for _, s := range h.senders {
		s.close()
	}
}

// message is the body of a message.
func message(e Event, at time.Time, data any) ([]byte, error) {
	text, err := json.Marshal(struct {
		Type      Event  `json:"type"`
		Timestamp string `json:"timestamp"`
		Data      any    `json:"data"`
	}{e, at.UTC().Format(inbox.TimeFormat), data})
	if err != nil {
		return nil, fmt.Errorf("encode the message %s: %w", e, err)
	}
	return text, nil
}

// put stores a message for every receiver. An error may leave it stored for some:
// the same id again completes it.
func (h *Hooks) put(ctx context.Context, id string, body []byte) error {
	data, err := json.Marshal(envelope{ID: id, Body: body})
	if err != nil {
		return fmt.Errorf("encode the message %s: %w", id, err)
	}
	for _, s := range h.senders {
		if err := s.receiver.Queue.Put(ctx, id, data); err != nil {
			return fmt.Errorf("put the message %s into the queue of %s: %w", id, s.name, err)
		}
	}
	return nil
}

// An envelope is a message in a queue.
type envelope struct {
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body"`
}

// A Connection is what is told of a connection.
type Connection struct {
	ID        string `json:"connection"`
	User      string `json:"user"`
	Transport string `json:"transport"`
	Node      string `json:"node"`
	// Destination is what was subscribed to, where that is not the user's inbox.
	Destination string `json:"destination,omitempty"`
	// Attributes are what who keeps the session says of it besides.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Offer tells an event of a connection, unless it is not wanted. It does not
// wait: when the queues cannot keep up, what comes is dropped and counted.
func (h *Hooks) Offer(e Event, c Connection, at time.Time) {
	if !h.Wants(e) {
		return
	}
	body, err := message(e, at, c)
	if err != nil {
		h.o.Logger.Error("tell of a connection", "error", err)
		return
	}
	select {
	case h.offered <- offer{id: "connection_" + c.ID + "_" + at.UTC().Format("20060102T150405.000000000") + "_" + string(e), body: body}:
	default:
		h.o.Count(Dropped)
	}
}

// drain puts what was offered into the queues.
func (h *Hooks) drain(ctx context.Context) {
	for {
		select {
		case o := <-h.offered:
			if err := h.put(ctx, o.id, o.body); err != nil {
				h.o.Count(Dropped)
				if ctx.Err() == nil {
					h.o.Logger.Warn("an event of a connection is not told", "error", err)
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// Undelivered tells that a critical alarm's announcement, as its newest entry has
// it, has reached nobody. It returns when that is stored; called again for the
// same announcement it tells nothing new.
func (h *Hooks) Undelivered(ctx context.Context, e inbox.Entry) error {
	text := alarm.Text(e.Body)
	if text == nil {
		return fmt.Errorf("tell of the entry %d: %s is no alarm", e.Seq, e.Subject)
	}
	body, err := message(Undelivered, h.o.Now(), struct {
		Alarm json.RawMessage `json:"alarm"`
		Entry uint64          `json:"entry"`
	}{text, e.AnnouncedAt()})
	if err != nil {
		return err
	}
	return h.put(ctx, fmt.Sprintf("undelivered_%s_%d", e.ID(), e.AnnouncedAt()), body)
}
