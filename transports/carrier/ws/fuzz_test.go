package ws_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"tocsin/transports/carrier/ws"
)

// Whatever bytes follow the handshake, the server ends the connection in good time
// once the client has sent them all, and what it passes on is no longer than what
// was sent.
func FuzzFrames(f *testing.F) {
	f.Add(frame(fin|opText, `{"op":"pong"}`))
	f.Add(append(frame(opText, "a"), frame(fin|opMore, "b")...))
	f.Add(frame(fin|opText, "\xff"))
	f.Add(frame(fin|opBinary, "x"))
	f.Add(frame(fin|opPing, strings.Repeat("p", 126)))
	f.Add(frame(fin|opClose, "\x03"))
	f.Add(frame(fin|opClose, "\x03\xe8bye"))
	f.Add([]byte{fin | opText, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{fin | 0x70 | opText, 1, 'x'})
	w := newWorld(f, ws.Options{}, nil)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		if len(bytes) > 4000 {
			return
		}
		conn, err := net.Dial("tcp", w.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("the handshake was answered with %+v, %v", resp, err)
		}
		k := wait(t, "the conversation", w.talks)
		_, _ = conn.Write(bytes) // it may have ended it already
		_ = conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it does not end: %v", err)
		}
		wait(t, "the end", k.gone)
		<-w.served
		got := 0
		for len(k.got) > 0 {
			got += len(<-k.got)
		}
		if got > len(bytes) {
			t.Errorf("%d bytes are passed on of %d", got, len(bytes))
		}
	})
}
