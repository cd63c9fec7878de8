package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// A natsServer is one server of an external cluster.
type natsServer struct {
	t       *testing.T
	program string
	args    []string
	cmd     *exec.Cmd
}

func (s *natsServer) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, s.args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *natsServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *natsServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// newNATS starts three servers that want a user and his password, and returns
// where clients connect.
func newNATS(t *testing.T, user, password string) (servers []*natsServer, url string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "nats-server")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	var routes, urls, clients, peers []string
	for range 3 {
		client, peer := transporttest.FreeAddress(t), transporttest.FreeAddress(t)
		clients, peers = append(clients, client), append(peers, peer)
		routes, urls = append(routes, "nats-route://"+peer), append(urls, "nats://"+client)
	}
	for i := range clients {
		dir := t.TempDir()
		conf := filepath.Join(dir, "nats.conf")
		text := fmt.Sprintf("server_name: s%d\nlisten: %q\njetstream { store_dir: %q }\nauthorization { user: %q, password: %q }\ncluster { name: c, listen: %q, no_advertise: true, routes: [%s] }\n",
			i, clients[i], filepath.Join(dir, "js"), user, password, peers[i], strings.Join(routes, ", "))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &natsServer{t: t, program: program, args: []string{"-c", conf}}
		s.start()
		t.Cleanup(s.kill)
		servers = append(servers, s)
	}
	return servers, strings.Join(urls, ",")
}

// Two gateways that keep nothing themselves, on three servers elsewhere: they come
// up before there are any, go on while one after the other is lost, and say so when
// the log is out of reach.
func TestGatewaysOnAClusterElsewhere(t *testing.T) {
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	word := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(word, []byte("a password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers, url := newNATS(t, "gateway", "a password")
	var gateways []*server
	for range 2 {
		gateways = append(gateways, prepareServer(t, "--nats-url", url, "--nats-user", "gateway", "--nats-password-file", word, "--replicas", "3"))
	}
	(&cluster{t: t}).start(gateways...)
	front := transporttest.Nginx(t, []string{gateways[0].http, gateways[1].http})
	n := 0
	flow := func(what string) {
		t.Helper()
		n++
		took, err := publishUntil(ctx, gateways, fmt.Sprint("a-", n))
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, gateways[0].log)
		}
		t.Logf("%s: stored after %v", what, took)
	}
	h := newHopper(gateways[0], "reader", 1, []string{"sse", "ws", "longpoll"}, "*")
	h.base, h.cursor = front, "earliest"
	here, leave := context.WithCancel(ctx)
	defer leave()
	read := make(chan struct{})
	go func() { defer close(read); h.run(here, time.Second) }() // ends with leave
	flow("at first")
	for i, s := range servers[:2] {
		s.kill()
		flow(fmt.Sprintf("without server %d", i))
		s.start()
		waitFor(ctx, nil, func() bool { return gateways[0].ready(ctx) && gateways[1].ready(ctx) && wholeLog(ctx, gateways[0], 3) })
	}
	for _, s := range servers {
		s.signal(syscall.SIGSTOP)
	}
	waitFor(ctx, nil, func() bool { return !gateways[0].ready(ctx) && !gateways[1].ready(ctx) })
	wantProblem(t, "publishing", gateways[0].request("POST", "/v1/alarms", gateways[0].root(), `{"device":"x","type":"t","severity":"major"}`), 503, "stale")
	for _, s := range servers {
		s.signal(syscall.SIGCONT)
	}
	flow("with all of them again")
	waitFor(ctx, nil, func() bool { return gateways[0].ready(ctx) && gateways[1].ready(ctx) })
	if ctx.Err() != nil {
		t.Fatalf("the gateways are not ready again:\n%s", gateways[0].log)
	}
	entries := everything(t, gateways[1])
	if len(entries) != n {
		t.Errorf("%d entries are shown, want %d", len(entries), n)
	}
	settle(t, []*hopper{h}, entries)
	leave()
	<-read
	checkAll(t, []*hopper{h}, entries)
	if _, err := os.Stat(gateways[0].data()); err == nil {
		t.Error("a gateway keeps something")
	}
}

// wholeLog says whether the log is on so many servers.
func wholeLog(ctx context.Context, s *server, n int) bool {
	a, err := request(ctx, "GET", "http://"+s.ops+"/metrics", "", "")
	return err == nil && strings.Contains(a.body, fmt.Sprintf("\ntocsin_log_servers_current %d\n", n))
}
