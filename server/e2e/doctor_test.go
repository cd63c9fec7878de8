package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// A checkup is what `tocsin doctor --json` prints.
type checkup struct {
	OK     bool
	Checks []struct{ Check, State, Found, Advice string }
}

// states are those of one check.
func (c *checkup) states(check string) (list []string) {
	for _, f := range c.Checks {
		if f.Check == check {
			list = append(list, f.State)
		}
	}
	return list
}

// examined runs the doctor over the server's data, and checks that its text, its JSON
// and its exit code say the same.
func (s *server) examined(flags ...string) (c checkup) {
	s.t.Helper()
	text, said, failed := s.tocsin(s.t.Context(), append([]string{"doctor", s.data()}, flags...)...)
	out, _, _ := s.tocsin(s.t.Context(), append([]string{"doctor", s.data(), "--json"}, flags...)...)
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		s.t.Fatalf("%v in %s, and %s", err, out, said)
	}
	if strings.Count(text, "\n") != len(c.Checks) || c.OK != (failed == nil) || c.OK == strings.Contains(text, "fail  ") {
		s.t.Errorf("exit %v, and\n%s\nbut %+v", failed, text, c)
	}
	return c
}

// livedIn has a server with something of everything, stopped in order.
func livedIn(t *testing.T, flags ...string) *server {
	t.Helper()
	s := newServer(t, append([]string{"--drain", "0s", "--linger", "0s", "--reserve", "1MiB"}, flags...)...)
	s.want(s.request("POST", "/v1/directory", s.root(), `{"device":"d1","groups":["east","west"]}
{"device":"d2","groups":["east"]}
{"user":"anna","groups":["east"]}
`, "Content-Type", "application/x-ndjson"), 200)
	for i := range 200 {
		s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"device":"d%d","type":"overspeed","severity":"major","message":"%d km/h"}`, i%20, i)), 202)
	}
	anna := s.token("anna", "inbox")
	var list struct{ Alarms []struct{ ID string } }
	s.want(s.request("GET", "/v1/alarms?state=active", anna, ""), 200).json(t, &list)
	if len(list.Alarms) == 0 {
		t.Fatal("anna has no alarms")
	}
	s.want(s.request("POST", "/v1/alarms/"+list.Alarms[0].ID+"/ack", anna, `{}`), 200)
	s.want(s.request("POST", "/v1/inbox/read", anna, `{"upto":"latest"}`), 200)
	s.want(s.request("POST", "/v1/notices", s.root(), `{"to":"everyone","title":"hello"}`), 202)
	s.want(s.request("POST", "/v1/revocations", s.root(), `{"jti":"stolen"}`), 204)
	s.signal(syscall.SIGTERM)
	return s
}

func TestDoctorFindsNothingWrongWithWhatIsWhole(t *testing.T) {
	t.Parallel()
	s := livedIn(t)
	c := s.examined("--jwt-hs256-file", s.secretFile(), "--reserve", "1MiB")
	for _, f := range c.Checks {
		if f.State != "ok" {
			t.Errorf("%+v", f)
		}
	}
	for _, check := range []string{"rights", "writable", "space", "stream", "entries", "epochs", "revisions", "directory", "marks", "buckets", "keys"} {
		if len(c.states(check)) == 0 {
			t.Errorf("%s was not checked", check)
		}
	}
	s.start()
	s.kill()
	if c := s.examined(); !c.OK {
		t.Errorf("after a kill: %+v", c)
	}
	s.start()
	if _, said, err := s.tocsin(t.Context(), "doctor", s.data()); err == nil || !strings.Contains(said, "in use") {
		t.Errorf("of data that are served the doctor says %v, %s", err, said)
	}
}

func TestDoctorSaysWhatElseIsWrong(t *testing.T) {
	t.Parallel()
	s := livedIn(t)
	if err := os.Chmod(s.data(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.secretFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	c := s.examined("--jwt-hs256-file", s.secretFile(), "--hook-secret-file", "missing", "--reserve", "1000000GiB")
	for check, want := range map[string]string{"rights": "warn", "keys": "fail", "space": "fail"} {
		if got := c.states(check); !slices.Contains(got, want) {
			t.Errorf("%s is %v, want %s", check, got, want)
		}
	}
}

// logBlock is the file with the log's messages, of a log that needs but one.
func (s *server) logBlock() string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data(), "jetstream", "$G", "streams", "LOG", "msgs", "*.blk"))
	if err != nil || len(files) != 1 {
		s.t.Fatalf("files of the log: %v, %v", files, err)
	}
	return files[0]
}

// damageLog changes something in the middle of the log.
func (s *server) damageLog(rng *rand.Rand) {
	s.t.Helper()
	f, err := os.OpenFile(s.logBlock(), os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff, 0, 0xff}, info.Size()/4+rng.Int64N(info.Size()/2)); err != nil {
		s.t.Fatal(err)
	}
}

// A store whose end is cut off is no failure, and opens; one that is damaged within is,
// is refused with what to do, and goes on without what is lost only when told to.
func TestDamagedDataAreExaminedRefusedAndGoOnWithoutLoss(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano()) % 1e6
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	s := livedIn(t, "--sync", "always")
	info, err := os.Stat(s.logBlock())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.logBlock(), info.Size()-1-rng.Int64N(200)); err != nil {
		t.Fatal(err)
	}
	if c := s.examined("--sync", "always"); !c.OK || !slices.Contains(c.states("stream"), "warn") {
		t.Errorf("of a cut end: %+v", c)
	}
	s.start()
	cursor := readPage(s, "snapshot=active").Cursor
	s.signal(syscall.SIGTERM)
	if c := s.examined("--sync", "always"); !c.OK || !slices.Contains(c.states("aside"), "warn") {
		t.Errorf("after a start with a cut end: %+v", c)
	}

	s.damageLog(rng)
	if c := s.examined("--sync", "always"); c.OK || !slices.Contains(c.states("stream"), "fail") {
		t.Errorf("of damage within: %+v", c)
	}
	err = s.up()
	if err == nil || !strings.Contains(err.Error(), "--accept-loss") || !strings.Contains(err.Error(), "messages are lost") {
		t.Fatalf("damaged data are served: %v", err)
	}
	flags := s.flags
	s.flags = append(slices.Clone(flags), "--accept-loss")
	s.start()
	if p := readPage(s, "cursor="+cursor); p.Gap == nil || p.Gap.Reason != inbox.GapEpoch {
		t.Errorf("a reader who had seen what is lost got %+v", p)
	}
	s.signal(syscall.SIGTERM)
	s.flags = flags
	s.start()
	s.signal(syscall.SIGTERM)
	if c := s.examined("--sync", "always"); !c.OK || !slices.Contains(c.states("losses"), "warn") {
		t.Errorf("after an accepted loss: %+v", c)
	}
}
