package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration file is read, or every complaint about it says where it stands;
// what is read is written in a way that is read the same.
func FuzzConfigurationFile(f *testing.F) {
	sample, err := os.ReadFile("tocsin.yml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte("http: 127.0.0.1:8080\ndrain: 30s\nwindow: 64MiB\n"))
	f.Add([]byte("drain: [1s]\nnonsense: 7\nhttp: null\n"))
	f.Add([]byte("a: &a [*a]\n---\n"))
	f.Add([]byte("jwt_hs256_file: x\nhttp: x\nhttp: y"))
	f.Add([]byte("? {}\n: []\n"))
	path := filepath.Join(f.TempDir(), "tocsin.yml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c := configFlags{file: path}
		conf, err := c.read(nil)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, path) && !strings.HasPrefix(line, "  ") {
					t.Errorf("it does not say where: %q", line)
				}
			}
			return
		}
		checkSettings(t, conf.settings)
		_ = conf.check() // whatever it says, it says it
	})
}

// checkSettings wants every setting to be written as it can be read.
func checkSettings(t *testing.T, s settings) {
	t.Helper()
	again := defaults()
	twins := again.table()
	for i, one := range s.table() {
		text := one.value.String()
		if err := twins[i].value.Set(text); err != nil || twins[i].value.String() != text {
			t.Errorf("%s is written %q, and read as %q, %v", one.name, text, twins[i].value, err)
		}
	}
}

// Whatever text stands for a setting, it is taken and comes back the same, or
// refused with what is wanted.
func FuzzSettings(f *testing.F) {
	table := (&settings{}).table()
	texts := []string{"", "1h2m3s", "64MiB", " 7 B", "-1", "9223372036854775807GiB", "true", "a=1s,b=2s", "[::1]:8080", ":", "redis://:p@h/1,x", "v1/chat=chat/v1", "a, b ,,c", "/ws/alarm", "0.0000001ns", "NaN"}
	for i := range table {
		d := defaults()
		f.Add(byte(i), d.table()[i].value.String())
		f.Add(byte(i), texts[i%len(texts)])
	}
	f.Fuzz(func(t *testing.T, which byte, text string) {
		s := defaults()
		table := s.table()
		one := table[int(which)%len(table)]
		before := one.value.String()
		if err := one.value.Set(text); err != nil {
			if !strings.HasPrefix(err.Error(), "want ") || one.value.String() != before {
				t.Errorf("%s: %q is refused with %q and leaves %q", one.name, text, err, one.value)
			}
			return
		}
		checkSettings(t, s)
	})
}

// A recorded line is an event with a time, or refused.
func FuzzRecording(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-21T02:00:00Z","device":"d","type":"t","severity":"major","fleet":"a"}`), "fleet")
	f.Add([]byte(`{"time":"x"}`), "")
	f.Add([]byte(`{"time":"2026-11-21T02:00:00Z","fleet":7}`), "fleet")
	f.Add([]byte(`null`), "")
	f.Fuzz(func(t *testing.T, line []byte, groupsFrom string) {
		rec := &recordings{groups: map[string]map[string]bool{}}
		err := rec.read("file:1", line, groupsFrom)
		if err == nil && (len(rec.events) != 1 || rec.events[0].at.IsZero() && !strings.Contains(string(line), "0001")) {
			t.Errorf("%s gives %+v", line, rec.events)
		}
	})
}
