package natslog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/filestore"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// damageSeed decides where files are cut and bytes changed; it is printed.
func damageSeed(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) % 1e6
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 9))
}

// quiet options leave out what the log would say of the damage that tests do.
func quiet(dir string) natslog.Options {
	return natslog.Options{Dir: dir, Reserve: -1, Stored: inbox.IsStored, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// A tale is what one start of a node stored: notices to everyone, each with a number.
type tale struct {
	epoch string
	first uint64 // the sequence of the first notice
	count int
}

// last is the sequence of the last notice.
func (s tale) last() uint64 { return s.first + uint64(s.count) - 1 }

// begin starts an epoch, as a node does.
func begin(t *testing.T, l *natslog.Log) string {
	t.Helper()
	epoch, err := inbox.BeginEpochAfter(t.Context(), l, time.Now(), l.Lost())
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// tellTale stores notices with bodies of about so many bytes.
func tellTale(t *testing.T, l *natslog.Log, count, size int) tale {
	t.Helper()
	s := tale{epoch: begin(t, l), count: count}
	padding := strings.Repeat("x", size)
	for at := 0; at < count; {
		var batch []inbox.Proposal
		for ; at < count && len(batch) < 100; at++ {
			subject := inbox.NoticeSubject(inbox.Everyone, fmt.Sprintf("%s-%d", s.epoch, at))
			e := inbox.Entry{Subject: subject, Epoch: s.epoch, Audience: inbox.Everyone, Rev: 1, At: time.Now(),
				Body: fmt.Appendf(nil, `{"type":"notice","notice":{"id":"%d","body":%q}}`, at, padding)}
			batch = append(batch, inbox.Proposal{Subject: subject, Data: e.Encode()})
		}
		for _, r := range l.Append(t.Context(), batch...) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if s.first == 0 {
				s.first = r.Seq
			}
		}
	}
	return s
}

// stored opens a log, stores a tale and closes it again.
func stored(t *testing.T, dir string, count, size int) tale {
	t.Helper()
	l, err := natslog.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, l)
	return tellTale(t, l, count, size)
}

// logFile is a file of the stream's messages.
func logFile(dir, name string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", "LOG", "msgs", name)
}

// logBlocks are the blocks of the log, in their order.
func logBlocks(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(logFile(dir, "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no blocks: %v", err)
	}
	slices.SortFunc(files, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
	return files
}

// copied copies a data directory.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64, bit byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err = f.ReadAt(b[:], at); err == nil {
		b[0] ^= bit
		_, err = f.WriteAt(b[:], at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// seenUpto is the cursor of a user without groups who has seen everything up to seq.
func seenUpto(epoch string, seq uint64) string {
	return inbox.Cursor{Epoch: epoch, Seq: seq, Groups: inbox.GroupsHash(nil)}.String()
}

// resume reads what follows a cursor to its end.
func resume(t *testing.T, v *inbox.View, cursor string) (gap inbox.GapReason, seqs []uint64) {
	t.Helper()
	r, err := v.Open("ann", nil, inbox.Start{Cursor: cursor})
	if err != nil {
		t.Error(err)
		return "", nil
	}
	defer r.Close()
	for {
		b, err := r.Read(t.Context(), 1000)
		if err != nil {
			t.Error(err)
			return gap, seqs
		}
		if b.Gap != nil && gap == "" {
			gap = b.Gap.Reason
		}
		for i := range b.Items {
			seqs = append(seqs, b.Items[i].Seq())
		}
		if len(b.Items) == 0 || !b.More {
			return gap, seqs
		}
	}
}

// follow makes a view of a log, loaded.
func follow(t *testing.T, l *natslog.Log) *inbox.View {
	t.Helper()
	v := inbox.NewView(l, inbox.ViewOptions{Window: 64 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = v.Run(ctx) }() // ends with the context
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-v.Ready():
	case <-time.After(limit):
		t.Fatal("the view was not loaded")
	}
	return v
}

// A store whose end is gone, as after a power failure: whoever has seen more than is
// left is told so, whatever the engine's index says; nobody else notices.
func TestACutEndIsToldToWhoSawMore(t *testing.T) {
	rng := damageSeed(t)
	whole := t.TempDir()
	first := stored(t, whole, 40, 60)
	second := stored(t, whole, 60, 200)
	for range 6 {
		dir := copied(t, whole)
		blocks := logBlocks(t, dir)
		block := blocks[len(blocks)-1]
		if err := os.Truncate(block, rng.Int64N(sizeOf(t, block))); err != nil {
			t.Fatal(err)
		}
		index := "with the index"
		if rng.IntN(2) == 0 {
			index = "without the index"
			if err := os.Remove(logFile(dir, "index.db")); err != nil {
				t.Fatal(err)
			}
		}
		l, err := natslog.Open(t.Context(), quiet(dir))
		if err != nil {
			t.Fatalf("%s: %v", index, err)
		}
		b, err := l.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left, _ := goOn(t, l)
		v := follow(t, l)
		var readers sync.WaitGroup
		for _, s := range []tale{first, second} {
			for _, seq := range []uint64{s.first, s.first + uint64(s.count/2), s.last()} {
				// Ends when there is nothing more. Who has seen what is lost is let wait
				// for it first, so all wait at once.
				readers.Go(func() {
					gap, got := resume(t, v, seenUpto(s.epoch, seq))
					if lost := seq > b.Last; lost != (gap == inbox.GapEpoch) {
						t.Errorf("%s, cut at %d: a reader at %d got the gap %q", index, b.Last, seq, gap)
					}
					if want := left.after(seq); seq <= b.Last && !slices.Equal(got, want) {
						t.Errorf("%s, cut at %d: a reader at %d got %v, want %v", index, b.Last, seq, got, want)
					}
				})
			}
		}
		readers.Wait()
	}
}

// notices are the sequences of those that there are.
type notices []uint64

func (n notices) after(seq uint64) (list []uint64) {
	for _, s := range n {
		if s > seq {
			list = append(list, s)
		}
	}
	return list
}

// goOn stores a further tale in an open log, and lists all notices then.
func goOn(t *testing.T, l *natslog.Log) (all notices, s tale) {
	t.Helper()
	t.Cleanup(func() { shut(t, l) })
	s = tellTale(t, l, 10, 50)
	err := l.Scan(t.Context(), inbox.Scan{}, func(m inbox.Message) error {
		if strings.HasPrefix(m.Subject, "notice.") {
			all = append(all, m.Seq)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, s
}

// Whatever bit of a message's file is another one, it is found.
func TestEveryFlippedBitOfMessagesIsFound(t *testing.T) {
	rng := damageSeed(t)
	dir := t.TempDir()
	stored(t, dir, 300, 100)
	l, err := natslog.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	// Without an id or an expectation a message has no header.
	for i := range 20 {
		e := inbox.Entry{Subject: inbox.TopicSubject("news"), Body: []byte(`{}`)}
		if r := l.Append(t.Context(), inbox.Proposal{Subject: e.Subject, Any: true, Data: e.Encode()})[0]; r.Err != nil {
			t.Fatal(i, r.Err)
		}
	}
	shut(t, l)
	block := logBlocks(t, dir)[0]
	check := func(what string) *filestore.Stream {
		t.Helper()
		r, err := natslog.Examine(t.Context(), quiet(dir), nil)
		if err != nil {
			t.Fatal(what, err)
		}
		return r.Stream(natslog.StreamName)
	}
	if s := check("whole"); len(s.Problems()) > 0 || s.Messages != 321 {
		t.Fatalf("a whole log has %d messages and %v", s.Messages, s.Problems())
	}
	size := sizeOf(t, block)
	for range 3000 {
		at, bit := rng.Int64N(size), byte(1)<<rng.IntN(8)
		flip(t, block, at, bit)
		if s := check("flipped"); len(s.Faults) == 0 && s.End == nil {
			t.Errorf("bit %#x at %d of %d is not missed", bit, at, size)
		}
		flip(t, block, at, bit)
	}
}

// Damage within the log is refused until the loss is accepted; then everything else is
// there, once, and everybody who has read is told.
func TestDamageWithinIsRefusedAndAcceptedOnce(t *testing.T) {
	rng := damageSeed(t)
	whole := t.TempDir()
	first := stored(t, whole, 400, 100)
	// What lies apart by more than the disk's interval no power failure explains:
	// the interval is made shorter for that.
	sharp := func(dir string) natslog.Options {
		o := quiet(dir)
		o.SyncAlways = true
		return o
	}
	for range 8 {
		dir := copied(t, whole)
		block := logBlocks(t, dir)[0]
		size := sizeOf(t, block)
		flip(t, block, size/10+rng.Int64N(size*7/10), 1<<rng.IntN(8))
		_, err := natslog.Open(t.Context(), sharp(dir))
		if !errors.Is(err, natslog.ErrDamaged) {
			t.Fatalf("a damaged log was opened with %v", err)
		}
		accept := sharp(dir)
		accept.AcceptLoss = true
		l, err := natslog.Open(t.Context(), accept)
		if err != nil {
			t.Fatal(err)
		}
		lost := l.Lost()
		if len(lost) != 1 || lost[0].Last-lost[0].First > 2 {
			t.Fatalf("one flipped bit lost %v", lost)
		}
		all, second := goOn(t, l)
		if want := first.count - int(lost[0].Last-lost[0].First+1) + second.count; len(all) != want {
			t.Errorf("%d notices are left, want %d", len(all), want)
		}
		v := follow(t, l)
		for _, seq := range []uint64{first.first, lost[0].First - 1, lost[0].Last, first.last()} {
			if gap, got := resume(t, v, seenUpto(first.epoch, seq)); gap != inbox.GapEpoch || len(got) != len(all) {
				t.Errorf("a reader at %d got the gap %q and %d of %d", seq, gap, len(got), len(all))
			}
		}
		if gap, got := resume(t, v, inbox.Earliest); gap != "" || !slices.Equal(got, []uint64(all)) {
			t.Errorf("a reader from the beginning got the gap %q and %d of %d", gap, len(got), len(all))
		}
		shut(t, l)
		again := open(t, sharp(dir))
		if len(again.Lost()) != 0 {
			t.Errorf("an accepted loss is a new one: %v", again.Lost())
		}
		begin(t, again)
		if gap, got := resume(t, follow(t, again), seenUpto(second.epoch, second.first-1)); gap != "" || len(got) != second.count {
			t.Errorf("after a restart a reader who knew of the loss got the gap %q and %d of %d", gap, len(got), second.count)
		}
		report := asideReport(t, dir)
		if s := report.Stream(natslog.StreamName); s == nil || len(s.Missing) != 1 {
			t.Errorf("the report that was put aside says %+v", report)
		}
	}
}

// asideReport reads the report in the only folder that was put aside.
func asideReport(t *testing.T, dir string) (r filestore.Report) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "damaged", "*", "report.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("reports put aside: %v, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}
