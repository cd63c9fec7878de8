package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
)

// A floor is a running plain server, see floorserver.go, which is spoken with like
// Tocsin. It writes as many bytes a delivery as it is told.
type floor struct {
	*process
	delivery int  // bytes
	behind   int  // bytes for whoever connects
	polls    bool // readers ask over HTTP
	single   bool // each reader is a group of his own
}

var _ service = (*floor)(nil)

// floorEnv in the environment makes this program the floor.
const floorEnv = "TOCSIN_BENCH_FLOOR"

// floor is the starter of floors. Each delivery has as many bytes as one of what it
// is the floor of.
func (b *bench) floor(of floor) starter {
	return func(ctx context.Context, core int) (service, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), floorEnv+"=1")
		p, err := startProcess(ctx, core, cmd)
		if err != nil {
			return nil, err
		}
		f := of
		f.process, f.delivery = p, max(of.delivery, messageBytes)
		return &f, nil
	}
}

// where is the listener of the streams, unless readers ask over HTTP.
func (f *floor) where() string {
	if f.polls {
		return f.addr
	}
	return f.ops
}

func (f *floor) publishAt() string { return f.addr }

func (f *floor) opening(kind transport, n int, group, _ string) ([]byte, error) {
	if kind == overShort {
		return fmt.Appendf(nil, "GET /answer?bytes=%d HTTP/1.1\r\nHost: %s\r\n\r\n", f.delivery, f.addr), nil
	}
	if f.single {
		group = "user/" + strconv.Itoa(n)
	}
	return fmt.Appendf(nil, "%s %d\n", group, f.behind), nil
}

func (f *floor) arrive(context.Context, int) error { return nil }

func (f *floor) post(b []byte, group, _, message string) []byte {
	b = fmt.Appendf(b, "POST /write?to=%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", group, f.addr, f.delivery, message)
	for range f.delivery - len(message) {
		b = append(b, '.')
	}
	return b
}

// collect has it give back what it does not need.
func (f *floor) collect(ctx context.Context) error {
	_, err := ask(ctx, http.MethodPost, "http://"+f.addr+"/collect", "", nil)
	return err
}

func (f *floor) posted(status int, body []byte) error {
	if status != http.StatusOK {
		return fmt.Errorf("not written: %s %.200s", strconv.Itoa(status), body)
	}
	return nil
}
