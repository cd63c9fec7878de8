package transporttest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Nginx is a Front: the one of docker/nginx.conf, as it is but for addresses and
// the places of its files. The test that calls it lies two folders below the
// module's root.
func Nginx(t testing.TB, nodes []string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // which is on root's path only
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("nginx is needed, .ci/setup installs it: %v", err)
	}
	address := FreeAddress(t)
	conf := filepath.Join(t.TempDir(), "nginx.conf")
	if err := os.WriteFile(conf, []byte(nginxConf(t, filepath.Dir(conf), address, nodes)), 0o600); err != nil {
		t.Fatal(err)
	}
	told := &output{}
	// -e is for what it says before it has read the configuration.
	run := exec.Command(program, "-c", conf, "-e", "stderr", "-g", "daemon off;")
	run.Stderr = told
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- run.Wait() }() // ends with the process
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM) // which ends its workers, too
		if err := <-exited; err != nil || t.Failed() {
			t.Logf("nginx: %v\n%s", err, told)
		}
	})
	for began := time.Now(); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return "http://" + address
		}
		if time.Since(began) > patience || len(exited) > 0 {
			t.Fatalf("nginx does not listen: %v\n%s", err, told)
		}
		if err := pause(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// nginxConf is docker/nginx.conf for these addresses, with its files in dir.
func nginxConf(t testing.TB, dir, address string, nodes []string) string {
	t.Helper()
	text, err := os.ReadFile("../../docker/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := string(text)
	const server = "server 127.0.0.1:8080"
	var servers strings.Builder
	for i, node := range nodes {
		if i > 0 {
			servers.WriteString(";\n        ")
		}
		servers.WriteString("server " + node)
		if i < len(nodes)-1 {
			servers.WriteString(" max_fails=1 fail_timeout=1s")
		}
	}
	for _, r := range [][2]string{
		{server, servers.String()},
		{"listen 127.0.0.1:8000", "listen " + address},
		{"worker_processes auto", "worker_processes 1"},
		{"worker_connections 65536", "worker_connections 8192"},
		{"/tmp/tocsin-nginx", filepath.Join(dir, "nginx")},
	} {
		if !strings.Contains(conf, r[0]) {
			t.Fatalf("docker/nginx.conf has no %q any more", r[0])
		}
		conf = strings.ReplaceAll(conf, r[0], r[1])
	}
	return conf
}

// An output holds what a process says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
