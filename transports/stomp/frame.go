package stomp

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// A version of the protocol; 0 until it has been agreed on.
type version int32

const (
	v10 version = 1 + iota
	v11
	v12
)

// versions are those that are spoken, the best one first.
var versions = [...]struct {
	name string
	version
}{{"1.2", v12}, {"1.1", v11}, {"1.0", v10}}

func (v version) String() string {
	for _, known := range versions {
		if known.version == v {
			return known.name
		}
	}
	return ""
}

// A frame is what a client says at once.
type frame struct {
	command string
	headers []header
	body    []byte
	// answered: its receipt has been sent, or will be by somebody else.
	answered bool
}

type header struct{ name, value string }

// get is the header's value: the first one, where it is repeated.
func (f *frame) get(name string) (value string, found bool) {
	for i := range f.headers {
		if f.headers[i].name == name {
			return f.headers[i].value, true
		}
	}
	return "", false
}

// text is get for headers that may as well be empty.
func (f *frame) text(name string) string {
	value, _ := f.get(name)
	return value
}

// Limits of a frame, in bytes; of what stands before the body, all together.
const (
	maxHead    = 16 << 10
	maxBody    = 64 << 10
	maxHeaders = 64
)

// Errors of a parser: what came is no frame.
var (
	errHead    = errors.New("the headers of a frame are longer than 16384 bytes, or more than 64")
	errBody    = errors.New("the body of a frame is longer than 65536 bytes")
	errHeader  = errors.New("a header has no colon, or no name")
	errLength  = errors.New("content-length is no number")
	errNull    = errors.New("a frame does not end with NUL where its content-length says")
	errEarly   = errors.New("a frame ends within its headers")
	errEscapes = errors.New("a header has an escape sequence that does not exist")
)

// What a parser reads next.
type place int

const (
	between place = iota // frames: ends of lines are heart-beats
	command
	headers
	body
)

// A parser reads frames from a stream, in whatever pieces it comes. It keeps no
// memory between frames. What it returns an error for must not be read on.
type parser struct {
	version version // by which headers are read
	at      place
	frame   *frame
	line    []byte // the part of a line that has come
	head    int    // bytes of the head so far
	length  int    // of the body; -1 where NUL ends it
}

// next reads on. It returns a frame once there is a whole one; rest is what has
// not been looked at then.
func (p *parser) next(data []byte) (f *frame, rest []byte, err error) {
	for len(data) > 0 {
		switch p.at {
		case between:
			if data = bytes.TrimLeft(data, "\n\r\x00"); len(data) > 0 {
				p.at, p.frame, p.head = command, &frame{}, 0
			}
		case command, headers:
			var line []byte
			var whole bool
			if line, data, whole, err = p.readLine(data); err != nil || !whole {
				return nil, data, err
			}
			if err := p.take(line); err != nil {
				return nil, data, err
			}
		case body:
			var done bool
			if data, done, err = p.readBody(data); err != nil || done {
				f, p.frame, p.at = p.frame, nil, between
				return f, data, err
			}
		}
	}
	return nil, nil, nil
}

// readLine takes a line without its end, which is LF or CR LF.
func (p *parser) readLine(data []byte) (line, rest []byte, whole bool, err error) {
	n := bytes.IndexByte(data, '\n')
	part := data
	if n >= 0 {
		part = data[:n]
	}
	switch p.head += len(part) + 1; {
	case p.head > maxHead:
		return nil, nil, false, errHead
	case bytes.IndexByte(part, 0) >= 0:
		return nil, nil, false, errEarly
	case n < 0:
		p.head--
		p.line = append(p.line, part...)
		return nil, nil, false, nil
	case p.line != nil:
		part = append(p.line, part...)
		p.line = nil
	}
	return bytes.TrimSuffix(part, []byte{'\r'}), data[n+1:], true, nil
}

// take takes a line of the head.
func (p *parser) take(line []byte) (err error) {
	f := p.frame
	switch {
	case p.at == command:
		f.command, p.at = string(line), headers
		return nil
	case len(line) == 0:
		p.at = body
		p.length, err = f.length()
		return err
	case len(f.headers) == maxHeaders:
		return errHead
	}
	name, value, found := strings.Cut(string(line), ":")
	if !found || name == "" {
		return errHeader
	}
	// CONNECT is read before there is a version, and escapes nothing.
	if name, err = p.version.unescape(name); err != nil {
		return err
	}
	if value, err = p.version.unescape(value); err != nil {
		return err
	}
	f.headers = append(f.headers, header{name, value})
	return nil
}

// length is that of the body, or -1 where it is not told.
func (f *frame) length() (int, error) {
	text, told := f.get("content-length")
	if !told {
		return -1, nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > maxBody:
		return 0, errBody
	case err != nil:
		return 0, errLength
	}
	return int(n), nil
}

// readBody takes what there is of the body; done says that it has ended.
func (p *parser) readBody(data []byte) (rest []byte, done bool, err error) {
	f := p.frame
	n := p.length - len(f.body)
	if p.length < 0 {
		n = bytes.IndexByte(data, 0)
	}
	switch whole := n >= 0 && n < len(data); {
	case !whole && len(f.body)+len(data) > maxBody:
		return nil, false, errBody
	case !whole:
		f.body = append(f.body, data...)
		return nil, false, nil
	case len(f.body)+n > maxBody:
		return nil, false, errBody
	case data[n] != 0:
		return nil, false, errNull
	}
	f.body = append(f.body, data[:n]...)
	return data[n+1:], true, nil
}

// unescape reads the name or the value of a header. In 1.0 spaces around a value
// mean nothing.
func (v version) unescape(s string) (string, error) {
	if v == v10 {
		return strings.TrimSpace(s), nil
	}
	if v == 0 || strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", errEscapes
		}
		switch c := s[i]; {
		case c == 'n':
			b.WriteByte('\n')
		case c == 'c':
			b.WriteByte(':')
		case c == '\\':
			b.WriteByte('\\')
		case c == 'r' && v == v12:
			b.WriteByte('\r')
		default:
			return "", errEscapes
		}
	}
	return b.String(), nil
}

// appendHeader writes a header with its end of line. In 1.0, which cannot escape, an
// end of line within the value becomes a space.
func (v version) appendHeader(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':')
	for i := range len(value) {
		b = v.appendEscaped(b, value[i])
	}
	return append(b, '\n')
}

func (v version) appendEscaped(b []byte, c byte) []byte {
	switch {
	case c == 0, v < v11 && c == '\n', v < v12 && c == '\r':
		return append(b, ' ')
	case v < v11:
		return append(b, c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == ':':
		return append(b, '\\', 'c')
	case c == '\\':
		return append(b, '\\', '\\')
	}
	return append(b, c)
}

// openLength and closeLength write the length of a body that is not known yet: its
// header and the end of the head, then, after the body, the number and NUL.
func openLength(b []byte) (to []byte, at int) {
	b = append(b, "content-length:"...)
	return append(b, room+"\n\n"...), len(b)
}

const room = "0000000000"

func closeLength(b []byte, at int) []byte {
	var digits [len(room)]byte
	n := strconv.AppendInt(digits[:0], int64(len(b)-at-len(room)-len("\n\n")), 10)
	copy(b[at:], n)
	copy(b[at+len(n):], b[at+len(room):])
	return append(b[:len(b)-len(room)+len(n)], 0)
}
