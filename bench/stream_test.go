package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What a WebSocket carries is found wherever the reads cut it, and a ping is
// answered with its payload.
func TestFramesAreReadInAnyPieces(t *testing.T) {
	long, longer := strings.Repeat("x", 300), strings.Repeat("y", 70_000)
	wire := slices.Concat(
		[]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
		[]byte{0x81, 5}, []byte("hello"),
		[]byte{0x89, 2}, []byte("hi"),
		[]byte{0x81, 126, 300 >> 8, 300 & 0xFF}, []byte(long),
		[]byte{0x81, 0},
		[]byte{0x89, 0},
		[]byte{0x81, 127, 0, 0, 0, 0, 0, 70_000 >> 16, 70_000 >> 8 & 0xFF, 70_000 & 0xFF}, []byte(longer),
	)
	start := append([]byte{0x81, 0x80 | 14, 0, 0, 0, 0}, `{"op":"start"}`...)
	want := slices.Concat(start, []byte{0x8A, 0x82, 0, 0, 0, 0, 'h', 'i'}, []byte{0x8A, 0x80, 0, 0, 0, 0})
	for _, size := range []int{1, 2, 7, 1000, len(wire)} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := &stream{fd: pair[0], dialect: dialects[overWS]}
		var seen bytes.Buffer
		for piece := range slices.Chunk(wire, size) {
			if err := s.take(piece, func(b []byte) { seen.Write(b) }); err != nil {
				t.Fatal(err)
			}
		}
		if seen.String() != "hello"+long+longer {
			t.Errorf("in pieces of %d: %d bytes were seen", size, seen.Len())
		}
		said := make([]byte, 1000)
		if n, err := unix.Read(pair[1], said); err != nil || !bytes.Equal(said[:n], want) {
			t.Errorf("in pieces of %d: the client said %q, %v", size, said[:max(n, 0)], err)
		}
		_, _ = unix.Close(pair[0]), unix.Close(pair[1])
	}
}

func TestAnEndedOrRefusedStreamIsAnError(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 401 Unauthorized\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
	} {
		if err := (&stream{dialect: dialects[overWS]}).take([]byte(text), func([]byte) {}); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	s := &stream{dialect: dialects[overWS], answered: true}
	if err := s.take([]byte{0x88, 2, 0x03, 0xE9}, func([]byte) {}); err == nil {
		t.Error("a close frame was passed over")
	}
}
