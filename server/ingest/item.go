package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tocsin/server/alarm"
)

// An Item is one event of a body, or what should have been one.
type Item struct {
	Event alarm.Event
	// Err says why it is none: alarm.ErrMalformed or an inbox.FieldError.
	Err error
	// Raw is its part of the body.
	Raw []byte
}

// checked says whether the event is within the bounds of the model.
func checked(e alarm.Event, raw []byte) Item {
	return Item{Event: e, Err: e.Check(), Raw: raw}
}

// maxValueBytes bounds one attribute, so that a long text does not cost all
// others.
const maxValueBytes = 1024

// An attrs collects the attributes of an event within the model's bounds: a long
// value is cut at a rune, and what does not fit is left out and counted in the
// attribute left_out. What comes first has the better chance.
type attrs struct {
	m     map[string]string
	bytes int
	left  int
}

// room is kept for left_out.
const room = len("left_out") + 10

func (a *attrs) add(name, value string) {
	if name == "" || value == "" {
		return
	}
	if _, taken := a.m[name]; taken {
		return
	}
	value = cut(value, maxValueBytes)
	n := len(name) + len(value)
	if len(a.m)+1 >= alarm.MaxAttrs || a.bytes+n+room > alarm.MaxAttrsBytes {
		a.left++
		return
	}
	if a.m == nil {
		a.m = map[string]string{}
	}
	a.m[name] = value
	a.bytes += n
}

func (a *attrs) all() map[string]string {
	if a.left > 0 {
		if a.m == nil {
			a.m = map[string]string{}
		}
		a.m["left_out"] = strconv.Itoa(a.left)
	}
	return a.m
}

// cut shortens s to at most n bytes, at a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// fit brings a name of another system into so many characters. What is longer
// ends with a hash of the whole, so that different names stay different.
func fit(s string, chars int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) <= chars {
		return s
	}
	runes := []rune(s)
	return string(runes[:chars-hashed-1]) + "-" + digest(s)[:hashed]
}

// hashed is how many characters of a hash stand for the rest of a name.
const hashed = 12

// typeName brings a name of another system into the characters of a type: what
// may not stand in it becomes an underscore.
func typeName(s string) string {
	s = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.ContainsRune("_.:-", c) {
			return c
		}
		return '_'
	}, s)
	return fit(s, alarm.MaxTypeBytes)
}

// digest is a hash of texts that cannot run into each other, as 32 hexadecimal
// digits.
func digest(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// stamp writes a time for a digest; one that was not given is empty.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
