package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"syscall"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// Keys rotate without a restart: while both stand in the file tokens of both are
// taken; what a key that is gone has signed is refused, its tickets too, and what it
// opened ends, over every transport.
func TestKeysRotateWithoutARestart(t *testing.T) {
	t.Parallel()
	s := prepareServer(t)
	old := newMint(t, s.secret)
	next := newMint(t, s.secret)
	path := old.file(s.dir)
	s.flags = []string{"--jwt-pem-file", path}
	s.start()
	rs := func(f *mint, user string) string {
		return f.raw("RS256", `{"alg":"RS256"}`, f.payload(claims{"sub": user, "groups": nil}), f.rsa)
	}
	status := func(token string, want int) {
		t.Helper()
		for end := time.Now().Add(patience); ; pause(t.Context(), 50*time.Millisecond) {
			a := s.request("GET", "/v1/counts", token, "")
			if a.status == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d %s, want %d", a.status, a.body, want)
			}
		}
	}
	before, after := rs(old, "ann"), rs(next, "bob")
	status(before, 200)
	status(after, 401)
	writeFile(t, path, append(bytes.Clone(old.rsaPEM), next.rsaPEM...))
	status(after, 200)
	status(before, 200)

	var ticket struct{ Ticket string }
	s.want(s.request("POST", "/v1/ticket", before, ""), 200).json(t, &ticket)
	open := func(token string) *transporttest.Socket {
		c := transporttest.MustDial(t, s.url(), "/v1/inbox/ws", "Sec-WebSocket-Protocol", "tocsin.v1.json", "Authorization", "Bearer "+token)
		c.Send(`{"op":"start"}`)
		c.Read()
		return c
	}
	gone, byTicket, kept := open(before), transporttest.MustDial(t, s.url(), "/v1/inbox/ws?ticket="+ticket.Ticket), open(after)
	byTicket.Send(`{"op":"start"}`)
	byTicket.Read()
	stomp := s.stompWith(before)
	s.want(s.request("POST", "/v1/ticket", before, ""), 200).json(t, &ticket)
	held := make(chan answer, 1)
	go func() { // ends with the poll
		a, _ := request(t.Context(), "GET", s.url()+"/v1/inbox?wait=50", before, "")
		held <- a
	}()
	s.awaitPolls(1)

	writeFile(t, path, next.rsaPEM)
	gone.WantEnd(4401)
	byTicket.WantEnd(4401)
	stomp.WantEnd(4401)
	if a := <-held; a.status != 401 {
		t.Errorf("the poll that waited: %d %s", a.status, a.body)
	}
	status(before, 401)
	if a := s.request("GET", "/v1/counts?ticket="+ticket.Ticket, "", ""); a.status != 401 {
		t.Errorf("a ticket of a key that is gone: %d %s", a.status, a.body)
	}
	kept.Send(`{"op":"read","ref":1,"upto":"latest"}`)
	if text := kept.Read(); !bytes.Contains([]byte(text), []byte(`"ok"`)) {
		t.Errorf("%s", text)
	}

	// A file that is no good changes nothing, and is complained of.
	writeFile(t, path, []byte("nonsense"))
	s.awaitLog("of no use")
	status(after, 200)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// The secret, too, and a file that comes back.
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, append(next.pem(small.Public()), next.rsaPEM...))
	root := s.root()
	status(root, 200)
	s.secret = []byte("the next secret, of 32 bytes and more")
	writeFile(t, s.secretFile(), s.secret)
	status(s.root(), 200)
	status(root, 401)
	status(after, 200)
	s.readsAgainWhenTold(t)
}

// readsAgainWhenTold changes the secret so that its file looks as before.
func (s *server) readsAgainWhenTold(t *testing.T) {
	t.Helper()
	before := s.root()
	was, err := os.Stat(s.secretFile())
	if err != nil {
		t.Fatal(err)
	}
	s.secret = bytes.Replace(s.secret, []byte("the next"), []byte("the last"), 1)
	err = os.WriteFile(s.secretFile(), s.secret, 0o600) // in place
	if err == nil {
		err = os.Chtimes(s.secretFile(), was.ModTime(), was.ModTime())
	}
	if err == nil {
		err = s.cmd.Process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); s.request("GET", "/v1/counts", s.root(), "").status != 200; pause(t.Context(), 20*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the secret was not read again")
		}
	}
	s.want(s.request("GET", "/v1/counts", before, ""), 401)
}

// stompWith is a session of STOMP with a token.
func (s *server) stompWith(token string) *transporttest.Socket {
	s.t.Helper()
	c := transporttest.MustDial(s.t, s.url(), "/stomp", "Sec-WebSocket-Protocol", "v12.stomp")
	c.Send("CONNECT\naccept-version:1.2\npasscode:" + token + "\n\n\x00")
	c.Read()
	return c
}
