package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// A transport is one way to read the inbox.
type transport string

// Kinds of Tocsin and of the floor. What peers speak stands in peers.go.
const (
	overSSE   transport = "sse"
	overWS    transport = "ws"
	overPoll  transport = "poll"  // held; the next one goes out when it is answered
	overShort transport = "short" // the same without waiting
	overTCP   transport = "tcp"   // the floor's: bytes and nothing else
)

// webSocket are the headers of a handshake. The key only proves that no cache
// answered, of which there is none here.
const webSocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// A dialect is how a kind of reader is spoken with.
type dialect struct {
	status   string // how the answer begins; "" where there is no HTTP
	framed   bool   // what follows are frames of a WebSocket
	greeting string // said when the delivery begins; "" where the answer's head says so
	quiet    bool   // nobody says when the delivery begins
	// first is what the client says when the head has come; nil is nothing.
	first func(cursor string) string
	// again is the request that follows an answer, where each answer is whole.
	again func(opening, head, body []byte) []byte
}

var dialects = map[transport]*dialect{
	overSSE: {status: "HTTP/1.1 200 ", greeting: "event: hello"},
	overWS: {status: "HTTP/1.1 101 ", framed: true, greeting: `"op":"hello"`, first: func(cursor string) string {
		if cursor == "" {
			return `{"op":"start"}`
		}
		return fmt.Sprintf(`{"op":"start","cursor":"%s"}`, cursor)
	}},
	overPoll:  {status: "HTTP/1.1 200 ", quiet: true, again: withCursor},
	overShort: {status: "HTTP/1.1 200 ", quiet: true, again: func(opening, _, _ []byte) []byte { return opening }},
	overTCP:   {greeting: "hello\n"},
}

// withCursor is the opening of a poll with the cursor of the last answer.
func withCursor(opening, _, body []byte) []byte {
	_, cursor, _ := bytes.Cut(body, []byte(`"cursor":"`))
	cursor, _, _ = bytes.Cut(cursor, []byte(`"`))
	begin, rest, _ := bytes.Cut(opening, []byte("cursor="))
	_, end, _ := bytes.Cut(rest, []byte(" "))
	return slices.Concat(begin, []byte("cursor="), cursor, []byte(" "), end)
}

// A stream is one connection that reads. It belongs to the readers' thread,
// except for delivered.
type stream struct {
	*dialect
	fd      int
	cursor  string
	opening []byte // of those that ask again

	answered bool   // the head of the answer has come
	greeted  bool   // the greeting has come
	rest     []byte // the answer's head so far; later what may begin a mark
	frame    frame

	delivered int // marks of the rung; guarded by readers.mu
}

// errClosed: the server ended a WebSocket.
var errClosed = errors.New("the server closed the connection")

// take goes through what has come, and gives the text of it to see.
func (s *stream) take(b []byte, see func([]byte)) error {
	if s.again != nil {
		return s.answers(b, see)
	}
	if !s.answered && s.status != "" {
		s.rest = append(s.rest, b...)
		head, body, whole := bytes.Cut(s.rest, []byte("\r\n\r\n"))
		if !whole {
			return nil
		}
		if !bytes.HasPrefix(head, []byte(s.status)) {
			return fmt.Errorf("refused: %.200s", s.rest)
		}
		s.rest, b = nil, body
		if s.first != nil {
			if err := s.send(opText, []byte(s.first(s.cursor))); err != nil {
				return err
			}
		}
	}
	s.answered = true
	if s.framed {
		return s.frames(b, see)
	}
	see(b)
	return nil
}

// answers goes through answers that are whole, and asks again after each.
func (s *stream) answers(b []byte, see func([]byte)) error {
	s.rest = append(s.rest, b...)
	head, body, whole := bytes.Cut(s.rest, []byte("\r\n\r\n"))
	if !whole {
		return nil
	}
	if !bytes.HasPrefix(head, []byte(s.status)) {
		return fmt.Errorf("refused: %.200s", s.rest)
	}
	_, length, _ := bytes.Cut(head, []byte("Content-Length: "))
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	if err != nil {
		return fmt.Errorf("an answer without its length: %.200s", head)
	}
	if len(body) < n {
		return nil
	}
	next := s.again(s.opening, head, body)
	answer := s.rest
	s.rest, s.answered = nil, true
	see(answer)
	s.rest = answer[:0]
	_, err = unix.Write(s.fd, next)
	return err
}

// Opcodes of frames (RFC 6455 §5.2).
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// A frame is what is known of the one that is coming in. It is not collected:
// with thousands of streams that would be most of the memory.
type frame struct {
	head    []byte // until it is whole
	op      byte   // of the frame whose payload comes
	left    int    // of its payload, in bytes
	control []byte // the payload of a ping, at most 125 bytes
}

// frames goes through the frames of a WebSocket and answers its pings.
func (s *stream) frames(b []byte, see func([]byte)) error {
	f := &s.frame
	for len(b) > 0 {
		if f.left == 0 {
			f.head = append(f.head, b[0])
			b = b[1:]
			size, whole := payload(f.head)
			if !whole {
				continue
			}
			f.op, f.left = f.head[0]&0xF, size
			f.head, f.control = f.head[:0], f.control[:0]
		}
		part := b[:min(f.left, len(b))]
		b, f.left = b[len(part):], f.left-len(part)
		switch {
		case f.op == opClose:
			return errClosed
		case f.op < opClose:
			see(part)
		default:
			f.control = append(f.control, part...)
		}
		if f.op == opPing && f.left == 0 {
			if err := s.send(opPong, f.control); err != nil {
				return err
			}
		}
	}
	return nil
}

// payload is the size that a frame's head tells, once the head is whole. What a
// server sends is not masked.
func payload(head []byte) (size int, whole bool) {
	if len(head) < 2 {
		return 0, false
	}
	switch n := int(head[1] & 0x7F); {
	case n == 126 && len(head) == 4:
		return int(binary.BigEndian.Uint16(head[2:])), true
	case n == 127 && len(head) == 10:
		return int(binary.BigEndian.Uint64(head[2:])), true
	default:
		return n, n < 126
	}
}

// send writes a frame of at most 125 bytes, which the socket's buffer takes
// whole. It is masked, as a client's must be, with a key of zeros: the mask
// protects proxies, of which there is none here.
func (s *stream) send(op byte, text []byte) error {
	if len(text) > 125 {
		return fmt.Errorf("a frame of %d bytes", len(text))
	}
	b := append([]byte{0x80 | op, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
	_, err := unix.Write(s.fd, b)
	return err
}
