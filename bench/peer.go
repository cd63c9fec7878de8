package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Kinds of readers of the peers.
const (
	nchanWS   transport = "websocket"
	nchanSSE  transport = "eventsource"
	nchanPoll transport = "longpoll"
	socketIO  transport = "socket.io"
)

func init() {
	// Nchan greets nobody; who is there is asked of its status.
	dialects[nchanWS] = &dialect{status: "HTTP/1.1 101 ", framed: true, quiet: true}
	dialects[nchanSSE] = &dialect{status: "HTTP/1.1 200 ", quiet: true}
	dialects[nchanPoll] = &dialect{status: "HTTP/1.1 200 ", quiet: true, again: afterThis}
	dialects[socketIO] = &dialect{status: "HTTP/1.1 101 ", framed: true, greeting: "40{", first: func(string) string { return "40" }}
}

// afterThis asks Nchan for what follows an answer.
func afterThis(opening, head, _ []byte) []byte {
	field := func(name string) []byte {
		_, value, _ := bytes.Cut(head, []byte("\r\n"+name+": "))
		value, _, _ = bytes.Cut(value, []byte("\r\n"))
		return value
	}
	b := bytes.TrimSuffix(opening, []byte("\r\n"))
	return fmt.Appendf(bytes.Clone(b), "If-Modified-Since: %s\r\nIf-None-Match: %s\r\n\r\n", field("Last-Modified"), field("Etag"))
}

// A peer is another server that runs here.
type peer struct {
	*process
	single bool // each reader is a group of his own
	nchan  bool
}

var _ service = (*peer)(nil)

func (p *peer) where() string     { return p.addr }
func (p *peer) publishAt() string { return p.addr }

func (p *peer) opening(kind transport, n int, group, cursor string) ([]byte, error) {
	if p.single {
		group = "user/" + strconv.Itoa(n)
	}
	path, more := "/"+string(kind)+"?", ""
	switch kind {
	case socketIO:
		path, more = "/socket.io/?EIO=4&transport=websocket&", webSocket
	case nchanWS:
		more = webSocket
	case nchanSSE:
		more = "Accept: text/event-stream\r\n"
	}
	if cursor != "" {
		path = "/behind" + path
	}
	return fmt.Appendf(nil, "GET %sto=%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, group, p.addr, more), nil
}

func (p *peer) post(b []byte, group, _, message string) []byte {
	return fmt.Appendf(b, "POST /publish?to=%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		group, p.addr, len(message), message)
}

func (p *peer) posted(status int, body []byte) error {
	if status/100 != 2 {
		return fmt.Errorf("not published: %d %.200s", status, body)
	}
	return nil
}

// arrive asks Nchan how many subscribers it has.
func (p *peer) arrive(ctx context.Context, n int) error {
	for end := time.Now().Add(requestTimeout); ; time.Sleep(20 * time.Millisecond) {
		text, err := ask(ctx, http.MethodGet, "http://"+p.addr+"/status", "", nil)
		if err != nil {
			return err
		}
		_, value, _ := strings.Cut(string(text), "\nsubscribers: ")
		value, _, _ = strings.Cut(value, "\n")
		if is, err := strconv.Atoi(value); err == nil && is >= n {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%q subscribers, not %d", value, n)
		}
	}
}

// nchan is the starter of Debian's nginx with Debian's module, which is unpacked
// below the temporary directory.
func (b *bench) nchan(ctx context.Context, single bool) (starter, error) {
	dir := filepath.Join(b.dir, "nchan")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	modules, _ := filepath.Glob(filepath.Join(dir, "usr/lib/nginx/modules/*.so"))
	if len(modules) == 0 {
		if _, err := output(ctx, dir, "sh", "-c", "apt-get download libnginx-mod-nchan && dpkg -x libnginx-mod-nchan_*.deb ."); err != nil {
			return nil, err
		}
		if modules, _ = filepath.Glob(filepath.Join(dir, "usr/lib/nginx/modules/*.so")); len(modules) == 0 {
			return nil, errors.New("there is no module in Debian's package")
		}
	}
	conf, err := os.ReadFile(filepath.Join(b.root, "bench", "peers", "nchan.conf"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, core int) (service, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addr := l.Addr().String()
		_ = l.Close() // nginx cannot choose a free port by itself
		text := strings.NewReplacer("PORT", addr[strings.LastIndex(addr, ":")+1:], "DIR", dir, "MODULE", modules[0]).Replace(string(conf))
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		cmd := exec.Command("sh", "-c", `echo "{\"msg\":\"serving\",\"http\":\"$1\"}" >&2; exec nginx -p "$2" -c "$3"`, "nginx", addr, dir, file)
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
		p, err := startProcess(ctx, core, cmd)
		if err != nil {
			return nil, err
		}
		s := &peer{process: p, single: single, nchan: true}
		if err := s.arrive(ctx, 0); err == nil {
			return s, nil
		}
		time.Sleep(time.Second) // it says that it serves before it does
		if err := s.arrive(ctx, 0); err != nil {
			return nil, errors.Join(err, s.stop())
		}
		return s, nil
	}, nil
}

// socketIO is the starter of a Socket.IO that npm installs below the temporary
// directory.
func (b *bench) socketIO(ctx context.Context, single bool) (starter, error) {
	dir := filepath.Join(b.dir, "socketio")
	if _, err := os.Stat(dir); err != nil {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(b.root, "bench", "peers", "socketio"))); err != nil {
			return nil, err
		}
		if _, err := output(ctx, dir, "npm", "install", "--silent", "--no-audit", "--no-fund"); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, core int) (service, error) {
		cmd := exec.Command("node", "server.js")
		cmd.Dir = dir
		p, err := startProcess(ctx, core, cmd)
		if err != nil {
			return nil, err
		}
		return &peer{process: p, single: single}, nil
	}, nil
}
