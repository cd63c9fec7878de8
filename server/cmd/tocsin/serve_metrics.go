package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"tocsin/server/hooks"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/server/metrics"
	"tocsin/server/natslog"
)

// measureTimeout bounds how long the log may take to say how it stands.
const measureTimeout = time.Second

// measureLog adds how the log stands to the metrics, asked for once whenever they
// are. What it does not answer is left out, but that it does not.
func (n *node) measureLog() {
	n.log = countedLog{n.store, n.metrics.Store(
		[]string{opAppend, opRead, opMarks}, []string{errConflict, errFull, errTooLarge, errUnavailable})}
	age := oldest{log: n.store}
	n.metrics.Numbers([]metrics.Number{
		{Name: "tocsin_log_up", Help: "1 while the log's leader answers this node within a second."},
		{Name: "tocsin_log_messages", Help: "Entries in the log."},
		{Name: "tocsin_log_bytes", Help: "Bytes that the entries in the log take."},
		{Name: "tocsin_log_first_age_seconds", Help: "Age of the oldest entry in the log."},
		{Name: "tocsin_log_leader", Help: "1 while this node's own engine leads the log."},
		{Name: "tocsin_log_servers", Help: "Servers that the log is to be stored on."},
		{Name: "tocsin_log_servers_current", Help: "Servers that have all of the log now, its leader included."},
		{Name: "tocsin_stale", Help: "1 while the node has lost touch with the log, and says so."},
		{Name: "tocsin_tail_lag_entries", Help: "Entries that the log has and this node's view has not."},
		{Name: "tocsin_storage_full", Help: "1 while free space is below the reserve and publishers are refused."},
		{Name: "tocsin_storage_free_bytes", Help: "Space left where an embedded log is stored."},
	}, func(set func(name, label string, value float64)) {
		set("tocsin_storage_full", "", oneIf(n.store.Full()))
		if free, ok := n.store.Free(); ok {
			set("tocsin_storage_free_bytes", "", float64(free))
		}
		set("tocsin_log_leader", "", oneIf(n.store.Leads()))
		if v := n.viewed.Load(); v != nil {
			set("tocsin_stale", "", oneIf(v.Stale()))
		}
		ctx, cancel := context.WithTimeout(n.running, measureTimeout)
		defer cancel()
		s, err := n.store.Standing(ctx)
		set("tocsin_log_up", "", oneIf(err == nil))
		if err != nil {
			return
		}
		set("tocsin_log_messages", "", float64(s.Messages))
		set("tocsin_log_bytes", "", float64(s.Bytes))
		set("tocsin_log_servers", "", float64(s.Stored))
		set("tocsin_log_servers_current", "", float64(s.Current))
		// The head is read later, so that it may have passed the end.
		set("tocsin_tail_lag_entries", "", float64(max(s.Last, n.head())-n.head()))
		if seconds, ok := age.seconds(ctx, s.First); ok {
			set("tocsin_log_first_age_seconds", "", seconds)
		}
	})
}

// head is the view's, 0 while there is none.
func (n *node) head() uint64 {
	if v := n.viewed.Load(); v != nil {
		return v.Head()
	}
	return 0
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// oldest remembers when the first entry was stored, which changes with a purge
// only.
type oldest struct {
	log *natslog.Log
	at  atomic.Pointer[inbox.Message]
}

// seconds is the age of the entry first; ok is false where there is none.
func (o *oldest) seconds(ctx context.Context, first uint64) (age float64, ok bool) {
	m := o.at.Load()
	if m == nil || m.Seq != first {
		read, err := o.log.At(ctx, first)
		if err != nil {
			return 0, false
		}
		m = &inbox.Message{Seq: read.Seq, Time: read.Time}
		o.at.Store(m)
	}
	return time.Since(m.Time).Seconds(), true
}

// What is asked of the log, and what its errors are counted under.
const (
	opAppend, opRead, opMarks                         = "append", "read", "marks"
	errConflict, errFull, errTooLarge, errUnavailable = "conflict", "full", "too_large", "unavailable"
)

// errorWord is what an error counts under; empty for what is none of the log's.
func errorWord(err error) string {
	for _, known := range [...]struct {
		err  error
		word string
	}{
		{inbox.ErrConflict, errConflict}, {inbox.ErrFull, errFull}, {inbox.ErrTooLarge, errTooLarge},
		{inbox.ErrUnavailable, errUnavailable},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return ""
}

// A countedLog is the log whose errors are counted.
type countedLog struct {
	*natslog.Log
	count *metrics.Store
}

var _ inbox.Log = countedLog{}

func (l countedLog) failed(operation string, err error) {
	if word := errorWord(err); err != nil && word != "" {
		l.count.Failed(operation, word)
	}
}

// Append implements inbox.Log.
func (l countedLog) Append(ctx context.Context, proposals ...inbox.Proposal) []inbox.Receipt {
	began := time.Now()
	receipts := l.Log.Append(ctx, proposals...)
	l.count.Appended(time.Since(began))
	for i := range receipts {
		l.failed(opAppend, receipts[i].Err)
	}
	return receipts
}

// At implements inbox.Log.
func (l countedLog) At(ctx context.Context, seq uint64) (inbox.Message, error) {
	m, err := l.Log.At(ctx, seq)
	l.failed(opRead, err)
	return m, err
}

// Newest implements inbox.Log.
func (l countedLog) Newest(ctx context.Context, subject string) (inbox.Message, error) {
	m, err := l.Log.Newest(ctx, subject)
	l.failed(opRead, err)
	return m, err
}

// Bounds implements inbox.Log.
func (l countedLog) Bounds(ctx context.Context) (inbox.Bounds, error) {
	b, err := l.Log.Bounds(ctx)
	l.failed(opRead, err)
	return b, err
}

// countedMarks are the read marks likewise.
type countedMarks struct {
	inbox.Marks
	log countedLog
}

func (m countedMarks) Update(ctx context.Context, user string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	mark, err := m.Marks.Update(ctx, user, change)
	m.log.failed(opMarks, err)
	return mark, err
}

// countedLetters are dead letters whose doors are counted.
type countedLetters struct {
	ingest.DeadLetters
	metrics *metrics.Metrics
}

func (c countedLetters) Add(ctx context.Context, l ingest.Letter) error {
	err := c.DeadLetters.Add(ctx, l)
	if err == nil {
		c.metrics.Letter(l.Door)
	}
	return err
}

// roles are what one node at a time does; each is true while this one does it.
type roles struct{ worker, hooks atomic.Bool }

// during does f with the role set.
func during(role *atomic.Bool, f func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		role.Store(true)
		defer role.Store(false)
		f(ctx)
	}
}

// measureRoles adds what this node does on behalf of all.
func (n *node) measureRoles() {
	n.metrics.Numbers([]metrics.Number{
		{Name: "tocsin_lease_held", Help: "1 at the node that does what one node at a time does.", Label: "lease"},
	}, func(set func(name, label string, value float64)) {
		set("tocsin_lease_held", "worker", oneIf(n.roles.worker.Load()))
		set("tocsin_lease_held", "hooks", oneIf(n.roles.hooks.Load()))
	})
}

// measureHooks adds what waits in the receivers' queues, together.
func (n *node) measureHooks(queues []*natslog.Queue) {
	n.metrics.Hooks(hooks.Sent, hooks.Failed, hooks.Gone, hooks.GivenUp, hooks.Dropped)
	n.metrics.Numbers([]metrics.Number{
		{Name: "tocsin_hooks_waiting", Help: "Messages that receivers are still to be told, those that are tried again included; the same at every node."},
	}, func(set func(name, label string, value float64)) {
		ctx, cancel := context.WithTimeout(n.running, measureTimeout)
		defer cancel()
		var all uint64
		for _, q := range queues {
			waiting, err := q.Waiting(ctx)
			if err != nil {
				return
			}
			all += waiting
		}
		set("tocsin_hooks_waiting", "", float64(all))
	})
}
