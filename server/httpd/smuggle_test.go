package httpd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A poll that waits takes its connection from net/http, and with it what has come
// already. The body that a poll may have is not the next request: behind a proxy that
// would be answered to somebody else.
func TestTheBodyOfAPollIsNotTheNextRequest(t *testing.T) {
	w := newWorld(t, nil)
	inner := "GET /v1/transports HTTP/1.1\r\nHost: h\r\n\r\n"
	for what, rest := range map[string]string{
		"with a length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(inner), inner),
		"in chunks":     fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(inner), inner),
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err = fmt.Fprintf(conn, "GET /v1/inbox?wait=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n%s",
			token(t, "ada", "inbox", time.Minute), rest)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), `"entries":[]`) || !resp.Close {
			t.Errorf("%s: %d %s, close %v, %v", what, resp.StatusCode, body, resp.Close, err)
		}
		if more, _ := io.ReadAll(in); len(more) > 0 {
			t.Errorf("%s: the body was answered:\n%s", what, more)
		}
		_ = conn.Close()
	}
}
