package filestore_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin/server/filestore"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// options of these tests.
var options = filestore.Options{Log: natslog.StreamName, Stored: inbox.IsStored}

// store makes a log of three blocks, by the engine itself, and closes it well.
func store(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	fill(t, dir, 400)
	return dir
}

// fill appends so many messages of 50 KB.
func fill(t *testing.T, dir string, count int) {
	t.Helper()
	l, err := natslog.Open(t.Context(), natslog.Options{Dir: dir, Reserve: -1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	e := inbox.Entry{Subject: inbox.TopicSubject("news"), Body: []byte(strings.Repeat("x", 50<<10))}
	for range count {
		if r := l.Append(t.Context(), inbox.Proposal{Subject: e.Subject, Any: true, Data: e.Encode()})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func block(dir, name string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", natslog.StreamName, "msgs", name)
}

func examine(t *testing.T, dir string, o filestore.Options) *filestore.Stream {
	t.Helper()
	r, err := filestore.Examine(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Stream(natslog.StreamName)
	if s == nil {
		t.Fatalf("there is no log in %+v", r)
	}
	return s
}

func TestAWholeLogHasNoProblems(t *testing.T) {
	s := examine(t, store(t), options)
	if s.Messages != 400 || s.First != 1 || s.Last != 400 || s.Index != filestore.IndexWhole || s.Indexed != 400 || len(s.Blocks) != 3 {
		t.Errorf("found %+v", s)
	}
	if p := s.Problems(); len(p) > 0 || s.Loses() || s.Mendable() {
		t.Errorf("problems %v", p)
	}
}

// A file in the middle that is gone is found by the sequences that are missing.
func TestAMissingBlockIsFound(t *testing.T) {
	dir := store(t)
	if err := os.Remove(block(dir, "2.blk")); err != nil {
		t.Fatal(err)
	}
	s := examine(t, dir, options)
	if len(s.Missing) != 1 || !s.Loses() || s.Missing[0].Len() != 400-s.Messages {
		t.Errorf("found %+v of %d", s.Missing, s.Messages)
	}
	o := options
	o.Newest = 1 << 20 // a gap in the files' numbers has all of them read
	if s := examine(t, dir, o); len(s.Missing) != 1 || s.Unread != 0 {
		t.Errorf("found %+v in the newest part", s.Missing)
	}
}

// A purge leaves nothing missing.
func TestAPurgedLogHasNoProblems(t *testing.T) {
	dir := store(t)
	l, err := natslog.Open(t.Context(), natslog.Options{Dir: dir, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Purge(t.Context(), 250); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if s := examine(t, dir, options); len(s.Problems()) > 0 || s.First != 250 || s.Last != 400 {
		t.Errorf("found %d to %d and %v", s.First, s.Last, s.Problems())
	}
}

// Of a log that was closed well only the newest part is read, of another one all.
func TestOnlyTheNewestPartOfAWholeLogIsRead(t *testing.T) {
	dir := store(t)
	o := options
	o.Newest = 1 << 20
	s := examine(t, dir, o)
	if len(s.Blocks) != 1 || s.Last != 400 || s.Unread == 0 || len(s.Problems()) > 0 {
		t.Errorf("read %d blocks up to %d, %d bytes not, and found %v", len(s.Blocks), s.Last, s.Unread, s.Problems())
	}
	if err := os.Remove(block(dir, "index.db")); err != nil {
		t.Fatal(err)
	}
	if s := examine(t, dir, o); len(s.Blocks) != 3 || s.Unread != 0 {
		t.Errorf("without an index %d blocks were read", len(s.Blocks))
	}
}

// What a power failure leaves is cut off at its first hole; what it does not explain
// is not.
func TestOnlyWhatIsRecentCountsAsTheEnd(t *testing.T) {
	dir := store(t)
	f, err := os.OpenFile(block(dir, "2.blk"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 4096), 3<<20); err != nil { // pages that were never written
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if s := examine(t, dir, options); !s.Loses() || s.End != nil || len(s.Faults) != 1 {
		t.Errorf("with the disk flushed each time: %+v, end %+v", s.Faults, s.End)
	}
	o := options
	o.Recent = time.Hour
	s := examine(t, dir, o)
	if s.Loses() || s.End == nil || s.Last+1+s.Beyond != 400 {
		t.Fatalf("within the interval: %+v, end %+v", s.Faults, s.End)
	}
	r, err := filestore.Examine(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if aside, err := filestore.Mend(r, time.Now(), r.Stream(natslog.StreamName)); err != nil || aside == "" {
		t.Fatal(aside, err)
	}
	if after := examine(t, dir, options); len(after.Problems()) > 0 || after.Last != s.Last || after.Index != filestore.IndexNone {
		t.Errorf("mended, it ends at %d, want %d, and has %v", after.Last, s.Last, after.Problems())
	}
}
