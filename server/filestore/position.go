package filestore

import "encoding/binary"

// A varints reads numbers one after the other, and is bad once there was none.
type varints struct {
	left []byte
	bad  bool
}

func (v *varints) next() uint64 {
	n, w := binary.Uvarint(v.left)
	if w <= 0 {
		v.bad = true
		return 0
	}
	v.left = v.left[w:]
	return n
}

func (v *varints) signed() {
	_, w := binary.Varint(v.left)
	if w <= 0 {
		v.bad = true
		return
	}
	v.left = v.left[w:]
}

// isPosition says whether a consumer can stand where its file says: it has
// acknowledged at most what was delivered, that is at most what there is, and what it
// has not lies in between. The file has no checksum, and one that says otherwise may
// take the engine's memory.
func (s *Stream) isPosition(state []byte) bool {
	const magic, version = 22, 2
	if len(state) == 0 {
		return true // it has not begun
	}
	if len(state) < 2 || state[0] != magic || state[1] != version {
		return false
	}
	v := &varints{left: state[2:]}
	// Acknowledged and delivered, each by the consumer's count and by the stream's.
	ackedOwn, acked, own, delivered := v.next(), v.next(), v.next(), v.next()
	if ackedOwn > own || acked > delivered || delivered > max(s.Last, s.Indexed) {
		return false
	}
	// Who was given nothing stands where he began; a follower may have been told of
	// what the leader passed over for him.
	if own == 0 && s.alone && acked != delivered || own > 0 && delivered == 0 {
		return false
	}
	pending := v.next()
	if pending > own-ackedOwn {
		return false
	}
	if pending > 0 {
		v.signed() // the time from which the others are counted
	}
	for range pending {
		seq, ownSeq := v.next(), v.next()
		v.signed()
		if v.bad || acked+seq > delivered || ackedOwn+ownSeq > own || seq == 0 {
			return false
		}
	}
	again := v.next()
	if again > delivered-acked {
		return false
	}
	for range again {
		if seq := v.next(); v.bad || acked+seq > delivered {
			return false
		}
		v.next()
	}
	return !v.bad && len(v.left) == 0
}
