package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A program is one that is not ours and listens at an address.
type program struct {
	t       *testing.T
	address string
	args    []string

	cmd  *exec.Cmd
	done chan struct{}
	log  *tailBuffer
}

// newProgram is one that up starts; it is killed at the test's end.
func newProgram(t *testing.T, address string, args ...string) *program {
	p := &program{t: t, address: address, args: args}
	t.Cleanup(p.kill)
	return p
}

// up starts it and waits until it listens.
func (p *program) up() error {
	p.log, p.done = &tailBuffer{}, make(chan struct{})
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, done chan struct{}) { // ends with the process
		_ = cmd.Wait()
		close(done)
	}(p.cmd, p.done)
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	var err error
	waitFor(ctx, p.done, func() bool {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", p.address, time.Second); err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%s does not listen: %w\n%s", p.args[0], err, p.log)
	}
	return nil
}

func (p *program) freeze() { p.tell(syscall.SIGSTOP) }
func (p *program) thaw()   { p.tell(syscall.SIGCONT) }

func (p *program) tell(sig syscall.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Errorf("%v: %v", sig, err)
	}
}

func (p *program) kill() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// buildNATS builds a server of the engine's own.
func buildNATS(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "nats-server")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build the NATS server: %v\n%s", err, out)
	}
	return path
}
