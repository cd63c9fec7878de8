package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// backup has the running binary make one, and returns its file.
func (s *server) backup(flags ...string) string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "backup.zip")
	args := append([]string{"backup", file, "--url", s.url(), "--token", s.root()}, flags...)
	if out, errs, err := s.tocsin(s.t.Context(), args...); err != nil {
		s.t.Fatalf("%v: %s%s", err, out, errs)
	}
	return file
}

// logFlags are the flags of the server that say where its log is.
func (s *server) logFlags() []string {
	flags := []string{"--data", s.data()}
	for i := 0; i+1 < len(s.flags); i++ {
		if strings.HasPrefix(s.flags[i], "--cluster") || strings.HasPrefix(s.flags[i], "--nats") {
			flags = append(flags, s.flags[i], s.flags[i+1])
		}
	}
	return flags
}

func (s *server) restore(file string) {
	s.t.Helper()
	out, errs, err := s.tocsin(s.t.Context(), append([]string{"restore", file}, s.logFlags()...)...)
	if err != nil {
		s.t.Fatalf("%v: %s%s", err, out, errs)
	}
}

// A pageOf is what a poll gave.
type pageOf struct {
	Entries []entry
	Cursor  string
	Unread  int
	Gap     *struct{ Reason string }
}

func (s *server) poll(token, cursor string) (p pageOf) {
	s.t.Helper()
	s.want(s.request("GET", "/v1/inbox?cursor="+cursor, token, ""), 200).json(s.t, &p)
	return p
}

func (s *server) raiseOne(id string) (seq uint64, duplicate bool) {
	s.t.Helper()
	var got struct {
		Results []struct {
			Seq       uint64
			Duplicate bool
		}
	}
	s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"id":%q,"device":"d","type":%q,"severity":"major"}`, id, id)), 202).json(s.t, &got)
	return got.Results[0].Seq, got.Results[0].Duplicate
}

// A backup that is made while serving brings everything back: entries at their
// sequences, the directory, what was read, what was revoked, the ids. Who has a
// cursor that it covers goes on, who has seen more is told so.
func TestABackupBringsEverythingBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.want(s.request("PUT", "/v1/devices/d", s.root(), `{"groups":["g"]}`), 200)
	s.want(s.request("PUT", "/v1/users/ann", s.root(), `{"groups":["g"]}`), 200)
	ann, bad := s.token("ann", "inbox"), s.token("eve", "inbox")
	for i := range 5 {
		s.raiseOne(fmt.Sprint("before-", i))
	}
	covered := s.poll(ann, "earliest")
	s.want(s.request("POST", "/v1/inbox/read", ann, `{"upto":"`+covered.Cursor+`"}`), 200)
	s.want(s.request("POST", "/v1/revocations", s.root(), `{"sub":"eve"}`), 204)
	last, _ := s.raiseOne("in")
	file := s.backup()
	s.raiseOne("after")
	beyond := s.poll(ann, covered.Cursor)
	if len(covered.Entries) != 5 || len(beyond.Entries) != 2 {
		t.Fatalf("%d and %d entries", len(covered.Entries), len(beyond.Entries))
	}
	s.kill()

	to := prepareServer(t)
	to.restore(file)
	to.start()
	if got, again := to.raiseOne("in"); got != last || !again {
		t.Errorf("what the backup has is stored again: at %d, was at %d, duplicate %v", got, last, again)
	}
	next := to.poll(ann, covered.Cursor)
	if next.Gap != nil || len(next.Entries) != 1 || next.Entries[0].Seq != last || next.Unread != 1 {
		t.Errorf("from a cursor that the backup covers: %+v", next)
	}
	if lost := to.poll(ann, beyond.Cursor); lost.Gap == nil || lost.Gap.Reason != "epoch" || len(lost.Entries) != 6 {
		t.Errorf("from a cursor that it does not cover: %+v, gap %v", lost, lost.Gap)
	}
	if got, again := to.raiseOne("after"); again || got <= last {
		t.Errorf("what the backup lacks is taken for stored: %d", got)
	}
	if a := to.request("GET", "/v1/inbox", bad, ""); a.status != 401 {
		t.Errorf("a revoked token: %d", a.status)
	}
}

func TestWhatIsNoWholeBackupIsNotRestored(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.raiseOne("a")
	file := s.backup()
	if out, errs, err := s.tocsin(t.Context(), "backup", file, "--url", s.url(), "--token", s.root()); err == nil || !strings.Contains(errs, "there already") {
		t.Errorf("a backup over another: %v %s%s", err, out, errs)
	}
	if out, errs, err := s.tocsin(t.Context(), "backup", file+"2", "--url", s.url(), "--token", s.token("ann", "inbox")); err == nil || !strings.Contains(errs, "403") {
		t.Errorf("a backup for anybody: %v %s%s", err, out, errs)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(whole, []byte("LOG/messages")) + 200
	changed := bytes.Clone(whole)
	changed[at] ^= 1
	for name, text := range map[string][]byte{"changed": changed, "cut": whole[:len(whole)*2/3], "empty": {}, "text": []byte("hello")} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.zip")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			data := filepath.Join(t.TempDir(), "data")
			out, errs, err := s.tocsin(t.Context(), "restore", path, "--data", data)
			if err == nil || !strings.Contains(errs, "not a whole backup") {
				t.Errorf("%v: %s%s", err, out, errs)
			}
			if _, err := os.Stat(data); err == nil {
				t.Error("it has touched the directory")
			}
		})
	}
	s.kill()
	out, errs, err := s.tocsin(t.Context(), "restore", file, "--data", s.data())
	if err == nil || !strings.Contains(errs, "there is a log already") {
		t.Errorf("over another log: %v: %s%s", err, out, errs)
	}
	s.start()
	if p := s.poll(s.root(), "earliest"); len(p.Entries) != 1 {
		t.Errorf("the log that was not to be touched has %s", mustJSON(p))
	}
}

func mustJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}
