package filestore

import (
	"encoding/binary"
	"testing"
)

// recorded is a record as the engine writes it.
func recorded(r *blockReader, seq uint64, subject, data string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(leastSize+len(subject)+len(data)))
	b = le.AppendUint64(b, seq)
	b = le.AppendUint64(b, 1_795_284_000_000_000_000)
	b = le.AppendUint16(b, uint16(len(subject)))
	b = append(append(b, subject...), data...)
	r.sum.Reset()
	_, _ = r.sum.Write(b[4:20])
	_, _ = r.sum.Write(b[fixedSize:])
	return r.sum.Sum(b)
}

// Whatever is in a block, records and damaged spans follow each other without a hole
// from its beginning to its end, and a record is within it.
func FuzzBlock(f *testing.F) {
	r := &blockReader{name: "LOG", subjects: []string{"alarm.>", "sys.*"}}
	r.block(1)
	one, two := recorded(r, 1, "sys.epoch", "a"), recorded(r, 2, "alarm.d.t._", "text")
	f.Add(append(one, two...))
	f.Add(append(one[:len(one)-3:len(one)-3], two...))
	f.Add(recorded(r, 3|bitTombstone, "", ""))
	f.Add(recorded(r, 4, "elsewhere", "x"))
	f.Add(append([]byte{30, 0, 0, 0x80}, two[4:]...))
	f.Fuzz(func(t *testing.T, block []byte) {
		r := &blockReader{name: "LOG", subjects: []string{"alarm.>", "sys.*"}}
		r.block(1)
		end, whole := 0, 0
		r.scan(block, func(rec record) {
			if rec.from != end || rec.to < rec.from+leastSize || rec.to > len(block) || len(rec.subject)+len(rec.data) > rec.to-rec.from-leastSize {
				t.Errorf("a record of %d to %d after %d: %d and %d bytes", rec.from, rec.to, end, len(rec.subject), len(rec.data))
			}
			end, whole = rec.to, whole+1
		}, func(s span) {
			if s.from != end || s.to <= s.from || s.to > len(block) || s.why == "" {
				t.Errorf("damaged from %d to %d after %d: %q", s.from, s.to, end, s.why)
			}
			end = s.to
		})
		if end != len(block) {
			t.Errorf("%d of %d bytes are accounted for", end, len(block))
		}
		if _, why := r.at(block, 0); len(block) > 0 && why == "" && whole == 0 {
			t.Error("the first record is passed over")
		}
	})
}
