package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// as requests something from an address of the loopback.
func as(t *testing.T, address, url, token string) answer {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
}

// Behind nginx, which is trusted, each client has limits of his own.
func TestLimitsByAddressBehindNginx(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--trusted-proxies", "127.0.0.1/32", "--unlimited-from", "127.0.0.9/32", "--requests-per-address", "1")
	base := transporttest.Nginx(t, []string{s.http})
	refused := func(address string) (n int) {
		for range 20 {
			if a := as(t, address, base+"/v1/inbox", s.root()); a.status == http.StatusTooManyRequests {
				wantProblem(t, address, a, 429, "too-many-requests")
				if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 2 {
					t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
				}
				n++
			}
		}
		return n
	}
	for _, address := range []string{"127.0.0.2", "127.0.0.3"} {
		// Five seconds' worth and the time that it takes.
		if n := refused(address); n == 0 || n > 14 {
			t.Errorf("%d of 20 requests from %s were refused", n, address)
		}
	}
	if n := refused("127.0.0.9"); n != 0 {
		t.Errorf("%d of 20 requests from an address without limits were refused", n)
	}
}

// One device that has gone mad is slowed down; its critical alarms and other devices'
// alarms are not.
func TestAMadPublisherHoldsBackNothingCritical(t *testing.T) {
	s := newServer(t, "--publishes-per-user", "10", "--fold", "0")
	mad, other := s.token("mad", "publish"), s.token("other", "publish")
	publish := func(token, severity string, n int) answer {
		events := make([]string, n)
		for i := range events {
			events[i] = fmt.Sprintf(`{"device":"d%d","type":"%s","severity":"%s"}`, i, severity, severity)
		}
		return s.request("POST", "/v1/alarms", token, array(events))
	}
	s.want(publish(mad, "minor", 1000), http.StatusAccepted) // whole
	for range 10 {
		a := publish(mad, "minor", 10)
		wantProblem(t, "too much", a, 429, "too-many-requests")
		if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 60 || wait > 100 {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
		if a := s.want(publish(mad, "critical", 10), http.StatusAccepted); strings.Contains(a.body, "rejected") {
			t.Errorf("%s", a.body)
		}
		s.want(publish(other, "minor", 1), http.StatusAccepted)
	}
	metrics, err := request(t.Context(), http.MethodGet, "http://"+s.ops+"/metrics", "", "")
	if err != nil || !strings.Contains(metrics.body, `tocsin_limited_total{limit="publishes-per-user"} 10`) {
		t.Errorf("%v\n%s", err, metrics.body)
	}
}

// A connection to the listener of MQTT, or to that of operation, that says nothing,
// or not all of something, is ended.
func TestOtherListenersEndWhoeverSaysNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--mqtt", "127.0.0.1:0", "--header-timeout", "1s")
	for name, c := range map[string]struct{ address, says string }{
		"mqtt, nothing":        {s.mqtt, ""},
		"mqtt, half a CONNECT": {s.mqtt, "\x10\x7f\x00\x04MQ"},
		"ops, half a header":   {s.ops, "GET /healthz HTTP/1.1\r\nHo"},
		"ops, nothing":         {s.ops, ""},
		"http, nothing":        {s.http, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", c.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			began := time.Now()
			_ = conn.SetDeadline(began.Add(patience))
			if _, err := io.WriteString(conn, c.says); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("it is kept: %v", err)
			}
			t.Logf("after %s", time.Since(began).Round(100*time.Millisecond))
		})
	}
}

// Connections are counted below TLS, over HTTP/1.1 and HTTP/2: those that are silent
// make room, and one too many is told so.
func TestLimitsHoldUnderTLS(t *testing.T) {
	t.Parallel()
	s := newSecured(t, "--unlimited-from", "", "--connections-per-address", "40", "--waiting-connections", "50", "--connections-per-user", "100")
	for range 30 {
		conn, err := net.Dial("tcp", s.http)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for version := 1; version <= 2; version++ {
		resp, text := s.read(s.client(version), http.MethodGet, "/v1/inbox", "")
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != version {
			t.Errorf("beside silent ones: %s %s %s", resp.Proto, resp.Status, text)
		}
	}
	for n := range 40 {
		resp, err := s.send(s.client(1), http.MethodGet, "/v1/inbox/sse", "")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests {
			text, _ := io.ReadAll(resp.Body)
			// Of 40 connections at most 10 silent ones, a fifth of 50, and two of ours are left.
			if n < 28 || !strings.Contains(string(text), "connections-per-address: at most 40") || resp.Header.Get("Retry-After") == "" {
				t.Errorf("stream %d: %s", n, text)
			}
			return
		}
	}
	t.Error("no limit was met")
}
