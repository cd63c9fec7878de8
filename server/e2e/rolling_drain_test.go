package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A drain is what a node was seen to do from when it was told to stop.
type drain struct {
	unready time.Duration // until /readyz said so
	refused time.Duration // until a connection was refused first
	ended   time.Duration // until the process had ended
	polls   []int         // status of short polls meanwhile
	sent    []int         // of publishing
}

// watchDrain tells a node to stop and looks at what it does.
func watchDrain(t *testing.T, s *server) (d drain) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	ended := make(chan struct{})
	go func() { // ends with the process
		defer close(ended)
		s.signal(syscall.SIGTERM)
		d.ended = time.Since(began)
	}()
	s.mu.Lock()
	address, ops := s.http, s.ops
	s.mu.Unlock()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	token, root := s.token("looker", "inbox"), s.root()
	ask := func(method, path, token, body string) int {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for i := 0; ; i++ {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			d.refused = time.Since(began)
			break
		}
		c.Close()
		if d.unready == 0 {
			if resp, err := client.Get("http://" + ops + "/readyz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusServiceUnavailable {
					d.unready = time.Since(began)
				}
			}
		}
		if i%10 == 0 && d.unready > 0 && time.Since(began) < 3*time.Second {
			d.polls = append(d.polls, ask("GET", "/v1/inbox", token, ""))
			d.sent = append(d.sent, ask("POST", "/v1/alarms", root, fmt.Sprintf(`{"device":"device-1","type":"at-%s-%d","severity":"major"}`, address, i)))
		}
		pause(ctx, 10*time.Millisecond)
	}
	<-ended
	return d
}
