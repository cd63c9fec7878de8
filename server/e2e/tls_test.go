package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// An authority makes certificates for the loopback.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert, a.key = a.make(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pool.AddCert(a.cert)
	return a
}

// make completes a certificate, which signs itself if there is no authority yet.
func (a *authority) make(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

// files writes a server's certificate of this number.
func (a *authority) files(dir string, number int64) (cert, key string) {
	a.t.Helper()
	c, k := a.make(&x509.Certificate{SerialNumber: big.NewInt(number), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writeFile(a.t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	writeFile(a.t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	return cert, key
}

// client speaks HTTP of this version; it has connections of its own.
func (a *authority) client(version int) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool}, ForceAttemptHTTP2: version == 2}
	if version == 1 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// A secured is a server that speaks TLS.
type secured struct {
	*server
	*authority
	ada string
}

func newSecured(t *testing.T, flags ...string) *secured {
	t.Helper()
	s := &secured{server: prepareServer(t), authority: newAuthority(t)}
	cert, key := s.files(s.dir, 100)
	s.flags = append([]string{"--tls-cert-file", cert, "--tls-key-file", key, "--fold", "0"}, flags...)
	s.start()
	s.ada = s.token("ada", "inbox publish", "unassigned")
	return s
}

func (s *secured) base() string { return "https://" + s.http }

// send sends a request with the client, and header pairs.
func (s *secured) send(c *http.Client, method, path, body string, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.server.t.Context(), method, s.base()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.ada)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Del(header[i]); header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return c.Do(r)
}

// read is send up to the end of the answer.
func (s *secured) read(c *http.Client, method, path, body string, header ...string) (*http.Response, string) {
	s.server.t.Helper()
	resp, err := s.send(c, method, path, body, header...)
	if err != nil {
		s.server.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.server.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(text)
}

func (s *secured) raise(c *http.Client, message string) {
	s.server.t.Helper()
	if resp, text := s.read(c, "POST", "/v1/alarms", fmt.Sprintf(`{"device":"d","type":"t","qualifier":%q,"severity":"major","message":%q}`, message, message)); resp.StatusCode != 202 {
		s.server.t.Fatalf("%d %s", resp.StatusCode, text)
	}
}

// A line reader gives the lines of a stream.
type lineReader struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Scanner
}

func (s *secured) stream(c *http.Client, version int) *lineReader {
	s.server.t.Helper()
	resp, err := s.send(c, "GET", "/v1/inbox/sse", "")
	if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != version {
		s.server.t.Fatalf("%+v, %v", resp, err)
	}
	s.server.t.Cleanup(func() { _ = resp.Body.Close() })
	l := &lineReader{s.server.t, resp, bufio.NewScanner(resp.Body)}
	l.until("event: hello")
	return l
}

func (l *lineReader) until(part string) {
	l.t.Helper()
	for l.in.Scan() {
		if strings.Contains(l.in.Text(), part) {
			return
		}
	}
	l.t.Fatalf("the stream ended before %q: %v", part, l.in.Err())
}

// Streams and polls over HTTP/2 live as long as others, however little is said: the
// times that bound one writing do not bound the silence between two.
func TestHTTP2CarriesStreamsAndPolls(t *testing.T) {
	t.Parallel()
	s := newSecured(t, "--ping-interval", "1s", "--write-timeout", "500ms", "--answer-timeout", "700ms", "--body-timeout", "800ms", "--drain", "1s", "--linger", "0s")
	c := s.client(2)
	l := s.stream(c, 2)
	for range 3 {
		l.until("event: ping")
	}
	s.raise(c, "after a silence")
	l.until("after a silence")
	told := make(chan string, 1)
	go func() { // ends with the answer
		_, text := s.read(c, "GET", "/v1/inbox?wait=30", "")
		told <- text
	}()
	s.awaitPolls(1)
	s.raise(c, "while it waited")
	if text := <-told; !strings.Contains(text, "while it waited") {
		t.Errorf("%s", text)
	}
	l.until("while it waited")
	// An endless upload, which is silent for longer than the same times.
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.base()+"/v1/ingest/lines", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.ada)
	r.Header.Set("Content-Type", "application/x-ndjson")
	go func() { _, _ = io.WriteString(out, "{\"device\":\"u\",\"type\":\"a\",\"severity\":\"major\"}\n") }() // ends when it is read
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := &lineReader{t, resp, bufio.NewScanner(resp.Body)}
	lines.until(`"line":1`)
	go func() { // ends when it is read
		_, _ = io.WriteString(out, "{\"device\":\"u\",\"type\":\"b\",\"severity\":\"major\"}\n")
		_ = out.Close()
	}()
	lines.until(`"line":2`)
	lines.until(`"end":true`)
	// And the end is told.
	go s.signal(15) // ends with the process
	l.until("event: bye")
	l.until(`"drain"`)
}

// A connection whose client is gone without a word ends, with whatever is on it.
func TestHTTP2EndsWhoIsGone(t *testing.T) {
	s := newSecured(t, "--dead-after", "1500ms", "--ping-interval", "1s")
	conn, err := tls.Dial("tcp", s.http, &tls.Config{RootCAs: s.pool, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// What a client begins with, and not a word more: no answer to any ping.
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // less than an idle connection has
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection goes on: %v", err)
	}
	// One that answers lives on, though nothing else is said.
	c := s.client(2)
	l := s.stream(c, 2)
	for range 3 {
		l.until("event: ping")
	}
	s.raise(c, "still there")
	l.until("still there")
}

// awaitPolls waits until so many long polls are held.
func (s *server) awaitPolls(n int) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; pause(s.t.Context(), 10*time.Millisecond) {
		a, err := request(s.t.Context(), "GET", "http://"+s.ops+"/metrics", "", "")
		if err == nil && strings.Contains(a.body, fmt.Sprintf("tocsin_connections{transport=\"longpoll\"} %d\n", n)) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("no %d long polls: %v", n, err)
		}
	}
}

// Over HTTP/1.1 and TLS, too, a poll that waits costs no connection, and the server
// knows on the next request that it is https.
func TestTLSCarriesEverythingElse(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	c := s.client(1)
	l := s.stream(c, 1)
	poll := s.client(1)
	for round := range 3 {
		message := fmt.Sprint("round ", round)
		told := make(chan string, 1)
		go func() { // ends with the answer
			_, text := s.read(poll, "GET", "/v1/inbox?wait=30", "")
			told <- text
		}()
		s.awaitPolls(1)
		s.raise(c, message)
		if text := <-told; !strings.Contains(text, message) {
			t.Errorf("%s", text)
		}
		l.until(message)
	}
	for origin, status := range map[string]int{s.base(): 303, "http://" + s.http: 403} {
		reused := false
		trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		r, err := http.NewRequestWithContext(trace, "POST", s.base()+"/inbox/login", strings.NewReader(url.Values{"token": {s.ada}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		resp, err := poll.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != status || !reused {
			t.Errorf("%s: %d on a connection used before: %v", origin, resp.StatusCode, reused)
		}
		if cookies := resp.Cookies(); status == 303 && (len(cookies) != 1 || !cookies[0].Secure) {
			t.Errorf("the cookie %v", cookies)
		}
	}
	d := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: s.pool}, Subprotocols: []string{"tocsin.v1.json"}}
	conn, _, err := d.DialContext(t.Context(), "wss://"+s.http+"/v1/inbox/ws", http.Header{"Authorization": {"Bearer " + s.ada}, "Origin": {s.base()}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"op":"start","cursor":"earliest"}`))
	for told := false; !told; {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, text, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		told = strings.Contains(string(text), "round 2")
	}
	if a, err := request(t.Context(), "GET", "http://"+s.http+"/v1/transports", "", ""); err == nil && a.status != 400 {
		t.Errorf("plain HTTP gets %d %s", a.status, a.body)
	}
	old := &tls.Config{RootCAs: s.pool, MaxVersion: tls.VersionTLS11} //nolint:gosec // it is to be refused
	if conn, err := tls.Dial("tcp", s.http, old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// serial is the number of the certificate that a new connection is shown.
func (s *secured) serial() int64 {
	s.server.t.Helper()
	conn, err := tls.Dial("tcp", s.http, &tls.Config{RootCAs: s.pool})
	if err != nil {
		s.server.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// A certificate that changes is taken without a restart, and without the end of any
// connection; one that is broken is not taken.
func TestACertificateIsReplacedWhileServing(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	streams := []*lineReader{s.stream(s.client(1), 1), s.stream(s.client(2), 2)}
	if got := s.serial(); got != 100 {
		t.Fatalf("the certificate %d", got)
	}
	cert, _ := s.files(s.dir, 200)
	s.awaitSerial(200)
	writeFile(t, cert, []byte("no certificate\n"))
	s.awaitLog("of no use")
	if got := s.serial(); got != 200 {
		t.Errorf("the certificate %d", got)
	}
	s.files(s.dir, 300)
	s.awaitSerial(300)
	s.raise(s.client(2), "all the time")
	for _, l := range streams {
		l.until("all the time")
	}
}

func (s *secured) awaitSerial(want int64) {
	s.server.t.Helper()
	for end := time.Now().Add(patience); s.serial() != want; pause(s.server.t.Context(), 50*time.Millisecond) {
		if time.Now().After(end) {
			s.server.t.Fatalf("the certificate is %d, want %d", s.serial(), want)
		}
	}
}

// awaitLog waits until the server has said it.
func (s *server) awaitLog(part string) {
	s.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(s.log.String(), part); pause(s.t.Context(), 20*time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%q is not in the log: %s", part, s.log)
		}
	}
}
