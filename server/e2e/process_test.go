package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/transports/transporttest"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// binary is the program under test.
var binary string

// atOnce is how many of the tests that are Parallel run at a time, which mostly wait.
// Those that judge by how long something takes, or load the machine, are not.
const atOnce = "6"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		dir, err := os.MkdirTemp("", "tocsin-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "tocsin")
		build := exec.Command("go", "build", "-o", binary, "tocsin/server/cmd/tocsin")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// leaks find a token in a log: no server of any of these tests may write one.
var leaks = regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]{8,}`)

// A server is a running `tocsin serve` with its data.
type server struct {
	t      *testing.T
	dir    string
	secret []byte
	flags  []string
	http   string // host:port, kept across restarts
	ops    string
	mqtt   string // only of the newest start
	// tells keeps what all starts say but for requests that went well, so that a
	// long run's end still has its beginning.
	tells bool
	// partial: what the API's document has is not all there, at this address.
	partial bool
	// hears, unless nil, gets every line of the log; set before the start.
	hears func(line string)
	// through, unless empty, is a command that runs the server as its arguments, in
	// its own process.
	through []string
	// program, unless empty, is run in place of the program under test.
	program string
	// clock, unless nil, is what the program goes by.
	clock *clock

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	log  *tailBuffer
}

// newServer starts a server on a new data directory.
func newServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := prepareServer(t, flags...)
	s.start()
	return s
}

// prepareServer is newServer but for the start.
func prepareServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), flags: flags, http: transporttest.FreeAddress(t), ops: transporttest.FreeAddress(t),
		secret: []byte("a secret of these tests, 32 bytes and more")}
	if err := os.WriteFile(s.secretFile(), s.secret, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

func (s *server) secretFile() string { return filepath.Join(s.dir, "secret") }
func (s *server) data() string       { return filepath.Join(s.dir, "data") }

func (s *server) url() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.http
}

// args are the command line of a server on this data directory.
func (s *server) args() []string {
	return append([]string{"serve", "--data", s.data(), "--http", s.http, "--ops", s.ops,
		"--jwt-hs256-file", s.secretFile(), "--log-format", "json", "--admin", "public"}, s.flags...)
}

// start runs the server and waits for the line that names its addresses.
func (s *server) start() {
	s.t.Helper()
	if err := s.up(); err != nil {
		s.t.Fatal(err)
	}
}

// up is start for any goroutine.
func (s *server) up() error {
	line := append(append([]string{}, s.through...), append([]string{cmp.Or(s.program, binary)}, s.args()...)...)
	cmd := exec.Command(line[0], line[1:]...)
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	log := &tailBuffer{}
	if s.tells && s.log != nil {
		log = s.log
	}
	cmd.Stdout = log
	if err := cmd.Start(); err != nil {
		return err
	}
	done, serving := make(chan struct{}), make(chan [3]string, 1)
	secret := string(s.secret) // a test may give it another one
	go func() {                // ends with the process
		defer close(done)
		in := bufio.NewScanner(out)
		for in.Scan() {
			if !s.tells || !strings.Contains(in.Text(), `"level":"INFO","msg":"request"`) {
				fmt.Fprintln(log, in.Text())
			}
			if s.hears != nil {
				s.hears(in.Text())
			}
			if leaks.MatchString(in.Text()) || strings.Contains(in.Text(), secret) {
				s.t.Errorf("a secret in the log: %s", in.Text())
			}
			var line struct{ Msg, HTTP, Ops, MQTT string }
			if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "serving" {
				serving <- [3]string{line.HTTP, line.Ops, line.MQTT}
			}
		}
		cmd.Wait()
	}()
	s.mu.Lock()
	s.cmd, s.done, s.log = cmd, done, log
	s.mu.Unlock()
	select {
	case a := <-serving:
		s.mu.Lock()
		s.http, s.ops, s.mqtt = a[0], a[1], a[2]
		s.mu.Unlock()
		return nil
	case <-done:
		return fmt.Errorf("the server ended:\n%s", log)
	case <-time.After(patience):
		return fmt.Errorf("the server did not come up:\n%s", log)
	}
}

// kill ends the process with SIGKILL and waits until it is gone.
func (s *server) kill() { s.signal(syscall.SIGKILL) }

func (s *server) signal(sig syscall.Signal) {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Signal(sig)
	select {
	case <-done:
	case <-time.After(patience):
		s.t.Errorf("the server did not end on %v:\n%s", sig, s.log)
		cmd.Process.Kill()
	}
}

// resident is how much memory the process has, in bytes.
func (s *server) resident() (size int) {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscanf(rest, "%d kB", &size); err != nil {
		s.t.Fatal(err)
	}
	return size << 10
}

// token signs a token of the server's secret.
func (s *server) token(user, scope string, groups ...string) string {
	s.t.Helper()
	token, err := auth.Sign(s.secret, auth.Issue{User: user, Groups: groups, Scope: scope, TTL: time.Hour}, s.clock.now())
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *server) root() string { return s.token("root", "inbox publish admin", "*") }

// tocsin runs another command of the binary to its end.
func (s *server) tocsin(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// An answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
	// method and path are those that it answers: others than were asked for, after a
	// redirect.
	method, path string
}

func (a answer) json(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
}

// request sends one request; header pairs follow the body.
func (s *server) request(method, path, token, body string, header ...string) answer {
	s.t.Helper()
	a, err := request(s.t.Context(), method, s.url()+path, token, body, header...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if err := openAPI().check(a.method, a.path, a); err != nil && !s.partial {
		s.t.Errorf("not as docs/openapi.yaml has it: %v", err)
	}
	return a
}

func request(ctx context.Context, method, url, token, body string, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(text), method: method}
	a.path, _, _ = strings.Cut(strings.TrimPrefix(url, r.URL.Scheme+"://"+r.URL.Host), "?")
	if last := resp.Request; last.URL.String() != r.URL.String() {
		a.method, a.path = last.Method, last.URL.EscapedPath()
	}
	return a, err
}

// want fails the test unless the answer has the status.
func (s *server) want(a answer, status int) answer {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("got %d %s, want %d", a.status, a.body, status)
	}
	return a
}

// pause waits for d, or for the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// A tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text = append(b.text, p...); len(b.text) > 1<<20 {
		b.text = b.text[len(b.text)-512<<10:]
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
