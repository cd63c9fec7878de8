package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options say what is examined, and how it is judged.
type Options struct {
	// Log is the name of the stream in which every sequence from the first to the
	// last has a message; empty for none.
	Log string
	// Stored, unless nil, says whether the log may hold these bytes.
	Stored func(data []byte) bool
	// Recent is how far from the end of a stream, by the times of its messages, a
	// fault may begin to count as one at the end: a power failure leaves such where
	// the disk is not flushed for every message. 0 is for one that is: there only
	// what nothing follows is the end.
	Recent time.Duration
	// Newest, unless 0, is about how many bytes of each stream that was closed well
	// are looked at, the newest; of others it is everything.
	Newest int64
	// Known, unless nil, is asked once the log was read for sequences that are known
	// to be missing in it: they are no fault.
	Known func() []Range
	// Each, unless nil, is given every message that was not deleted, in the order of
	// each stream, streams in the order of their names. An error of it ends the
	// examination and is returned as it is. Messages that a later record deletes are
	// given, too.
	Each func(Message) error
}

// A Report is what was found in a directory.
type Report struct {
	Dir     string   `json:"dir"`
	Streams []Stream `json:"streams"`
	// Bytes is how much was read.
	Bytes int64         `json:"bytes"`
	Took  time.Duration `json:"-"`
}

// Stream is what was found of the stream of that name in the account that keeps the
// log; nil if there is none.
func (r *Report) Stream(name string) *Stream {
	for i := range r.Streams {
		if s := &r.Streams[i]; s.Name == name && s.Account == Account {
			return s
		}
	}
	return nil
}

// Account is the engine's account that keeps the log.
const Account = "$G"

// system is the account of the engine itself, whose streams are none of ours.
const system = "$SYS"

// Examine reads everything in a data directory and changes nothing. A directory that
// is not there, or empty, has no streams. Errors: those of the file system, those of
// Options.Each, the context's.
func Examine(ctx context.Context, dir string, o Options) (*Report, error) {
	begun := time.Now()
	r := &Report{Dir: dir}
	root := filepath.Join(dir, "jetstream")
	accounts, err := folders(root)
	if err != nil {
		return nil, err
	}
	for _, account := range accounts {
		if account == system {
			continue
		}
		names, err := folders(filepath.Join(root, account, "streams"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.HasPrefix(name, ".") {
				continue // deleted, but for its files
			}
			s := Stream{Account: account, Name: name, dir: filepath.Join(root, account, "streams", name)}
			if err := s.examine(ctx, &o); err != nil {
				return nil, err
			}
			r.Streams = append(r.Streams, s)
			r.Bytes += s.Bytes
		}
	}
	r.Took = time.Since(begun)
	return r, nil
}

// folders lists the folders in a directory by name; none where there is no directory.
func folders(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var names []string
	for _, f := range list {
		if f.IsDir() {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

// An examiner goes through the messages of one stream.
type examiner struct {
	*Stream
	o     *Options
	block int             // which one is being read
	holes []Fault         // between whole messages; After and Before are around them
	gone  map[uint64]bool // of the log alone: what was deleted
	err   error
}

func (s *Stream) examine(ctx context.Context, o *Options) error {
	conf := s.readConfig()
	s.readIndex()
	if _, err := os.Stat(filepath.Join(s.dir, "meta.key")); err == nil || conf.Compression != "" && conf.Compression != "none" {
		s.Closed = "it is encrypted or compressed"
		return nil
	}
	s.isLog = o.Log == s.Name && s.Account == Account
	s.alone = conf.Replicas == 1
	x := &examiner{Stream: s, o: o, gone: map[uint64]bool{}}
	in := &blockReader{name: s.Name, subjects: conf.Subjects}
	if x.isLog {
		in.begins = o.Stored
	}
	numbers, err := s.listBlocks()
	if err != nil {
		return err
	}
	skip, err := s.oldest(numbers, o.Newest)
	if err != nil {
		return fmt.Errorf("look at the blocks of %s: %w", s.Name, err)
	}
	var buf []byte
	for _, number := range numbers[skip:] {
		if err := ctx.Err(); err != nil {
			return err
		}
		file := fmt.Sprintf("%d.blk", number)
		if buf, err = readInto(buf, s.path(file)); err != nil {
			return fmt.Errorf("read a block of %s: %w", s.Name, err)
		}
		x.block = len(s.Blocks)
		s.Blocks = append(s.Blocks, Block{File: file, Bytes: int64(len(buf))})
		s.Bytes += int64(len(buf))
		in.block(number)
		in.scan(buf, x.whole, x.damaged)
		if x.err != nil {
			return x.err
		}
	}
	x.judge()
	return s.checkConsumers()
}

// readInto reads a file into the room that buf has, or more.
func readInto(buf []byte, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return buf, err
	}
	if int64(cap(buf)) < info.Size() {
		buf = make([]byte, info.Size())
	}
	buf = buf[:info.Size()]
	for at := 0; at < len(buf); {
		n, err := f.Read(buf[at:])
		if err != nil {
			return buf, fmt.Errorf("%s: %w", path, err)
		}
		at += n
	}
	return buf, nil
}

// whole takes the next whole record.
func (x *examiner) whole(r record) {
	switch {
	case r.kind == kindTombstone:
		x.delete(r.seq)
		return
	case r.seq <= x.Last || r.seq == 0:
		return // it has been there before, as the engine sees it
	}
	if x.isLog && x.Last > 0 && r.seq != x.Last+1 {
		x.hole(int64(r.from))
	}
	follow(x.Faults, r.seq)
	follow(x.holes, r.seq)
	x.Last, x.LastTime = r.seq, time.Unix(0, r.nanos)
	if r.kind == kindErased {
		x.delete(r.seq)
		return
	}
	if x.First == 0 {
		x.First = r.seq
	}
	x.Messages++
	if x.o.Each != nil && x.err == nil {
		x.err = x.o.Each(Message{Account: x.Account, Stream: x.Name, Subject: r.subject, Seq: r.seq, Time: x.LastTime, Data: r.data})
	}
}

func (x *examiner) delete(seq uint64) {
	if x.isLog {
		x.gone[seq] = true
	}
}

// follow says of the newest faults what comes after them.
func follow(list []Fault, seq uint64) {
	for i := len(list) - 1; i >= 0 && list[i].Before == 0; i-- {
		list[i].Before = seq
	}
}

// damaged takes a span that holds no whole record.
func (x *examiner) damaged(s span) {
	b := &x.Blocks[x.block]
	b.damage = append(b.damage, s)
	x.Faults = append(x.Faults, Fault{
		File: b.File, Offset: int64(s.from), Bytes: int64(s.to - s.from), Why: s.why,
		After: x.Last, Time: x.LastTime, block: x.block,
	})
	if x.isLog {
		x.hole(int64(s.from))
	}
}

// hole notes that the next whole message may not follow the last one.
func (x *examiner) hole(offset int64) {
	if n := len(x.holes); n > 0 && x.holes[n-1].Before == 0 {
		return // it goes on
	}
	x.holes = append(x.holes, Fault{
		File: x.Blocks[x.block].File, Offset: offset, Why: "messages are missing", After: x.Last, Time: x.LastTime, block: x.block,
	})
}
