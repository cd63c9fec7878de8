// Package redistest runs a real redis-server for tests.
package redistest

import (
	"bytes"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait.
const patience = 20 * time.Second

// A Server is a redis-server on the loopback, which keeps nothing on disk.
type Server struct {
	t       testing.TB
	Address string
	// Password is what it asks for; empty for none.
	Password string
	cmd      *exec.Cmd
	said     bytes.Buffer
}

// Start runs one until the test ends.
func Start(t testing.TB, password string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Address: l.Addr().String(), Password: password}
	_ = l.Close()
	s.Up()
	t.Cleanup(s.Down)
	return s
}

// URL is where it is.
func (s *Server) URL() string {
	if s.Password != "" {
		return "redis://:" + s.Password + "@" + s.Address + "/0"
	}
	return "redis://" + s.Address
}

// Up runs it at its address, empty.
func (s *Server) Up() {
	s.t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatalf("redis-server is needed, .ci/setup installs it: %v", err)
	}
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", s.t.TempDir()}
	if s.Password != "" {
		args = append(args, "--requirepass", s.Password)
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for began := time.Now(); ; {
		c, err := net.Dial("tcp", s.Address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Since(began) > patience {
			s.t.Fatalf("redis-server does not listen: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Down kills it.
func (s *Server) Down() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	_ = s.cmd.Wait() // that it was killed is its error
	s.cmd = nil
}

// Do runs a command by redis-cli.
func (s *Server) Do(command ...string) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{"-h", host, "-p", port}
	if s.Password != "" {
		args = append(args, "--no-auth-warning", "-a", s.Password)
	}
	out, err := exec.Command("redis-cli", append(args, command...)...).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil || strings.HasPrefix(text, "ERR") || strings.HasPrefix(text, "NOAUTH") {
		s.t.Fatalf("redis-cli %q: %v %s", command, err, text)
	}
}
