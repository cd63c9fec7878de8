package presence

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame is one message of the feed: what has become of a node's sessions since
// the one before. It is stored as a version and, deflated, the fields in their
// order; ids and positions as the difference to the one before, so that thousands
// of sessions that move together cost next to nothing.
type frame struct {
	run, node string
	stated    []statement
	moved     []move
	ended     []uint64 // ids, rising
}

// A statement says all of a session. Each is repeated within keyEvery, so that a
// reader can begin anywhere.
type statement struct {
	id              uint64 // rising
	user, transport string
	since           int64 // Unix milliseconds
	groups          []string
	stretch
}

// A move says how far a session that was stated before has come.
type move struct {
	id uint64 // rising
	at uint64
}

const (
	frameVersion = 1
	// maxFrame bounds what is inflated of a message, in bytes.
	maxFrame = 64 << 20
)

var errFrame = errors.New("not a message of the evidence")

func (f *frame) empty() bool { return len(f.stated)+len(f.moved)+len(f.ended) == 0 }

// A packer writes frames; it is kept, since what deflates is large.
type packer struct {
	plain []byte
	flate *flate.Writer
}

func (p *packer) uint(v uint64) { p.plain = binary.AppendUvarint(p.plain, v) }

func (p *packer) string(s string) {
	p.uint(uint64(len(s)))
	p.plain = append(p.plain, s...)
}

func (p *packer) pack(f *frame) ([]byte, error) {
	p.plain = p.plain[:0]
	p.string(f.run)
	p.string(f.node)
	p.uint(uint64(len(f.stated)))
	id := uint64(0)
	for i := range f.stated {
		s := &f.stated[i]
		p.uint(s.id - id)
		id = s.id
		p.string(s.user)
		p.string(s.transport)
		p.plain = binary.AppendVarint(p.plain, s.since)
		p.uint(uint64(len(s.groups)))
		for _, g := range s.groups {
			p.string(g)
		}
		p.uint(s.from)
		p.uint(s.snapshot)
		p.uint(s.at)
	}
	p.uint(uint64(len(f.moved)))
	id = 0
	at := uint64(0)
	for _, m := range f.moved {
		p.uint(m.id - id)
		p.plain = binary.AppendVarint(p.plain, int64(m.at-at))
		id, at = m.id, m.at
	}
	p.uint(uint64(len(f.ended)))
	id = 0
	for _, e := range f.ended {
		p.uint(e - id)
		id = e
	}
	out := bytes.NewBuffer([]byte{frameVersion})
	if p.flate == nil {
		p.flate, _ = flate.NewWriter(out, flate.BestSpeed) // the level is one
	} else {
		p.flate.Reset(out)
	}
	if _, err := p.flate.Write(p.plain); err != nil {
		return nil, err
	}
	if err := p.flate.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// An unpacker reads frames.
type unpacker struct {
	rest  []byte
	bad   bool
	flate io.ReadCloser
}

func (u *unpacker) uint() uint64 {
	v, n := binary.Uvarint(u.rest)
	if n <= 0 {
		u.bad, u.rest = true, nil
		return 0
	}
	u.rest = u.rest[n:]
	return v
}

func (u *unpacker) int() int64 {
	v, n := binary.Varint(u.rest)
	if n <= 0 {
		u.bad, u.rest = true, nil
		return 0
	}
	u.rest = u.rest[n:]
	return v
}

// count is a length, which cannot be more than there are bytes.
func (u *unpacker) count() int {
	n := u.uint()
	if n > uint64(len(u.rest)) {
		u.bad, u.rest = true, nil
		return 0
	}
	return int(n)
}

func (u *unpacker) string() string {
	n := u.count()
	s := string(u.rest[:n])
	u.rest = u.rest[n:]
	return s
}

func (u *unpacker) unpack(data []byte) (*frame, error) {
	if len(data) < 1 || data[0] != frameVersion {
		return nil, fmt.Errorf("%w: of another version", errFrame)
	}
	in := bytes.NewReader(data[1:])
	if u.flate == nil {
		u.flate = flate.NewReader(in)
	} else if err := u.flate.(flate.Resetter).Reset(in, nil); err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(u.flate, maxFrame))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	u.rest, u.bad = plain, false
	f := &frame{run: u.string(), node: u.string()}
	id := uint64(0)
	for range u.count() {
		s := statement{}
		id += u.uint()
		s.id, s.user, s.transport, s.since = id, u.string(), u.string(), u.int()
		for range u.count() {
			s.groups = append(s.groups, u.string())
		}
		s.from, s.snapshot, s.at = u.uint(), u.uint(), u.uint()
		f.stated = append(f.stated, s)
	}
	id = 0
	at := uint64(0)
	for range u.count() {
		id += u.uint()
		at += uint64(u.int())
		f.moved = append(f.moved, move{id, at})
	}
	id = 0
	for range u.count() {
		id += u.uint()
		f.ended = append(f.ended, id)
	}
	if u.bad || len(u.rest) > 0 {
		return nil, errFrame
	}
	return f, nil
}
