package natslog

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// errInProcess: the leader is storing another message with this id, or believes so.
var errInProcess = errors.New("the id is in process")

const (
	// inProcessFor is how long a leader may take to store one message before its word
	// that an id is in process is doubted. It takes milliseconds, but a change of the
	// lead would not help one that is merely slow.
	inProcessFor = 2 * time.Second
	// doubtLasts is within which time a publisher has to come again with the id.
	doubtLasts = 30 * time.Second
	// handOverPause is how long at least this node leaves a lead as it is.
	handOverPause = 10 * time.Second
)

// A doubt is of a leader that goes on saying of one id that it is in process.
//
// A leader notes an id before it has stored its message, and forgets what it had
// noted so when it loses the lead; but when it was stopped for a moment, it may first
// hear of what its successor has stored, and then keeps the note. Should it lead
// again, it would refuse that event for as long as ids are remembered. All servers
// know what was stored, and only that one has the note: so it is asked to hand over,
// after which the event is stored, or known to be (docs/decisions/0011).
//
// One id at a time is looked at, over all attempts to store it. The zero doubt is none.
type doubt struct {
	some atomic.Bool // there is one: who has nothing to do with it takes no lock

	mu          sync.Mutex
	id          string // with its stream
	since, last time.Time
	asked       time.Time // when the lead was last to be handed over
}

// note takes an answer to an attempt to store the id, and says whether the leader of
// the stream should hand over.
func (d *doubt) note(stream, id string, err error) bool {
	held := errors.Is(err, errInProcess)
	if id == "" || !held && !d.some.Load() {
		return false
	}
	id = stream + " " + id
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !held:
		if d.id == id && !errors.Is(err, inbox.ErrUnavailable) {
			d.id = ""
			d.some.Store(false)
		}
	case d.id == "" || now.Sub(d.last) > doubtLasts:
		d.id, d.since, d.last = id, now, now
		d.some.Store(true)
	case d.id == id:
		d.last = now
		if now.Sub(d.since) > inProcessFor && now.Sub(d.asked) > handOverPause {
			d.asked = now
			return true
		}
	}
	return false
}

// heed has the leader of the stream hand over if an answer makes it doubtful.
func (l *Log) heed(ctx context.Context, stream, id string, err error) {
	if !l.doubt.note(stream, id, err) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOverTimeout)
	defer cancel()
	var a struct {
		Error *jetstream.APIError `json:"error"`
	}
	err = l.api(ctx, "STREAM.LEADER.STEPDOWN."+stream, nil, &a, func() *jetstream.APIError { return a.Error })
	l.opts.Logger.Warn("a leader takes an id for one in process for too long: it was asked to hand over", "stream", stream, "id", id, "error", err)
}
