package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tocsin/server/auth"
)

// Who the benchmarks are. Devices that the directory does not know belong to the
// unassigned group, so that nothing has to be set up.
const (
	publisher = "bench"
	group     = "unassigned"
)

// A server is a running `tocsin serve` on a data directory of its own.
type server struct {
	*process
	dir     string
	secret  []byte
	publish string // the head of a publishing request, up to the length
}

var _ service = (*server)(nil)

// startServer returns once the server serves.
func (b *bench) startServer(ctx context.Context, core int, flags ...string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "server")
	if err != nil {
		return nil, err
	}
	return b.startServerOn(ctx, core, dir, flags...)
}

// startServerOn starts a server on a directory whose data may be there already.
func (b *bench) startServerOn(ctx context.Context, core int, dir string, flags ...string) (*server, error) {
	s := &server{dir: dir, secret: []byte("the secret of a benchmark, at least 32 bytes")}
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, s.secret, 0o600); err != nil {
		return nil, err
	}
	var err error
	// Every alarm is a device's or a qualifier's own, so that none is folded.
	s.process, err = startProcess(ctx, core, exec.Command(b.binary, append([]string{"serve", "--data", s.data(),
		"--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--admin", "public", "--jwt-hs256-file", secretFile,
		"--drain", "0s", "--stream-lifetime", "1h", "--device-time", "trust", "--log-format", "json",
		"--requests-per-user", "0", "--connections", "19900"}, flags...)...))
	if err != nil {
		return nil, err
	}
	token, err := s.token(publisher, group, "publish")
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.publish = fmt.Sprintf("POST /v1/%%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: ", s.addr, token)
	return s, nil
}

// tocsin is the starter of servers.
func (b *bench) tocsin(ctx context.Context, core int) (service, error) {
	return b.startServer(ctx, core)
}

// tocsinWith is the starter of servers with settings.
func (b *bench) tocsinWith(flags ...string) starter {
	return func(ctx context.Context, core int) (service, error) { return b.startServer(ctx, core, flags...) }
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) where() string     { return s.addr }
func (s *server) publishAt() string { return s.addr }

// token speaks for a user with the group.
func (s *server) token(user, group, scope string) (string, error) {
	return auth.Sign(s.secret, auth.Issue{User: user, Groups: []string{group}, Scope: scope, TTL: time.Hour}, time.Now())
}

func (s *server) opening(kind transport, n int, group, cursor string) ([]byte, error) {
	token, err := s.token(readerName(n), group, "inbox")
	if err != nil {
		return nil, err
	}
	path, more := "/v1/inbox/"+string(kind)+"?", ""
	switch kind {
	case overSSE:
		more = "Accept: text/event-stream\r\n"
	case overWS:
		more = webSocket + "Sec-WebSocket-Protocol: tocsin.v1.json\r\n"
	case overPoll:
		path = "/v1/inbox?wait=55&"
		cursor = cmp.Or(cursor, "latest") // it is replaced by the next one
	case overShort:
		path = "/v1/inbox?"
	}
	if cursor != "" && kind != overWS { // a WebSocket names it when it starts
		path += "cursor=" + url.QueryEscape(cursor)
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", path, s.addr, token, more), nil
}

func readerName(n int) string { return "reader-" + strconv.Itoa(n) }

// post publishes an alarm. A group but the unassigned one has a device of its name;
// who is asked for by his own name, as user/7, gets a notice.
func (s *server) post(b []byte, to, name, message string) []byte {
	door, body := "alarms", []byte(nil)
	if user, one := strings.CutPrefix(to, "user/"); one {
		door = "notices"
		body = fmt.Appendf(nil, `{"to":{"users":["reader-%s"]},"title":"Overspeed","body":"%s"}`, user, message)
	} else {
		body = alarm(nil, to, name, message)
	}
	b = fmt.Appendf(b, s.publish, door)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}

// alarm writes an alarm that nobody raised before.
func alarm(b []byte, device, name, message string) []byte {
	return fmt.Appendf(b, `{"id":"%s/%s","device":"%s","type":"overspeed","qualifier":"%s","severity":"major","message":"%s","attrs":{"speed_kmh":"92"}}`+"\n",
		device, name, device, name, message)
}

var raised = []byte(`"status":"raised"`)

func (s *server) posted(status int, body []byte) error {
	if status != http.StatusAccepted || bytes.Contains(body, []byte("problem")) || bytes.Contains(body, []byte(`"duplicate":true`)) {
		return fmt.Errorf("not published: %d %.500s", status, body)
	}
	return nil
}

// batch publishes lines of alarms and wants each of them to be raised.
func (s *server) batch(c *client, lines []byte, alarms int) error {
	request := fmt.Appendf(nil, s.publish, "alarms")
	request = bytes.Replace(request, []byte("application/json"), []byte("application/x-ndjson"), 1)
	request = strconv.AppendInt(request, int64(len(lines)), 10)
	request = append(append(request, "\r\n\r\n"...), lines...)
	status, body, err := c.do(request)
	if err != nil {
		return err
	}
	if n := bytes.Count(body, raised); status != http.StatusAccepted || n != alarms {
		return fmt.Errorf("%d of %d alarms were raised: %d %.500s", n, alarms, status, body)
	}
	return nil
}

// divide puts a device of each group's name into the group.
func (s *server) divide(ctx context.Context, groups int) error {
	token, err := s.token("chief", "*", "admin")
	if err != nil {
		return err
	}
	var lines []byte
	for g := range groups {
		lines = fmt.Appendf(lines, `{"device":"%s","groups":["%s"]}`+"\n", groupName(g), groupName(g))
	}
	_, err = ask(ctx, http.MethodPost, "http://"+s.addr+"/v1/directory", token, lines)
	return err
}

func groupName(n int) string { return "group-" + strconv.Itoa(n) }

// verify wants the server's counters to say that this many alarms are open. Its
// view may be a moment behind what it has answered.
func (s *server) verify(ctx context.Context, published int) error {
	for end := time.Now().Add(requestTimeout); ; {
		open, err := s.open(ctx)
		if err != nil || open == published {
			return err
		}
		if open > published || time.Now().After(end) {
			return fmt.Errorf("%d alarms are open of %d published", open, published)
		}
	}
}

// open asks the server for its counters, as somebody who sees everything: how
// many alarms are active or unacknowledged.
func (s *server) open(ctx context.Context) (int, error) {
	var page struct{ Active map[string]int }
	if err := s.poll(ctx, "chief", "*", "snapshot=active&limit=1", &page); err != nil {
		return 0, fmt.Errorf("read the counters: %w", err)
	}
	n := 0
	for _, of := range page.Active {
		n += of
	}
	return n, nil
}

// cursor is where a reader of the group is who has seen everything.
func (s *server) cursor(ctx context.Context, group string) (string, error) {
	var page struct{ Cursor string }
	if err := s.poll(ctx, "reader-0", group, "cursor=latest", &page); err != nil {
		return "", fmt.Errorf("read the cursor: %w", err)
	}
	return page.Cursor, nil
}

// poll asks for a page of somebody's inbox.
func (s *server) poll(ctx context.Context, user, groups, query string, page any) error {
	token, err := s.token(user, groups, "inbox")
	if err != nil {
		return err
	}
	text, err := ask(ctx, http.MethodGet, "http://"+s.addr+"/v1/inbox?"+query, token, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, page)
}

// arrive waits until the server holds as many polls.
func (s *server) arrive(ctx context.Context, n int) error {
	return s.awaitGauge(ctx, `tocsin_connections{transport="longpoll"}`, n)
}

// awaitGauge waits until one of the server's metrics has the value.
func (s *server) awaitGauge(ctx context.Context, name string, n int) error {
	for end := time.Now().Add(requestTimeout); ; time.Sleep(20 * time.Millisecond) {
		text, err := ask(ctx, http.MethodGet, "http://"+s.ops+"/metrics", "", nil)
		if err != nil {
			return err
		}
		_, value, _ := strings.Cut(string(text), "\n"+name+" ")
		value, _, _ = strings.Cut(value, "\n")
		if is, err := strconv.ParseFloat(value, 64); err == nil && int(is) == n {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is %q, not %d", name, value, n)
		}
	}
}

// collect has the server collect its garbage, so that what lives can be told from
// what was not collected yet.
func (s *server) collect(ctx context.Context) error {
	_, err := ask(ctx, http.MethodGet, "http://"+s.ops+"/debug/pprof/heap?gc=1", "", nil)
	return err
}
