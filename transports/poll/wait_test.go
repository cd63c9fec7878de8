package poll

import (
	"net"
	"testing"
	"time"

	"tocsin/transports"
)

// A slowDeadline is a connection on which an end of reading is slow to be set.
type slowDeadline struct {
	net.Conn
	setting func()
}

func (c *slowDeadline) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		c.setting()
	}
	return c.Conn.SetReadDeadline(t)
}

// Whoever sends his next request with the answer before his eyes gets the
// connection for it as it was: nothing of the poll before may end its reading.
func TestAConnectionIsGivenAwayWhole(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	given := make(chan []byte, 1)
	k := &kept{next: func(_ net.Conn, read []byte) { given <- read }, gone: func(err error) { t.Error(err) }, written: make(chan struct{})}
	k.conn = &slowDeadline{server, func() {
		select {
		case <-given:
			t.Error("it was given away before the poll was through with it")
		case <-time.After(50 * time.Millisecond):
		}
	}}
	k.wire = transports.NewWire(server, time.Second)
	// Ends with the poll.
	go k.watch()
	if _, err := client.Write([]byte("G")); err != nil { // has been read once this returns
		t.Fatal(err)
	}
	k.out(answer{}, nil)
	select {
	case read := <-given:
		if string(read) != "G" {
			t.Errorf("with %q", read)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it is not given away")
	}
	// And can be read from.
	go func() { _, _ = client.Write([]byte("E")) }() // ends with the pipe
	b := make([]byte, 1)
	if _, err := server.Read(b); err != nil || b[0] != 'E' {
		t.Errorf("%q, %v", b, err)
	}
}
