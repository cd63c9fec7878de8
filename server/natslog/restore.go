package natslog

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotEmpty: there is something already where a backup is to be restored.
var ErrNotEmpty = errors.New("there is a log already")

// ErrBackup: the file is no backup, or not whole.
var ErrBackup = errors.New("not a whole backup")

// A Backup is the file of a backup, opened.
type Backup struct {
	Manifest
	files map[string]*zip.File
}

// OpenBackup reads a backup's manifest and checks that all it names is there,
// unchanged. It reads the whole file. Errors: ErrBackup, those of r.
func OpenBackup(r io.ReaderAt, size int64) (*Backup, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	b := &Backup{files: map[string]*zip.File{}}
	for _, f := range archive.File {
		b.files[f.Name] = f
	}
	text, err := b.read(manifestFile)
	if err == nil {
		err = json.Unmarshal(text, &b.Manifest)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: read %s: %w", ErrBackup, manifestFile, err)
	case b.Format != backupFormat:
		return nil, fmt.Errorf("%w of a form that is known here: want format %d, not %d, which tocsin %s made", ErrBackup, backupFormat, b.Format, b.Version)
	case b.Log().Name == "":
		return nil, fmt.Errorf("%w: the log is missing", ErrBackup)
	}
	for _, s := range b.Streams {
		for name, want := range map[string]string{s.Name + streamFile: s.Config, s.Name + messagesFile: s.Data} {
			if err := b.check(name, want); err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrBackup, name, err)
			}
		}
	}
	return b, nil
}

func (b *Backup) open(name string) (io.ReadCloser, error) {
	f := b.files[name]
	if f == nil {
		return nil, errors.New("it is missing")
	}
	return f.Open()
}

// read is for the small files.
func (b *Backup) read(name string) ([]byte, error) {
	f, err := b.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

func (b *Backup) check(name, want string) error {
	f, err := b.open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("its SHA-256 is %s, want %s", got, want)
	}
	return nil
}

// Restore fills an empty log with a backup and returns once it is on all servers
// that are to have it. The options are those of Open: with a cluster it is one of
// its nodes while it runs, and the others must be there too, be it as nodes that
// wait to serve. Errors: ErrNotEmpty, inbox.ErrUnavailable.
func Restore(ctx context.Context, o Options, b *Backup) error {
	o = o.withDefaults()
	o.MQTT = ""
	l := newLog(o)
	defer func() { _ = l.Close(context.WithoutCancel(ctx)) }()
	if err := l.dial(ctx); err != nil {
		return err
	}
	if err := l.present(roleRestoring); err != nil {
		return err
	}
	if err := l.wantEmpty(ctx); err != nil {
		return err
	}
	// The log is restored last: where it is, everything is.
	for i, s := range b.Streams {
		if err := l.restoreStream(ctx, b, s.Name); err != nil {
			l.undo(context.WithoutCancel(ctx), b.Streams[:i+1])
			return fmt.Errorf("restore the stream %s: %w", s.Name, err)
		}
	}
	return l.awaitCopies(ctx, b)
}

func (l *Log) wantEmpty(ctx context.Context) error {
	return l.awaitCluster(ctx, func(ctx context.Context) error {
		lister := l.js.StreamNames(ctx)
		found := ""
		for name := range lister.Name() {
			found = name
		}
		if err := lister.Err(); err != nil {
			return err
		}
		if found != "" {
			return fmt.Errorf("%w: it has the stream %s; restore into an empty directory", ErrNotEmpty, found)
		}
		return nil
	})
}

// restoreStream restores one stream, with the replicas that are wanted here.
func (l *Log) restoreStream(ctx context.Context, b *Backup, name string) error {
	request, err := l.restoreRequest(b, name)
	if err != nil {
		return err
	}
	var answer struct {
		Error          *jetstream.APIError `json:"error"`
		DeliverSubject string              `json:"deliver_subject"`
	}
	err = l.awaitCluster(ctx, func(ctx context.Context) error {
		return l.api(ctx, "STREAM.RESTORE."+name, request, &answer, func() *jetstream.APIError { return answer.Error })
	})
	if err != nil {
		return unavailable("ask for the restoring", err)
	}
	data, err := b.open(name + messagesFile)
	if err != nil {
		return err
	}
	defer func() { _ = data.Close() }()
	chunk := make([]byte, snapshotChunk)
	for begun := time.Now(); ; {
		n, err := io.ReadFull(data, chunk)
		for n > 0 {
			err := l.sendChunk(ctx, answer.DeliverSubject, chunk[:n])
			if err == nil {
				begun = time.Time{}
				break
			}
			// That another server listens is known here a moment after its answer.
			if !errors.Is(err, nats.ErrNoResponders) || time.Since(begun) > formTimeout || !l.pause(ctx, copiesCheck) {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return l.sendChunk(ctx, answer.DeliverSubject, nil)
		case err != nil:
			return err
		}
	}
}

// restoreRequest is the backup's configuration but for what is chosen here. A log
// that its last backup sealed is open again.
func (l *Log) restoreRequest(b *Backup, name string) ([]byte, error) {
	text, err := b.read(name + streamFile)
	if err != nil {
		return nil, err
	}
	var stored struct {
		Config map[string]json.RawMessage `json:"config"`
		State  json.RawMessage            `json:"state"`
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("read its configuration: %w", err)
	}
	if name == streamName {
		return json.Marshal(map[string]any{"config": l.config(), "state": stored.State})
	}
	if stored.Config["num_replicas"], err = json.Marshal(l.opts.Replicas); err != nil {
		return nil, err
	}
	delete(stored.Config, "placement")
	return json.Marshal(stored)
}

// sendChunk sends a part of a snapshot, nil at its end, and waits for it to be taken.
func (l *Log) sendChunk(ctx context.Context, to string, chunk []byte) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, to, chunk)
	if err != nil {
		return unavailable("send the snapshot", err)
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if len(m.Data) > 0 && json.Unmarshal(m.Data, &answer) == nil && answer.Error != nil {
		return answer.Error
	}
	return nil
}

// undo removes what was restored of a backup, as far as that goes.
func (l *Log) undo(ctx context.Context, streams []BackupStream) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for _, s := range streams {
		if err := l.js.DeleteStream(ctx, s.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			l.opts.Logger.Warn("remove what was restored", "stream", s.Name, "error", err)
		}
	}
}

// copiesCheck is how often the servers are asked whether they have everything.
const copiesCheck = 100 * time.Millisecond

// awaitCopies waits until all servers have all that was restored, and checks that
// it is what the backup says.
func (l *Log) awaitCopies(ctx context.Context, b *Backup) error {
	for _, want := range b.Streams {
		for {
			s, err := l.js.Stream(ctx, want.Name)
			if err == nil {
				got := s.CachedInfo()
				if want.Name == streamName && (got.State.LastSeq < want.LastSeq || got.State.Msgs < want.Messages) {
					return fmt.Errorf("%w: the log has %d entries up to %d, want %d up to %d", ErrBackup,
						got.State.Msgs, got.State.LastSeq, want.Messages, want.LastSeq)
				}
				if membersOf(got).whole() {
					break
				}
			}
			if !l.pause(ctx, copiesCheck) {
				return unavailable("wait until all servers have the stream "+want.Name, errors.Join(err, ctx.Err()))
			}
		}
	}
	return nil
}
