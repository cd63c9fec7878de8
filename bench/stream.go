package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"

	"golang.org/x/sys/unix"
)

// A transport is one way to read the inbox.
type transport string

const (
	overSSE  transport = "sse"
	overWS   transport = "ws"
	overPoll transport = "poll" // one held poll; it ends with its answer
)

// request is what opens the transport behind a cursor; "" is the newest one.
func (t transport) request(host, token, cursor string) []byte {
	path, more := "/v1/inbox/"+string(t)+"?", ""
	switch t {
	case overSSE:
		more = "Accept: text/event-stream\r\n"
	case overWS:
		// The key only proves that no cache answered, of which there is none here.
		more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tocsin.v1.json\r\n"
	case overPoll:
		path = "/v1/inbox?wait=55&"
	}
	if cursor != "" && t != overWS { // a WebSocket names it when it starts
		path += "cursor=" + url.QueryEscape(cursor)
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", path, host, token, more)
}

// greeting is what the server says when it has begun to deliver. A held poll says
// nothing at all.
func (t transport) greeting() []byte {
	if t == overWS {
		return []byte(`"op":"hello"`)
	}
	return []byte("event: hello")
}

// A stream is one connection that reads. It belongs to the readers' thread,
// except for delivered.
type stream struct {
	fd     int
	kind   transport
	cursor string

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
	if !s.answered {
		s.rest = append(s.rest, b...)
		head, body, whole := bytes.Cut(s.rest, []byte("\r\n\r\n"))
		if !whole {
			return nil
		}
		want := "HTTP/1.1 200 "
		if s.kind == overWS {
			want = "HTTP/1.1 101 "
		}
		if !bytes.HasPrefix(head, []byte(want)) {
			return fmt.Errorf("refused: %.200s", s.rest)
		}
		s.answered, s.rest, b = true, nil, body
		if s.kind == overWS {
			if err := s.start(); err != nil {
				return err
			}
		}
	}
	if s.kind == overWS {
		return s.frames(b, see)
	}
	if len(b) > 0 {
		see(b)
	}
	return nil
}

// start begins the conversation of a WebSocket.
func (s *stream) start() error {
	if s.cursor == "" {
		return s.send(opText, []byte(`{"op":"start"}`))
	}
	return s.send(opText, fmt.Appendf(nil, `{"op":"start","cursor":"%s"}`, s.cursor))
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
