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
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// backupFormat is the version of a backup's form. A backup is a ZIP archive that
// holds for each stream <name>/stream.json, its configuration and state as the
// engine gives them, and <name>/messages, the engine's own snapshot; and in the end
// manifest.json, which says what has to be there.
const backupFormat = 1

// Names inside a backup.
const (
	manifestFile = "manifest.json"
	streamFile   = "/stream.json"
	messagesFile = "/messages"
)

// A Manifest says what a backup holds.
type Manifest struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Version string    `json:"version"` // of the program that made it
	// Last: nothing was stored after it in the log that it was made of.
	Last    bool           `json:"last"`
	Streams []BackupStream `json:"streams"`
}

// Log is the entry of the log itself, its zero value if there is none.
func (m *Manifest) Log() BackupStream {
	for _, s := range m.Streams {
		if s.Name == streamName {
			return s
		}
	}
	return BackupStream{}
}

// A BackupStream is one stream of a backup.
type BackupStream struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	// Config and Data are SHA-256 of its two files, in hexadecimal.
	Config string `json:"config_sha256"`
	Data   string `json:"data_sha256"`
}

// BackupOptions say what to write.
type BackupOptions struct {
	// Last seals the log first: nothing can be stored in it any more, and what is
	// stored goes on from the backup.
	Last bool
	// Version is told in the manifest.
	Version string
}

const (
	// snapshotWait is how long a snapshot may bring nothing.
	snapshotWait  = 30 * time.Second
	snapshotChunk = 128 << 10
)

// Backup writes everything that is stored, while all goes on. The log comes last,
// so that nothing beside it tells of entries that the backup has not. What only
// lives for seconds (leases, which nodes run) is left out. w must take what comes
// within a few seconds, else the engine gives the snapshot up. One backup is made at
// a time in a process; others wait. Errors: inbox.ErrUnavailable, those of w.
func (l *Log) Backup(ctx context.Context, w io.Writer, o BackupOptions) (Manifest, error) {
	m := Manifest{Format: backupFormat, Made: time.Now().UTC().Truncate(time.Second), Version: o.Version, Last: o.Last}
	select {
	case l.backups <- struct{}{}:
		defer func() { <-l.backups }()
	case <-ctx.Done():
		return m, ctx.Err()
	}
	if o.Last {
		if err := l.seal(ctx); err != nil {
			return m, err
		}
	}
	names, err := l.streams(ctx)
	if err != nil {
		return m, err
	}
	archive := zip.NewWriter(w)
	for _, name := range names {
		s, err := l.backupStream(ctx, archive, name)
		if err != nil {
			return m, fmt.Errorf("back up the stream %s: %w", name, err)
		}
		m.Streams = append(m.Streams, s)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if _, err := addFile(archive, manifestFile, text); err != nil {
		return m, err
	}
	return m, archive.Close()
}

// seal keeps anything more from being stored in the log, on all nodes.
func (l *Log) seal(ctx context.Context) error {
	c := l.config()
	c.Sealed, c.Discard, c.DenyDelete, c.DenyPurge = true, jetstream.DiscardNew, true, true
	return l.awaitCluster(ctx, func(ctx context.Context) error {
		if _, err := l.js.UpdateStream(ctx, c); err != nil {
			return unavailable("seal the log", err)
		}
		return nil
	})
}

// streams are those that belong into a backup, the log in the end.
func (l *Log) streams(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lister := l.js.StreamNames(ctx)
	var names []string
	for name := range lister.Name() {
		if name != streamName && !strings.HasPrefix(name, "KV_lease_") && name != "KV_runs" {
			names = append(names, name)
		}
	}
	if err := lister.Err(); err != nil {
		return nil, unavailable("list the streams", err)
	}
	slices.Sort(names)
	return append(names, streamName), nil
}

// A snapshotAnswer is what the engine says before it sends a snapshot.
type snapshotAnswer struct {
	Error  *jetstream.APIError `json:"error,omitempty"`
	Config json.RawMessage     `json:"config"`
	State  json.RawMessage     `json:"state"`
}

// A storedStream is what stream.json holds.
type storedStream struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
}

func (l *Log) backupStream(ctx context.Context, archive *zip.Writer, name string) (BackupStream, error) {
	s := BackupStream{Name: name}
	answer, chunks, err := l.askSnapshot(ctx, name)
	if err != nil {
		return s, err
	}
	defer func() { _ = chunks.Unsubscribe() }()
	var state jetstream.StreamState
	if err := json.Unmarshal(answer.State, &state); err != nil {
		return s, fmt.Errorf("read its state: %w", err)
	}
	s.Messages, s.FirstSeq, s.LastSeq = state.Msgs, state.FirstSeq, state.LastSeq
	text, err := json.Marshal(storedStream{answer.Config, answer.State})
	if err != nil {
		return s, err
	}
	if s.Config, err = addFile(archive, name+streamFile, text); err != nil {
		return s, err
	}
	// The snapshot is compressed already.
	out, err := archive.CreateHeader(&zip.FileHeader{Name: name + messagesFile, Method: zip.Store, Modified: time.Now()})
	if err != nil {
		return s, err
	}
	sum := sha256.New()
	if err := receive(ctx, chunks, io.MultiWriter(out, sum)); err != nil {
		return s, err
	}
	s.Data = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

// askSnapshot has the leader of the stream send its snapshot. Each attempt listens
// for itself: an answer that was given up for lost may bring a snapshot yet.
func (l *Log) askSnapshot(ctx context.Context, name string) (a snapshotAnswer, chunks *nats.Subscription, err error) {
	err = l.awaitCluster(ctx, func(ctx context.Context) error {
		to := l.nc.NewInbox()
		request, err := json.Marshal(map[string]any{"deliver_subject": to, "no_consumers": true, "chunk_size": snapshotChunk})
		if err != nil {
			return err
		}
		if chunks, err = l.nc.SubscribeSync(to); err != nil {
			return err
		}
		a = snapshotAnswer{}
		err = l.api(ctx, "STREAM.SNAPSHOT."+name, request, &a, func() *jetstream.APIError { return a.Error })
		if err != nil {
			_ = chunks.Unsubscribe()
		}
		return err
	})
	if err != nil {
		return a, nil, unavailable("ask for a snapshot", err)
	}
	return a, chunks, nil
}

// api asks the engine what the client library has no words for.
func (l *Log) api(ctx context.Context, what string, request []byte, answer any, refused func() *jetstream.APIError) error {
	m, err := l.nc.RequestWithContext(ctx, "$JS.API."+what, request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return err
	}
	if e := refused(); e != nil {
		return e
	}
	return nil
}

// receive takes a snapshot's chunks until its end.
func receive(ctx context.Context, chunks *nats.Subscription, w io.Writer) error {
	for {
		one, cancel := context.WithTimeout(ctx, snapshotWait)
		m, err := chunks.NextMsgWithContext(one)
		cancel()
		if err != nil {
			return unavailable("wait for the snapshot", errors.Join(err, ctx.Err()))
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return unavailable("receive the snapshot", errors.New(status+" "+m.Header.Get("Description")))
			}
			return nil
		}
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		if m.Reply == "" {
			continue
		}
		if err := m.Respond(nil); err != nil {
			return unavailable("receive the snapshot", err)
		}
	}
}

// addFile adds a small file and returns its SHA-256.
func addFile(archive *zip.Writer, name string, text []byte) (string, error) {
	f, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now()})
	if err == nil {
		_, err = f.Write(text)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}
