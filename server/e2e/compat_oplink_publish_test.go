package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

func TestManyObjectsOverThePublishersSocket(t *testing.T) {
	t.Parallel()
	s := crewServer(t, "--compat-publish-from", "127.0.0.0/8,::1/128")
	base := transporttest.Nginx(t, []string{s.http})
	reader := dialOplink(t, base).enter(s.token("1001", "inbox"))
	p := transporttest.MustDial(t, base, "/v1/mesh/ws")
	const n = 5000
	began := time.Now()
	sent := make(chan struct{})
	go func() { // ends when all are sent, or with the connection
		defer close(sent)
		for i := range n {
			switch i % 3 {
			case 0:
				p.Send(fmt.Sprintf(`{"c":"user:1001","d":"frame %d"}`, i))
			case 1:
				p.Send(fmt.Sprintf(`{"m":"mesh.publish","p":{"c":"user:1001","d":"frame %d"},"i":%d}`, i, i))
			default:
				p.Send(fmt.Sprintf(`{"c":"user:1001","d":"frame %d","id":"id-%d","i":"%d"}`, i, i, i))
			}
		}
		p.Send("ping")
		p.Send(`{"c":"nobody","d":"x","i":-1}`)
		p.Send(`{"c":"user:1001","d":"frame 2","id":"id-2"}`)
	}()
	type answer struct {
		E *struct {
			C int
			M string
		}
		R struct {
			S         int
			Duplicate bool
		}
		I json.RawMessage
	}
	read := func() (a answer) {
		t.Helper()
		if err := json.Unmarshal([]byte(p.Read()), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for i := range n {
		want := [...]string{"", strconv.Itoa(i), strconv.Quote(strconv.Itoa(i))}[i%3]
		if a := read(); a.E != nil || a.R.S != 1 || a.R.Duplicate || string(a.I) != want {
			t.Fatalf("the answer to %d: %+v", i, a)
		}
	}
	took := time.Since(began)
	p.Want("pong")
	if a := read(); a.E == nil || a.E.C != 422 || string(a.I) != "-1" {
		t.Errorf("%+v", a)
	}
	if a := read(); a.E != nil || !a.R.Duplicate {
		t.Errorf("%+v", a)
	}
	for i := range n {
		reader.Want(fmt.Sprintf("frame %d", i))
	}
	t.Logf("%d objects in %v, %.0f/s", n, took, n/took.Seconds())
	<-sent
	p.SendBinary([]byte("x"))
	p.WantEnd(1003)
}
