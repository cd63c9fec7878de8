package natslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tocsin/server/filestore"
	"tocsin/server/inbox"
)

// ErrDamaged: what is stored is damaged or missing, and no power failure explains it.
var ErrDamaged = errors.New("what is stored here is damaged")

// spread is how much longer than the interval of flushes what was not flushed may
// reach back: a flush takes its time, too.
const spread = time.Second

// Examine looks through everything in a data directory that nobody serves, as Open does
// with the newest part, and changes nothing. The caller keeps others out with Hold. each, unless nil, is given every message; see
// [filestore.Options]. Errors: those of the file system and of
// each.
func Examine(ctx context.Context, o Options, each func(filestore.Message) error) (*filestore.Report, error) {
	return examine(ctx, o.withDefaults(), 0, each)
}

// inspected is how much of a log that was closed well a start looks through, in
// bytes: at about 600 MB/s it takes no more than two seconds.
const inspected = 1 << 30

func examine(ctx context.Context, o Options, newest int64, each func(filestore.Message) error) (*filestore.Report, error) {
	var begun []byte // the newest sys.epoch entry
	want := filestore.Options{
		Log: streamName, Stored: o.Stored, Newest: newest, Recent: o.SyncInterval + spread,
		Known: func() (list []filestore.Range) {
			e, err := inbox.Decode(inbox.Message{Data: begun})
			if err != nil {
				return nil
			}
			for _, l := range e.Losses() {
				list = append(list, filestore.Range(l))
			}
			return list
		},
		Each: func(m filestore.Message) error {
			if m.Account == filestore.Account && m.Stream == streamName && string(m.Subject) == inbox.SubjectEpoch {
				begun = bytes.Clone(m.Data)
			}
			if each == nil {
				return nil
			}
			return each(m)
		},
	}
	if o.SyncAlways {
		want.Recent = 0
	}
	if o.Cluster != nil {
		want.Log = "" // a message that the others refused leaves a hole
	}
	return filestore.Examine(ctx, o.Dir, want)
}

// inspect looks at the files before the engine does, which would drop what is damaged
// and all that follows it in the same file, with no more than a warning. Ends that a
// power failure has left are cut off; what else is damaged is refused, or taken out
// where the loss is accepted: lost are then the sequences that the log lacks.
func inspect(ctx context.Context, o Options) (lost []inbox.Span, err error) {
	r, err := examine(ctx, o, inspected, nil)
	if err != nil {
		return nil, fmt.Errorf("look through %s: %w", o.Dir, err)
	}
	var mend []*filestore.Stream
	var refuse []error
	for i := range r.Streams {
		s := &r.Streams[i]
		for _, problem := range s.Problems() {
			o.Logger.Error("the data are damaged", "stream", s.Name, "problem", problem)
			if s.Loses() {
				refuse = append(refuse, fmt.Errorf("%w: stream %s: %s", ErrDamaged, s.Name, problem))
			}
		}
		if s.Mendable() {
			mend = append(mend, s)
		}
	}
	switch {
	case len(refuse) > 0 && (!o.AcceptLoss || o.Cluster != nil):
		return nil, errors.Join(refuse...)
	case len(mend) == 0 || o.Cluster != nil: // the others of a cluster have what is missing here
		return spans(r), nil
	}
	aside, err := filestore.Mend(r, time.Now(), mend...)
	if err != nil {
		return nil, err
	}
	o.Logger.Error("what is damaged was taken out and put aside", "streams", names(mend), "aside", aside)
	return spans(r), nil
}

// spans are what is missing in the log.
func spans(r *filestore.Report) (list []inbox.Span) {
	if s := r.Stream(streamName); s != nil {
		for _, m := range s.Missing {
			list = append(list, inbox.Span(m))
		}
	}
	return list
}

func names(list []*filestore.Stream) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

// Lost are the sequences that the log was found to lack when it was opened, with
// Options.AcceptLoss; the next epoch is to name them. It never changes.
func (l *Log) Lost() []inbox.Span {
	if l.engine == nil {
		return nil
	}
	return l.engine.lost
}
