package ws_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tocsin/transports/carrier/ws"
)

// join puts frames one after the other.
func join(frames ...[]byte) []byte { return slices.Concat(frames...) }

// closing is a client's close frame.
func closing(code int, reason string) []byte {
	return frame(fin|opClose, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// wantFrame wants this frame next.
func (c *raw) wantFrame(op byte, payload string) {
	c.t.Helper()
	if got, text, err := c.next(); err != nil || got != op || string(text) != payload {
		c.t.Fatalf("op %d with %.40q, %v; want %d with %.40q", got, text, err, op, payload)
	}
}

// Messages may come in fragments, with control frames between them (RFC 6455, 5.4
// and 5.5).
func TestFragmentsAndControlFrames(t *testing.T) {
	w := newWorld(t, ws.Options{}, func(c *ws.Conn, text string) { _ = c.Send([]byte(text)) })
	c, _ := w.raw()
	for _, test := range []struct {
		name  string
		send  []byte
		pongs []string
		text  string
	}{
		{"empty", frame(fin|opText, ""), nil, ""},
		{"empty fragments", join(frame(opText, ""), frame(opMore, ""), frame(fin|opMore, "")), nil, ""},
		{"two fragments", join(frame(opText, "a"), frame(fin|opMore, "b")), nil, "ab"},
		{"a character in pieces", join(frame(opText, "\xf0\x9f"), frame(opMore, "\x9a"), frame(fin|opMore, "\xa8")), nil, "\U0001f6a8"},
		{"a ping first", join(frame(fin|opPing, "p"), frame(fin|opText, "a")), []string{"p"}, "a"},
		{"pings between fragments", join(frame(opText, "a"), frame(fin|opPing, "1"), frame(opMore, "b"), frame(fin|opPing, ""), frame(fin|opMore, "c")),
			[]string{"1", ""}, "abc"},
		{"a pong that nobody asked for", join(frame(opText, "a"), frame(fin|opPong, "x"), frame(fin|opMore, "b")), nil, "ab"},
		{"the longest ping", join(frame(fin|opPing, strings.Repeat("p", 125)), frame(fin|opText, "a")), []string{strings.Repeat("p", 125)}, "a"},
		{"many fragments", join(frame(opText, "x"), slices.Repeat(frame(opMore, "x"), 1000), frame(fin|opMore, "")), nil, strings.Repeat("x", 1001)},
	} {
		c.write(test.send)
		for _, pong := range test.pongs {
			c.wantFrame(opPong, pong)
		}
		op, text, err := c.next()
		if err != nil || op != opText || string(text) != test.text {
			t.Fatalf("%s: op %d with %.40q, %v", test.name, op, text, err)
		}
	}
}

func TestWhatIsNoFrame(t *testing.T) {
	w := newWorld(t, ws.Options{}, func(c *ws.Conn, text string) { _ = c.Send([]byte(text)) })
	for name, send := range map[string][]byte{
		"a ping that is too long":          frame(fin|opPing, strings.Repeat("p", 126)),
		"a ping in fragments":              frame(opPing, "p"),
		"a close in fragments":             frame(opClose, "\x03\xe8"),
		"a continuation of nothing":        frame(fin|opMore, "x"),
		"a message within another":         join(frame(opText, "a"), frame(fin|opText, "b")),
		"an unknown control frame":         frame(fin|11, ""),
		"all reserved bits":                frame(fin|0x70|opText, "x"),
		"a reserved bit of a ping":         frame(fin|0x20|opPing, "x"),
		"an unknown op between fragments":  join(frame(opText, "a"), frame(fin|3, "b")),
		"a length that is written at ease": append([]byte{fin | opPing, 0x80 | 126, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...),
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			c, k := w.raw()
			c.write(send)
			c.wantClose(1002)
			c.Close()
			wait(t, "the end", k.gone)
		})
	}
}

// A client's close is answered with its own code, or with 1002 where there is no
// such code (RFC 6455, 7.4).
func TestClientThatCloses(t *testing.T) {
	w := newWorld(t, ws.Options{}, func(c *ws.Conn, text string) { _ = c.Send([]byte(text)) })
	answers := map[string]struct {
		send []byte
		code int // 0 is none
	}{
		"without a code":        {frame(fin|opClose, ""), 0},
		"with half a code":      {frame(fin|opClose, "\x03"), 0}, // which is none
		"with a bad reason":     {closing(1000, "\xce\xba\xff"), 1002},
		"with a long reason":    {closing(1000, strings.Repeat("r", 123)), 1000},
		"with too long a one":   {closing(1000, strings.Repeat("r", 124)), 1002},
		"and goes on":           {join(closing(1000, ""), frame(fin|opText, "late"), frame(fin|opPing, "late")), 1000},
		"in the midst of words": {join(frame(opText, "a"), closing(1000, "")), 1000},
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4413, 4999} {
		answers[fmt.Sprint(code)] = struct {
			send []byte
			code int
		}{closing(code, "bye"), code}
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535} {
		answers[fmt.Sprint(code)] = struct {
			send []byte
			code int
		}{closing(code, ""), 1002}
	}
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			w.t = t
			c, k := w.raw()
			c.write(test.send)
			if test.code == 0 {
				c.wantFrame(opClose, "")
			} else {
				c.wantClose(test.code)
			}
			c.Close()
			wait(t, "the end", k.gone)
		})
	}
}
