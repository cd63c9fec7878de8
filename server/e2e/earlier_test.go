package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// earlier is what make.sh beside it made with an earlier program.
const earlier = "testdata/earlier"

// unpack writes a tar.gz archive of plain files into a folder.
func unpack(t *testing.T, archive, to string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewReader(zip)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, h.Name)
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var text []byte
			if text, err = io.ReadAll(in); err == nil {
				err = os.WriteFile(path, text, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// told is what the earlier program answered.
func toldBy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(earlier, "told", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// still says whether the present answer has everything that the earlier one had, with
// the same values. What was added since may be there, and what depends on the time or
// the start differs.
func still(at string, was, is any) error {
	switch was := was.(type) {
	case map[string]any:
		now, ok := is.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %v was an object", at, is)
		}
		for name, value := range was {
			if name == "cursor" || name == "flood" || name == "interval" {
				continue
			}
			if err := still(at+"."+name, value, now[name]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		now, ok := is.([]any)
		if !ok || len(now) != len(was) {
			return fmt.Errorf("%s: %d elements, had %d", at, len(now), len(was))
		}
		for i := range was {
			if err := still(fmt.Sprintf("%s[%d]", at, i), was[i], now[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !reflect.DeepEqual(was, is) {
		return fmt.Errorf("%s: %v, was %v", at, is, was)
	}
	return nil
}

// The promise of docs/compatibility.md for what is stored: a data directory of an
// earlier program is served as it was, entry by entry, by whoever comes with a cursor
// from then.
func TestTodaysProgramServesWhatAnEarlierOneStored(t *testing.T) {
	t.Parallel()
	s := prepareServer(t, "--retention", "0", "--fold", "0", "--device-time", "trust")
	unpack(t, filepath.Join(earlier, "data.tar.gz"), s.dir)
	s.start()
	people := map[string]string{"anna": s.token("anna", "inbox"), "bob": s.token("bob", "inbox"), "root": s.root()}
	same := func(who, path, name string) {
		t.Helper()
		var was, is any
		if err := json.Unmarshal([]byte(toldBy(t, name)), &was); err != nil {
			t.Fatal(err)
		}
		s.want(s.request("GET", path, people[who], ""), 200).json(t, &is)
		if err := still(name, was, is); err != nil {
			t.Error(err)
		}
	}
	for _, who := range []string{"anna", "bob"} {
		at := "earliest"
		for page := 1; page <= 4; page++ {
			name := fmt.Sprintf("inbox-of-%s-%d.json", who, page)
			same(who, "/v1/inbox?limit=1000&cursor="+at, name) // by the cursor of then
			at = toldPage(t, name).Cursor
		}
		same(who, "/v1/alarms?state=all&limit=1000", "alarms-of-"+who+".json")
		same(who, "/v1/counts", "counts-of-"+who+".json") // with it, read marks of both kinds
	}
	ids := strings.Fields(toldBy(t, "ids"))
	for i, id := range ids {
		same("anna", "/v1/alarms/"+id+"/history?limit=1000", fmt.Sprintf("history-%d.json", i))
	}
	for path, name := range map[string]string{
		"/v1/users/anna": "user-anna.json", "/v1/users/bob": "user-bob.json",
		"/v1/devices/pump-1": "device-1.json", "/v1/devices/pump-4": "device-4.json", "/v1/devices/pump-7": "device-7.json",
	} {
		same("root", path, name)
	}
	s.want(s.request("GET", "/v1/devices/pump-5", people["root"], ""), 404)
	s.resumesFromThen(people["anna"])
	s.want(s.request("GET", "/v1/inbox?ticket="+strings.TrimSpace(toldBy(t, "ticket")), "", ""), 401)

	// And it goes on from there.
	a := s.want(s.request("POST", "/v1/alarms/"+ids[1]+"/ack", people["anna"], `{"note":"today"}`), 200)
	if !strings.Contains(a.body, `"acked_by":"anna"`) {
		t.Errorf("%s", a.body)
	}
	s.want(s.request("POST", "/v1/alarms", people["root"], `{"device":"pump-7","type":"type.1","severity":"critical"}`), 202)
	s.kill()
	s.start()
	s.want(s.request("GET", "/v1/alarms/"+ids[1], people["anna"], ""), 200)
}

// A pageOfThen is a page that the earlier program gave.
type pageOfThen struct {
	Entries []struct{ Seq uint64 }
	Cursor  string
	Gap     any
}

func toldPage(t *testing.T, name string) (p pageOfThen) {
	t.Helper()
	if err := json.Unmarshal([]byte(toldBy(t, name)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// resumesFromThen reads on from a cursor that the earlier program gave while more was
// published: what follows it comes once, in order, without a gap.
func (s *server) resumesFromThen(token string) {
	s.t.Helper()
	var want []struct{ Seq uint64 }
	for page := 1; page <= 4; page++ {
		want = append(want, toldPage(s.t, fmt.Sprintf("inbox-of-anna-%d.json", page)).Entries...)
	}
	first := toldPage(s.t, "page-of-ten.json")
	want = want[len(first.Entries):]
	var got []struct{ Seq uint64 }
	for at := first.Cursor; len(got) < len(want); {
		var p pageOfThen
		s.want(s.request("GET", "/v1/inbox?limit=1000&cursor="+at, token, ""), 200).json(s.t, &p)
		if got = append(got, p.Entries...); p.Gap != nil || len(p.Entries) == 0 {
			break
		}
		at = p.Cursor
	}
	if !reflect.DeepEqual(got, want) || len(want) < 20 {
		s.t.Errorf("from a cursor of then: %v, want %v", got, want)
	}
}

// The promise for the configuration: every setting of an earlier sample is still known,
// and means something.
func TestEverySettingOfAnEarlierSampleIsStillKnown(t *testing.T) {
	t.Parallel()
	text := toldBy(t, "tocsin.yml")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of these tests, 32 bytes and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tocsin.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t}
	out, errs, err := s.tocsin(t.Context(), "config", "check", "--config", file, "--jwt-hs256-file", secret)
	if err != nil {
		t.Fatalf("%s%v", errs, err)
	}
	n := 0
	for line := range strings.Lines(text) {
		key, _, is := strings.Cut(line, ": ")
		if !is || strings.HasPrefix(line, "#") {
			continue
		}
		n++
		if !strings.Contains("\n"+out, "\n"+key+": ") {
			t.Errorf("%s is gone", key)
		}
	}
	if n < 40 {
		t.Errorf("only %d settings were looked at", n)
	}
}
