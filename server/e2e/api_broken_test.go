package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
)

// What is wrong with the bytes of a request is its sender's fault at every door: no
// internal error, nothing that the document does not declare, and the connection is not
// left hanging.
func TestBrokenBodiesAreTheirSendersFault(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--body-timeout", "2s")
	broken := map[string]string{
		"a chunk that is none": "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\nzz\r\n",
		"a chunk too short":    "Transfer-Encoding: chunked\r\n\r\nff\r\n{}",
		"no last chunk":        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
		"too few bytes":        "Content-Length: 100\r\n\r\n{\"device\"",
		"a trailer of noise":   "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\x00\x01: \xff\r\n\r\n",
	}
	done := make(chan error)
	n := 0
	for _, o := range openAPI().operations {
		if len(o.bodies) == 0 || strings.HasPrefix(o.path, "/endpoint-websocket") {
			continue
		}
		for what, rest := range broken {
			n++
			go func() { // ends with its answer
				err := sendBroken(s, o, rest)
				if err != nil {
					err = fmt.Errorf("%s: %s: %w", o, what, err)
				}
				done <- err
			}()
		}
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n < 50 {
		t.Errorf("only %d requests were sent", n)
	}
}

// sendBroken sends a request whose header ends, and whose body is, rest; then it says
// that no more will come.
func sendBroken(s *server, o *operation, rest string) error {
	conn, err := net.Dial("tcp", s.http)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	path := strings.NewReplacer("{id}", "x", "{token}", "x").Replace(o.path)
	token := s.root()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nConnection: close\r\n", o.method, path, s.http, s.http)
	for media := range o.bodies {
		head += "Content-Type: " + media + "\r\n"
		break
	}
	if isForm(o) {
		head += "Cookie: " + auth.SessionCookie(token, time.Now().Add(time.Hour), false).Name + "=" + token + "\r\n"
	} else {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	if _, err := io.WriteString(conn, head+rest); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: o.method})
	if err != nil {
		return nil // the server takes a closed half for a client that has gone
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return openAPI().check(o.method, path, answer{status: resp.StatusCode, header: resp.Header, body: string(text)})
}
