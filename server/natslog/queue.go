package natslog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// QueueConfig says what a queue is for. All processes must give the same one.
type QueueConfig struct {
	Name        string // [A-Za-z0-9_-]
	Description string
	// MaxAge is how long a job is tried before it is forgotten; 0 is for ever.
	MaxAge time.Duration
	// Backoff is the pause after each attempt that failed, and up to a fifth more;
	// the last one repeats.
	// Empty is one second.
	Backoff []time.Duration
	// Workers is how many jobs one Run does at a time. 0 is 4.
	Workers int
	// AckWait is how long after its process died a job is begun again. While a
	// process lives, a job may take as long as it likes. 0 is 30 seconds.
	AckWait time.Duration
}

// A Queue keeps work until it is done. Its methods may be called by many
// goroutines at once, on all nodes; their errors are those of the package inbox,
// wrapped.
//
// A job is done at least once: one whose process dies while it does it, or before
// it could say that it is done, is done again. Jobs are begun in the order in
// which they were put, but a job that failed does not hold up those behind it.
type Queue struct {
	log      *Log
	conf     QueueConfig
	stream   string
	subject  string
	consumer jetstream.Consumer
}

// A Job is one attempt at something that was put into a queue.
type Job struct {
	Data    []byte
	Attempt int       // counted from 1; one that a restart cut off counts
	At      time.Time // when it was put
}

// ErrDrop is what do wraps when a job is not to be tried again.
var ErrDrop = errors.New("not to be tried again")

// queueConsumer is the durable consumer that all runners of a queue share.
const queueConsumer = "workers"

// fetchWait is how long one request for a job stands.
const fetchWait = 5 * time.Second

// requestLinger is how long the engine may believe in a request that was given up.
const requestLinger = 200 * time.Millisecond

// Queue opens the queue of that name, and makes it when there is none.
func (l *Log) Queue(ctx context.Context, c QueueConfig) (*Queue, error) {
	if len(c.Backoff) == 0 {
		c.Backoff = []time.Duration{time.Second}
	}
	if c.Workers == 0 {
		c.Workers = 4
	}
	if c.AckWait == 0 {
		c.AckWait = 30 * time.Second
	}
	q := &Queue{log: l, conf: c, stream: "QUEUE_" + c.Name, subject: "queue." + c.Name}
	stream, err := l.side(ctx, jetstream.StreamConfig{
		Name:        q.stream,
		Description: c.Description,
		Subjects:    []string{q.subject},
		Retention:   jetstream.WorkQueuePolicy,
		Discard:     jetstream.DiscardNew,
		MaxAge:      c.MaxAge,
	})
	if err != nil {
		return nil, err
	}
	err = l.awaitCluster(ctx, func(ctx context.Context) (err error) {
		q.consumer, err = stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable:    queueConsumer,
			AckPolicy:  jetstream.AckExplicitPolicy,
			AckWait:    c.AckWait,
			MaxDeliver: -1,
			// A job that waits for its next attempt counts as one without an answer;
			// a limit of those would let failing jobs hold up the others.
			MaxAckPending: -1,
		})
		return err
	})
	if err != nil {
		return nil, unavailable("open the workers of "+q.stream, err)
	}
	return q, nil
}

// Put stores a job; it is stored when Put returns. The same id within the window
// of ids is the same job, also when that is done. Below the reserve it is refused
// with inbox.ErrFull. After inbox.ErrUnavailable it may have been stored.
func (q *Queue) Put(ctx context.Context, id string, data []byte) error {
	return q.log.store(ctx, "put into "+q.stream, q.stream, q.subject, id, data)
}

// Run does jobs, by as many goroutines as there are workers, until the context
// ends, whose error it returns, or the log is closed. do that returns nil has
// done the job; an error that wraps ErrDrop gives it up; after any other error
// it is done again after the pause. What do returns once the context has ended
// does not wait: the next runner begins the job.
func (q *Queue) Run(ctx context.Context, do func(ctx context.Context, job Job) error) error {
	var workers sync.WaitGroup
	var left leftovers
	for range q.conf.Workers {
		// Ends with the context, or with the log.
		workers.Go(func() { q.work(ctx, do, &left) })
	}
	workers.Wait()
	q.giveBack(left.jobs)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable("run "+q.stream, errClosed)
}

// work does one job after the other. The engine being away is waited for.
func (q *Queue) work(ctx context.Context, do func(context.Context, Job) error, left *leftovers) {
	for ctx.Err() == nil {
		m, err := q.next(ctx)
		switch {
		case m != nil:
			q.attempt(ctx, m, do, left)
			continue
		case err != nil && ctx.Err() == nil:
			q.log.opts.Logger.Warn("ask for a job: ask again", "queue", q.conf.Name, "error", err)
		}
		select {
		case <-q.log.closed:
			return
		default:
		}
		if err != nil && !q.log.pause(ctx, scanRetry) {
			return
		}
	}
}

// next waits a while for a job; it gives neither a job nor an error when none
// came.
func (q *Queue) next(ctx context.Context) (jetstream.Msg, error) {
	wait, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	// Ends with next, or cuts the waiting off when the log is closed.
	go func() {
		select {
		case <-q.log.closed:
			cancel()
		case <-wait.Done():
		}
	}()
	batch, err := q.consumer.Fetch(1, jetstream.FetchContext(wait))
	if err != nil {
		return nil, err
	}
	m, ok := <-batch.Messages()
	if ok {
		return m, nil
	}
	if wait.Err() != nil {
		return nil, nil // nothing came in time
	}
	return nil, batch.Error()
}

// attempt does one job and says how it went. What cannot be said is begun again
// after AckWait.
func (q *Queue) attempt(ctx context.Context, m jetstream.Msg, do func(context.Context, Job) error, left *leftovers) {
	meta, err := m.Metadata()
	if err != nil {
		q.log.opts.Logger.Error("read a job", "queue", q.conf.Name, "error", err)
		return
	}
	job := Job{Data: m.Data(), Attempt: int(meta.NumDelivered), At: meta.Timestamp}
	failed := q.do(ctx, m, job, do)
	switch {
	case failed == nil:
		confirm, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		err = m.DoubleAck(confirm)
	case errors.Is(failed, ErrDrop):
		err = m.TermWithReason(failed.Error())
	case ctx.Err() != nil:
		left.add(m)
	default:
		pause := q.conf.Backoff[min(job.Attempt, len(q.conf.Backoff))-1]
		// What failed together is not tried again together.
		err = m.NakWithDelay(pause + time.Duration(rand.Float64()*float64(pause)/5))
	}
	if err != nil {
		q.log.opts.Logger.Warn("say how a job went: it will be done again", "queue", q.conf.Name,
			"error", fmt.Errorf("attempt %d: %w", job.Attempt, err))
	}
}

// leftovers are the jobs that a runner has not done when it ends.
type leftovers struct {
	mu   sync.Mutex
	jobs []jetstream.Msg
}

func (l *leftovers) add(m jetstream.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs = append(l.jobs, m)
}

// giveBack lets the next runner begin these jobs. It is called when no worker asks
// for jobs any more, and leaves the engine a moment to hear of that: it would give
// them to the request of one that is gone, from which they come back after AckWait.
func (q *Queue) giveBack(jobs []jetstream.Msg) {
	for _, m := range jobs {
		_ = m.NakWithDelay(requestLinger) // else they are begun again after AckWait
	}
}

// do calls do and keeps the job with this process meanwhile.
func (q *Queue) do(ctx context.Context, m jetstream.Msg, job Job, do func(context.Context, Job) error) error {
	done := make(chan struct{})
	defer close(done)
	// Ends when do has returned.
	go func() {
		tick := time.NewTicker(q.conf.AckWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				// One that does not get through is made up for by the next.
				_ = m.InProgress()
			}
		}
	}()
	return do(ctx, job)
}
