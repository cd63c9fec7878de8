package filestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/minio/highwayhash"
)

// The form of a message in the engine's blocks (nats-server, filestore.go): length,
// sequence, time and length of the subject; the subject, the length of the header and
// the header if there is one, the message; and a checksum of all but the lengths. What
// the lengths say is judged by what they lead to.
const (
	fixedSize    = 22 // before the subject
	checksumSize = 8
	leastSize    = fixedSize + checksumSize
	mostSize     = 32 << 20
	// Bits of the length and of the sequence.
	bitHeader    = 1 << 31
	bitErased    = 1 << 63
	bitTombstone = 1 << 62
)

// kind says what a record is.
type kind uint8

const (
	kindMessage   kind = iota
	kindErased         // was a message once
	kindTombstone      // says that the message of this sequence is gone
)

// A record is one record of a block. Its bytes share the block's memory.
type record struct {
	from, to int // where in the block
	kind     kind
	seq      uint64
	nanos    int64 // since 1970, by the engine's clock
	subject  []byte
	data     []byte
}

// A blockReader reads the blocks of one stream.
type blockReader struct {
	name     string
	subjects []string // patterns of the stream's subjects; none is any
	begins   func(data []byte) bool
	sum      hash.Hash64
	room     [8]byte
}

// digest is the engine's checksum under a name.
func digest(name string) hash.Hash64 {
	key := sha256.Sum256([]byte(name))
	d, err := highwayhash.New64(key[:])
	if err != nil {
		panic(err) // a key of another length than SHA-256 gives
	}
	return d
}

// block gets ready for the block of that number: each has a checksum of its own.
func (r *blockReader) block(number uint32) { r.sum = digest(fmt.Sprintf("%s-%d", r.name, number)) }

// at reads the record that begins at from; why says what is wrong with it, and is
// empty if nothing is. to is where the next one begins if the length can be believed.
func (r *blockReader) at(buf []byte, from int) (rec record, why string) {
	left := buf[from:]
	if len(left) < leastSize {
		return rec, "it ends within a message"
	}
	le := binary.LittleEndian
	length, subject := le.Uint32(left), int(le.Uint16(left[20:]))
	hasHeader := length&bitHeader != 0
	size := int(length &^ bitHeader)
	before := fixedSize + subject
	if hasHeader {
		before += 4
	}
	switch {
	case size < leastSize || size > mostSize || before > size-checksumSize:
		return rec, "no message begins here"
	case size > len(left):
		return rec, "it ends within a message"
	}
	body := left[fixedSize : size-checksumSize]
	rec = record{from: from, to: from + size, seq: le.Uint64(left[4:]), nanos: int64(le.Uint64(left[12:])), subject: body[:subject], data: body[subject:]}
	r.sum.Reset()
	_, _ = r.sum.Write(left[4:20])
	_, _ = r.sum.Write(rec.subject)
	if hasHeader {
		rec.data = rec.data[4:]
	}
	_, _ = r.sum.Write(rec.data)
	if !bytes.Equal(r.sum.Sum(r.room[:0]), left[size-checksumSize:size]) {
		return rec, "a message has another checksum"
	}
	if hasHeader {
		head := int(le.Uint32(body[subject:]))
		if head > len(rec.data) || !isHeader(rec.data[:head]) {
			return rec, "a message's header has another length"
		}
		rec.data = rec.data[head:]
	}
	return r.judge(rec)
}

// judge looks at what the checksum does not vouch for: where the subject ends.
func (r *blockReader) judge(rec record) (record, string) {
	switch {
	case rec.seq&bitTombstone != 0:
		rec.kind, rec.seq = kindTombstone, rec.seq&^bitTombstone
	case rec.seq&bitErased != 0 || rec.seq == 0:
		rec.kind, rec.seq = kindErased, rec.seq&^uint64(bitErased)
	case !r.mine(rec.subject):
		return rec, "a message has a subject of another length"
	case r.begins != nil && !r.begins(rec.data):
		return rec, "a message is none that is stored here"
	}
	return rec, ""
}

// isHeader says whether b is a whole header, and nothing but it.
func isHeader(b []byte) bool {
	return bytes.HasPrefix(b, []byte("NATS/1.0")) && bytes.Index(b, []byte("\r\n\r\n")) == len(b)-4
}

// mine says whether a subject belongs into the stream.
func (r *blockReader) mine(subject []byte) bool {
	for _, c := range subject {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return len(subject) > 0 && (len(r.subjects) == 0 ||
		slices.ContainsFunc(r.subjects, func(pattern string) bool { return matches(pattern, string(subject)) }))
}

// matches says whether the subject fits the engine's pattern, in which * stands for
// one token and > for all that are left.
func matches(pattern, subject string) bool {
	for {
		want, wants, more := strings.Cut(pattern, ".")
		if want == ">" {
			return subject != ""
		}
		token, tokens, further := strings.Cut(subject, ".")
		if want != "*" && want != token || more != further || token == "" {
			return false
		}
		if !more {
			return true
		}
		pattern, subject = wants, tokens
	}
}

// A span is a part of a block that holds no whole record.
type span struct {
	from, to int
	why      string
}

// scan gives every whole record of a block in its order, and each damaged span
// before what follows it.
func (r *blockReader) scan(buf []byte, each func(record), damaged func(span)) {
	for at := 0; at < len(buf); {
		rec, why := r.at(buf, at)
		if why == "" {
			each(rec)
			at = rec.to
			continue
		}
		next := r.next(buf, at, rec.to)
		damaged(span{at, next, why})
		at = next
	}
}

// next is where the next whole record begins after a damaged one at from; its end
// as its own length has it is tried first.
func (r *blockReader) next(buf []byte, from, guess int) int {
	if guess > from && guess < len(buf) {
		if _, why := r.at(buf, guess); why == "" {
			return guess
		}
	}
	for at := from + 1; at+leastSize <= len(buf); at++ {
		if _, why := r.at(buf, at); why == "" {
			return at
		}
	}
	return len(buf)
}
