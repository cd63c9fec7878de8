package filestore

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Range is a range of sequences, both ends included.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Len is how many there are.
func (r Range) Len() uint64 { return r.Last - r.First + 1 }

// A Fault is a place where messages are damaged or missing.
type Fault struct {
	// File is the block's name, Offset where in it the fault begins and Bytes how
	// many are of no use; 0 where messages are missing between two that are whole.
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	Why    string `json:"why"`
	// After and Before are the sequences of the whole messages around it; 0 for none.
	After  uint64 `json:"after"`
	Before uint64 `json:"before"`
	// Time is when the message before it was stored, by the engine's clock.
	Time time.Time `json:"time"`

	block int // which of Stream.Blocks
}

// A Block is one file of messages.
type Block struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	damage []span
}

// States of the index, which the engine writes when it stops and now and then, and
// makes anew when it does not fit.
const (
	IndexNone    = "none"
	IndexDamaged = "damaged"
	IndexWhole   = "whole"
)

// A Stream is what was found of one stream.
type Stream struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	// Config says what is wrong with its configuration; empty for nothing.
	Config string `json:"config,omitempty"`
	// Closed says why its messages cannot be looked into; empty if they were.
	Closed   string  `json:"closed,omitempty"`
	Blocks   []Block `json:"-"`
	Bytes    int64   `json:"bytes"`
	Messages uint64  `json:"messages"` // whole ones, those deleted since included
	First    uint64  `json:"first"`
	Last     uint64  `json:"last"` // 0 for an empty stream
	// LastTime is when the last message was stored.
	LastTime time.Time `json:"last_time"`
	Index    string    `json:"index"`
	// Indexed is the last sequence that the index knows.
	Indexed uint64 `json:"indexed,omitempty"`
	// Faults are what is wrong within the stream, and End what is wrong at its end, as
	// a power failure leaves it: from there on nothing counts. nil is a whole end.
	Faults []Fault `json:"faults,omitempty"`
	End    *Fault  `json:"end,omitempty"`
	// Beyond is how many whole messages lie beyond such an end.
	Beyond uint64 `json:"beyond,omitempty"`
	// Missing are the sequences that no message has although messages around them
	// do. It is for the log alone, in which there are none.
	Missing []Range `json:"missing,omitempty"`
	// Consumers names those whose files are damaged.
	Consumers []string `json:"consumers,omitempty"`

	// Unread is how many bytes of the oldest messages were not looked at.
	Unread int64 `json:"unread,omitempty"`

	dir     string
	isLog   bool
	alone   bool               // no other server stores it
	latest  [checksumSize]byte // the checksum of the last record that the index knows
	useless []string           // files of consumers that cannot be right
}

// A Message is one stored message. Its bytes are valid until the function that was
// given it returns.
type Message struct {
	Account string
	Stream  string
	Subject []byte
	Seq     uint64
	Time    time.Time
	Data    []byte
}

// streamConfig is what is needed of a stream's configuration.
type streamConfig struct {
	Name        string   `json:"name"`
	Subjects    []string `json:"subjects"`
	Storage     string   `json:"storage"`
	Compression string   `json:"compression"`
	Replicas    int      `json:"num_replicas"`
}

// readConfig reads the stream's configuration and checks it. One that is damaged is
// none; the engine's streams are made with it again.
func (s *Stream) readConfig() (c streamConfig) {
	text, err := os.ReadFile(filepath.Join(s.dir, "meta.inf"))
	if err == nil {
		err = checkSum(text, filepath.Join(s.dir, "meta.sum"), s.Name)
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		s.Config = err.Error()
		return streamConfig{}
	}
	return c
}

// checkSum compares the text with the checksum that a file holds.
func checkSum(text []byte, path, name string) error {
	want, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := digest(name)
	_, _ = d.Write(text)
	if got := hex.EncodeToString(d.Sum(nil)); got != string(want) {
		return errors.New("its checksum is another one")
	}
	return nil
}

// readIndex reads how far the index reaches.
func (s *Stream) readIndex() {
	s.Index = IndexNone
	text, err := os.ReadFile(s.path("index.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	s.Index = IndexDamaged
	const magic, end = 11, 8
	if err != nil || len(text) < 32 || text[0] != magic {
		return
	}
	d := digest(s.Name)
	_, _ = d.Write(text[:len(text)-end])
	if string(d.Sum(nil)) != string(text[len(text)-end:]) {
		return
	}
	copy(s.latest[:], text[len(text)-2*end:])
	// Messages, bytes, the first sequence and its time, the last sequence.
	at := 2
	for field := range 5 {
		n, w := binary.Uvarint(text[at:])
		if w <= 0 {
			return
		}
		if field == 4 {
			s.Index, s.Indexed = IndexWhole, n
		}
		at += w
	}
}

func (s *Stream) path(file string) string { return filepath.Join(s.dir, "msgs", file) }

// listBlocks finds the stream's blocks, in their order.
func (s *Stream) listBlocks() ([]uint32, error) {
	files, err := os.ReadDir(filepath.Join(s.dir, "msgs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the blocks of %s: %w", s.Name, err)
	}
	var numbers []uint32
	for _, f := range files {
		text, isBlock := strings.CutSuffix(f.Name(), ".blk")
		if n, err := strconv.ParseUint(text, 10, 32); isBlock && err == nil {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// oldest are how many of the first blocks need not be read for the newest bytes of the
// stream to be: none, unless the index is that of the stream's very end, and no block
// seems to be missing. Otherwise the engine would read, and mend, all of them.
func (s *Stream) oldest(numbers []uint32, newest int64) (skip int, err error) {
	if newest == 0 || s.Index != IndexWhole || len(numbers) == 0 {
		return 0, nil
	}
	sizes := make([]int64, len(numbers))
	for i, number := range numbers {
		info, err := os.Stat(s.path(fmt.Sprintf("%d.blk", number)))
		if err != nil {
			return 0, err
		}
		sizes[i] = info.Size()
		if s.isLog && number != numbers[0]+uint32(i) {
			return 0, nil
		}
	}
	last := len(numbers) - 1
	if sizes[last] < checksumSize {
		return 0, nil
	}
	f, err := os.Open(s.path(fmt.Sprintf("%d.blk", numbers[last])))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	var end [checksumSize]byte
	if _, err := f.ReadAt(end[:], sizes[last]-checksumSize); err != nil || end != s.latest {
		return 0, err
	}
	for skip = last; skip > 0 && newest > sizes[skip]; skip-- {
		newest -= sizes[skip]
	}
	for _, size := range sizes[:skip] {
		s.Unread += size
	}
	return skip, nil
}

// checkConsumers looks at the files of those who read the stream.
func (s *Stream) checkConsumers() error {
	folders, err := os.ReadDir(filepath.Join(s.dir, "obs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list the consumers of %s: %w", s.Name, err)
	}
	for _, f := range folders {
		dir := filepath.Join(s.dir, "obs", f.Name())
		text, err := os.ReadFile(filepath.Join(dir, "meta.inf"))
		if err == nil {
			err = checkSum(text, filepath.Join(dir, "meta.sum"), s.Name+"/"+f.Name())
		}
		if err != nil {
			s.Consumers = append(s.Consumers, f.Name()+": its configuration: "+err.Error())
			s.useless = append(s.useless, filepath.Join(dir, "meta.inf"), filepath.Join(dir, "meta.sum"))
		} else if state, err := os.ReadFile(filepath.Join(dir, "o.dat")); err == nil && !s.isPosition(state) {
			s.Consumers = append(s.Consumers, f.Name()+": where it stands cannot be")
			s.useless = append(s.useless, filepath.Join(dir, "o.dat"))
		}
	}
	return nil
}
