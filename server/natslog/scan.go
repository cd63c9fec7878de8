package natslog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// A pull asks for so many messages at most, of so many bytes at most: much
// enough for a load to run without waiting, and a bounded amount of memory when
// all of them are large.
const (
	pullMessages = 8192
	pullBytes    = 16 << 20
)

const (
	// heartbeat is how often an idle consumer shows that it lives; one that misses two
	// is replaced. The least that the library takes.
	heartbeat = 500 * time.Millisecond
	// createTimeout is how long the creation of a scan's consumer may take at first. While
	// the engine elects who leads, nobody answers, ever: each further attempt may take
	// twice as long, up to requestTimeout, since a busy engine is slow to answer too.
	createTimeout = time.Second
	// scanCheck is how often a scan looks whether what it waits for can still come.
	scanCheck = 500 * time.Millisecond
	scanRetry = 250 * time.Millisecond
	// stuckAfter is how long a consumer may give nothing of what the leader has.
	stuckAfter = 2 * time.Second
	// consumerLinger is how long the engine keeps a consumer nobody pulls from.
	consumerLinger = 30 * time.Second
	purgeTimeout   = 30 * time.Second
)

// Scan implements [inbox.Source]. It does not end because the engine is away:
// it goes on where it stood when the engine is back. A closed log ends it with
// inbox.ErrUnavailable.
func (l *Log) Scan(ctx context.Context, s inbox.Scan, each func(inbox.Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sc := &scan{log: l, want: s, each: each}
	defer sc.stop()
	done := make(chan error, 1)
	// Ends when the scan does; when the context ends while the library creates a
	// consumer, at the end of that request. each is not called after the return.
	go func() { done <- sc.run(ctx) }()
	tick := time.NewTicker(scanCheck)
	defer tick.Stop()
	var last uint64
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-l.closed:
			return unavailable("scan the log", errClosed)
		case <-tick.C:
			if sc.endPurged(ctx) || sc.endPassed(&last) {
				return nil
			}
		}
	}
}

// scan is one Scan under way.
type scan struct {
	log  *Log
	want inbox.Scan
	each func(inbox.Message) error

	unanswered int // attempts to create a consumer since one succeeded

	mu      sync.Mutex // held while each runs, and for the fields below
	stopped bool
	session int    // the number of the session that may give
	given   uint64 // how many messages its consumer has delivered
	last    uint64 // sequence of the message given last
	end     uint64 // where a scan that does not follow ends; 0 is not known yet
	chosen  uint64 // how many messages the consumer of a scan for the newest began with
}

// stop waits until each is not running and keeps it from running again.
func (s *scan) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
}

// errScanned ends a session: the scan has come to its end.
var errScanned = errors.New("everything was given")

// run gives everything that is wanted, with as many consumers as it takes.
func (s *scan) run(ctx context.Context) error {
	for {
		err := s.read(ctx)
		var own eachError
		switch {
		case errors.Is(err, errScanned):
			return nil
		case errors.As(err, &own):
			return own.error
		case ctx.Err() != nil:
			return ctx.Err()
		}
		s.log.opts.Logger.Warn("scan of the log: begin again where it stood", "error", err)
		if !s.log.pause(ctx, scanRetry) {
			return unavailable("scan the log", errClosed)
		}
	}
}

// eachError sets what each returned apart from troubles with the engine.
type eachError struct{ error }

// read is one session: it reads with one consumer until the end, or trouble. Whatever
// happens to the consumer ends it, so that the next begins at once with another one: the
// library's own ordered consumer would not hear that the server of its consumer shuts
// down, and waits ten seconds for a new one while nobody leads.
func (s *scan) read(ctx context.Context) error {
	if !s.want.Newest {
		// What begins after this is not wanted, so the end is taken first.
		if over, err := s.findEnd(ctx); over || err != nil {
			return errors.Join(err, overError(over))
		}
	}
	lost := s.log.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer s.log.nc.RemoveStatusListener(lost)
	session, after := s.begin()
	consumer, err := s.create(ctx, after)
	if err != nil {
		return fmt.Errorf("create a consumer: %w", err)
	}
	defer s.log.forgetConsumer(streamName, consumer)
	if s.want.Newest {
		// The consumer has chosen the newest message of every subject, and goes on with
		// what comes after. The end is taken now; but what was chosen may lie beyond
		// it, where the consumer's server is ahead of a leader that has just begun.
		s.choose(consumer)
		if over, err := s.findEnd(ctx); over || err != nil {
			return errors.Join(err, overError(over))
		}
	}
	over := make(chan error, 1) // the first reason is the one
	end := func(err error) {
		select {
		case over <- err:
		default:
		}
	}
	reading, err := consumer.Consume(func(m jetstream.Msg) {
		if err := s.give(session, m); err != nil {
			end(err)
		}
	}, jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes), jetstream.PullHeartbeat(heartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { end(err) }))
	if err != nil {
		return fmt.Errorf("read from a consumer: %w", err)
	}
	defer reading.Stop()
	tick := time.NewTicker(scanCheck)
	defer tick.Stop()
	for stood := (standstill{}); ; {
		select {
		case err := <-over:
			return err
		case <-lost: // with what was on its way
			return errors.New("the connection was lost")
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if s.stuck(&stood, now) {
				return fmt.Errorf("the consumer has given nothing of what is due in %s", stuckAfter)
			}
		}
	}
}

// standstill is how much a session had given, and since when it is no more although more
// is due; the zero time is that this is not known.
type standstill struct {
	given uint64
	since time.Time
}

// stuck says that the leader has had more for stuckAfter than the consumer gives, which
// gives nothing: its server does not catch up with the leader, and sends its heart-beats
// nevertheless. Another one may get on.
func (s *scan) stuck(stood *standstill, now time.Time) bool {
	if !s.mu.TryLock() {
		*stood = standstill{} // each is running, so something came
		return false
	}
	defer s.mu.Unlock()
	due := s.end
	if s.want.Follow && s.want.Subject == "" {
		due = s.log.end.Load()
	}
	if stood.since.IsZero() || stood.given != s.given || due <= max(s.last, max(s.want.From, 1)-1) {
		*stood = standstill{s.given, now}
	}
	return now.Sub(stood.since) >= stuckAfter
}

// create makes a consumer that begins after a sequence.
func (s *scan) create(ctx context.Context, after uint64) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, min(createTimeout<<s.unanswered, requestTimeout))
	defer cancel()
	consumer, err := s.log.js.CreateConsumer(ctx, streamName, s.config(after))
	switch {
	case err == nil:
		s.unanswered = 0
	case errors.Is(err, context.DeadlineExceeded):
		s.unanswered = min(s.unanswered+1, 3)
	}
	return consumer, err
}

// begin lets nobody but the session whose number it returns give, from after what was
// given last. What is newest is chosen anew: half of one choice and half of another
// would be neither.
func (s *scan) begin() (session int, after uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session++
	if s.given = 0; s.want.Newest {
		s.last = 0
	}
	return s.session, s.last
}

// choose notes how much a consumer begins with.
func (s *scan) choose(consumer jetstream.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chosen = consumer.CachedInfo().NumPending
}

func overError(over bool) error {
	if over {
		return errScanned
	}
	return nil
}

// config resumes after what was given last.
func (s *scan) config(after uint64) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		FilterSubject: s.want.Subject,
		// Of one server and in memory: it costs least, and the next one knows where to begin.
		AckPolicy: jetstream.AckNonePolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: consumerLinger,
	}
	switch {
	case after > 0:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after+1
	case s.want.Newest:
		c.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
		c.FilterSubject = cmp.Or(c.FilterSubject, ">") // without one the engine takes no such consumer
	case s.want.From > 1:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, s.want.From
	default:
		c.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	return c
}

// findEnd settles once where a scan that does not follow ends; over says that
// nothing is wanted.
func (s *scan) findEnd(ctx context.Context) (over bool, err error) {
	if s.want.Follow || s.end != 0 {
		return false, nil
	}
	b, err := s.log.Bounds(ctx)
	if err != nil {
		return false, err
	}
	if b.Messages == 0 || b.Last < s.want.From {
		return true, nil
	}
	if s.want.Subject != "" {
		// The scan ends with the subject, whose last message may lie far below.
		if b.Last, err = s.lastOfSubject(ctx); b.Last < max(s.want.From, 1) || err != nil {
			return err == nil, err
		}
	}
	s.mu.Lock()
	s.end = b.Last
	s.mu.Unlock()
	return false, nil
}

// lastOfSubject is the sequence of the newest message of the subject that is
// wanted, 0 for none.
func (s *scan) lastOfSubject(ctx context.Context) (uint64, error) {
	m, err := s.log.Newest(ctx, s.want.Subject)
	if errors.Is(err, inbox.ErrNotFound) {
		return 0, nil
	}
	return m.Seq, err
}

// endPurged says that everything up to the end was purged, so that no message
// will come to end the scan.
func (s *scan) endPurged(ctx context.Context) bool {
	if s.want.Follow || !s.mu.TryLock() {
		return false // each is running, so something came
	}
	end := s.end
	s.mu.Unlock()
	if end == 0 {
		return false
	}
	b, err := s.log.Bounds(ctx)
	return err == nil && b.First > end
}

// endPassed says that a scan for the newest has come past its end and that nothing has
// come since it was asked before: less may come than was to.
func (s *scan) endPassed(before *uint64) bool {
	if !s.want.Newest || !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	idle := s.last == *before
	*before = s.last
	return idle && s.end != 0 && s.last >= s.end
}

// give hands on one message of a session. It returns errScanned at the end.
func (s *scan) give(session int, m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("read a message's sequence: %w", err)
	}
	seq := meta.Sequence.Stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || session != s.session {
		return context.Canceled
	}
	if s.given++; meta.Sequence.Consumer != s.given { // nobody repeats what was lost on the way
		return fmt.Errorf("the consumer's message %d came in the place of %d", meta.Sequence.Consumer, s.given)
	}
	if seq <= s.last && !s.want.Newest {
		return fmt.Errorf("message %d came after %d", seq, s.last)
	}
	s.last = seq
	// Cloned, because the view keeps the data, and with it would keep the header.
	if seq >= s.want.From && (s.end == 0 || seq <= s.end || s.want.Newest) {
		if err := s.each(inbox.Message{Seq: seq, Subject: m.Subject(), Data: bytes.Clone(m.Data()), Time: meta.Timestamp}); err != nil {
			s.stopped = true
			return eachError{err}
		}
	}
	if s.end != 0 && seq >= s.end && (!s.want.Newest || s.given >= s.chosen || meta.NumPending == 0) {
		s.stopped = true
		return errScanned
	}
	return nil
}
