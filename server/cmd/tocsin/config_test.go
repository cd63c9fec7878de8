package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/alarm"
)

// load reads a configuration as `tocsin serve` would. It adds a key to verify
// tokens with, without which nothing is complete.
func load(t *testing.T, file string, env, args []string) (configuration, error) {
	t.Helper()
	var c configFlags
	cmd := &cobra.Command{}
	c.register(cmd)
	args = append([]string{"--jwt-audience", "x", "--jwt-pem-file", "keys.pem"}, args...)
	if file != "" {
		path := filepath.Join(t.TempDir(), "tocsin.yml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return c.load(env)
}

func TestTheSampleHasEverySettingInOrderWithItsDefaultAndAReason(t *testing.T) {
	conf := configuration{settings: defaults(), origins: map[string]origin{}}
	path := filepath.Join(t.TempDir(), "tocsin.yml")
	if err := os.WriteFile(path, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	table := conf.table()
	if err := conf.readFile(path, table); err != nil {
		t.Fatal(err)
	}
	got := defaults()
	for _, s := range got.table() {
		if s.secret {
			if !strings.Contains(sample, s.env()) {
				t.Errorf("the sample does not say that there is %s", s.env())
			}
			continue
		}
		o, found := conf.origins[s.name]
		if !found {
			t.Errorf("the sample lacks %s", s.name)
			continue
		}
		if o.text != s.value.String() {
			t.Errorf("%s: the sample has %q, the default is %q", s.name, o.text, s.value)
		}
		if err := s.value.Set(o.text); err != nil {
			t.Errorf("%s: %v, not %q", s.name, err, o.text)
		}
	}
	if want := defaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("the sample gives\n%+v\nwant the defaults\n%+v", got, want)
	}
	var keys, names []string
	reason := false
	for line := range strings.SplitSeq(sample, "\n") {
		switch key, _, isKey := strings.Cut(line, ": "); {
		case strings.HasPrefix(line, "# ----"), line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case isKey:
			keys = append(keys, key)
			if !reason {
				t.Errorf("%s has no comment above it", key)
			}
		}
	}
	for _, s := range table {
		if !s.secret {
			names = append(names, s.name)
		}
	}
	if !slices.Equal(keys, names) {
		t.Errorf("the sample's order is\n%v\nthe table's\n%v", keys, names)
	}
}

func TestEverySettingIsAFlagAVariableAndAKey(t *testing.T) {
	other := map[string]string{ // a text that is not the default
		"host:port": "127.0.0.1:9", "origins": "https://a.example", "": "false", "file": "f", "name": "n", "dir": "d",
		"groups": "g", "type=duration": "door=2h,overspeed=10m", "duration": "31s", "size": "1025KiB", "n": "3", "algorithms": "RS256",
		"name=topic": "a=b,v1/c=chat/d", "users|publish": "publish",
		"interval|always": "always", "ops|public": "public", "clamp|trust": "trust", "debug|info|warn|error": "warn", "text|json": "json",
		"protocols": "stomp", "networks": "10.0.0.0/8", "path": "/a/b", "urls": "https://a.example/hook", "events": "alarm.acked",
		"key": "s-{token}", "field": "user.id", "addresses": "10.0.0.1:6222,10.0.0.2:6222",
	}
	d := defaults()
	for _, s := range d.table() {
		text := other[s.value.Type()]
		switch s.name {
		case "nats-url":
			text = "nats://127.0.0.1:4222"
		case "session-callback-url":
			text = "http://127.0.0.1:9/whose"
		case "session-redis-url":
			text = "redis://127.0.0.1:6379/1"
		case "jwt-jwks-url":
			text = "https://id.example/keys"
		case "sockjs-client-url":
			text = "https://noc.example/sockjs.min.js"
		case "sockjs-cookie":
			text = "true"
		}
		if s.secret {
			continue
		}
		if text == "" || text == s.value.String() {
			t.Fatalf("the test has no other value for %s (%s)", s.name, s.value.Type())
		}
		ways := map[string]struct {
			file string
			env  []string
			args []string
		}{
			"flag": {args: []string{"--" + s.name + "=" + text}},
			"env":  {env: []string{s.env() + "=" + text}},
			"file": {file: s.name + ": " + `"` + text + `"`},
		}
		for way, w := range ways {
			if way != "flag" && (s.name == "jwt-audience" || s.name == "jwt-pem-file") {
				continue // the helper's flags beat them
			}
			conf, _ := load(t, w.file, w.env, w.args) // some do not stand alone
			for _, got := range conf.table() {
				if got.name == s.name && got.value.String() != text {
					t.Errorf("%s by %s is %q, want %q", s.name, way, got.value, text)
				}
			}
		}
	}
}

func TestAFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault(t *testing.T) {
	file := "drain: 1s\nlease: 2s\nping-interval: 3s\n"
	env := []string{"TOCSIN_DRAIN=10s", "TOCSIN_LEASE=20s", "TOCSIN_FRAME_ENTRIES="}
	conf, err := load(t, file, env, []string{"--drain", "40s"})
	if err != nil {
		t.Fatal(err)
	}
	if conf.Drain != 40*time.Second || conf.LeaseTTL != 20*time.Second || conf.Ping != 3*time.Second || conf.FrameEntries != 100 {
		t.Errorf("drain %s, lease %s, ping-interval %s, frame-entries %d; want 40s of the flag, 20s of the environment, 3s of the file, 100 by default",
			conf.Drain, conf.LeaseTTL, conf.Ping, conf.FrameEntries)
	}
	for name, where := range map[string]string{"drain": "flag --drain", "lease": "env TOCSIN_LEASE", "frame-entries": ""} {
		if got := conf.origins[name].where; got != where {
			t.Errorf("%s comes from %q, want %q", name, got, where)
		}
	}
	if got := conf.origins["ping-interval"].where; !strings.HasSuffix(got, "tocsin.yml:3") {
		t.Errorf("ping-interval comes from %q, want its line in the file", got)
	}
}

func TestAWrongSettingIsRefusedWithItsPlaceItsValueAndWhatIsWanted(t *testing.T) {
	for _, c := range []struct {
		name, file string
		env, args  []string
		want       []string
	}{
		{"unknown key", "http: :1\nbogus: 1\n", nil, nil, []string{`tocsin.yml:2: unknown key "bogus"`}},
		{"underscores", "device_time: trust\n", nil, nil, []string{`unknown key "device_time", want "device-time"`}},
		{"twice", "replicas: 1\nreplicas: 2\n", nil, nil, []string{"tocsin.yml:2: replicas: want it once", "tocsin.yml:1"}},
		{"two wrong lines", "sync: no\nx: 1\n", nil, nil, []string{`:1: sync: want interval or always, not "no"`, `:2: unknown key "x"`}},
		{"nothing", "data:\n", nil, nil, []string{`:1: data: want one value, "" for none`}},
		{"a mapping", "replicas: {a: 1}\n", nil, nil, []string{":1: replicas: want one value"}},
		{"a list for one", "replicas: [1]\n", nil, nil, []string{":1: replicas: want one value"}},
		{"a mapping for a list", "allowed-origins: {a: 1}\n", nil, nil, []string{"want a list, such as [a, b]"}},
		{"no mapping", "- a\n", nil, nil, []string{":1: want lines of the form 'key: value'"}},
		{"no YAML", "a: [\n", nil, nil, []string{"tocsin.yml: line"}},
		{"two documents", "replicas: 1\n---\nreplicas: 2\n", nil, nil, []string{"one YAML document"}},
		{"secret in the file", "jwt-hs256: abc\n", nil, nil, []string{"want the variable TOCSIN_JWT_HS256"}},
		{"choice", "", []string{"TOCSIN_DEVICE_TIME=maybe"}, nil, []string{`env TOCSIN_DEVICE_TIME: device-time: want clamp or trust, not "maybe"`}},
		{"duration", "", nil, []string{"--drain", "10"}, []string{`flag --drain: drain: want a duration from 0s to 10m, such as 25s, not "10"`}},
		{"size", "", nil, []string{"--window", "1KB"}, []string{`window: want a size from 1MiB to 64GiB, such as 64MiB (units B, KiB, MiB, GiB), not "1KB"`}},
		{"size too small", "", nil, []string{"--window", "1023KiB"}, []string{"want a size from 1MiB"}},
		{"size too large", "", nil, []string{"--window", "99999999999999999GiB"}, []string{"want a size from 1MiB"}},
		{"number", "", nil, []string{"--frame-entries", "0"}, []string{`frame-entries: want a whole number from 1 to 10000, not "0"`}},
		{"bool", "", []string{"TOCSIN_ACCESS_TOKEN_IN_URL=yes"}, nil, []string{`want true or false, not "yes"`}},
		{"address", "", nil, []string{"--http", "8080"}, []string{"http: want host:port"}},
		{"port", "", nil, []string{"--http", ":70000"}, []string{"http: want host:port"}},
		{"url", "", nil, []string{"--nats-url", "http://a"}, []string{"want a URL that begins with nats://"}},
		{"url with a password", "", nil, []string{"--nats-url", "http://me:pw@a"}, []string{"http://redacted@a"}},
		{"algorithms", "", nil, []string{"--jwt-algorithms", "RS256,none"}, []string{`want a list of HS256, RS256, ES256 or EdDSA, not "RS256,none"`}},
		{"origins", "allowed-origins: [https://a/]\n", nil, nil, []string{"want a list of web origins"}},
		{"a time by type", "auto-clear: [overspeed=10]\n", nil, nil, []string{"auto-clear: want a list of type=duration with durations from 1s to 8760h, such as overspeed=10m"}},
		{"no time", "", nil, []string{"--auto-clear", "overspeed"}, []string{"want a list of type=duration"}},
		{"too short a time", "", nil, []string{"--auto-clear", "overspeed=999ms"}, []string{"want a list of type=duration"}},
		{"too long a time", "", nil, []string{"--auto-clear", "overspeed=8760h1s"}, []string{"want a list of type=duration"}},
		{"no type", "", nil, []string{"--auto-clear", "over speed=10m"}, []string{"want a list of type=duration"}},
		{"a type twice", "", nil, []string{"--auto-clear", "a=10m,a=11m"}, []string{"want a list of type=duration"}},
		{"retention below the window", "", nil, []string{"--retention", "19m"}, []string{"retention: want 0 or at least twice dedupe-window"}},
		{"no group", "unassigned-groups: []\n", nil, nil, []string{"want at least one"}},
		{"no key", "", nil, []string{"--jwt-pem-file", ""}, []string{"want a key to verify tokens with", "tocsin secret"}},
		{"two secrets", "", []string{"TOCSIN_JWT_HS256=abc"}, []string{"--jwt-hs256-file", "f"}, []string{"not both"}},
		{"no store", "", nil, []string{"--data", ""}, []string{"data: want a directory"}},
		{"mqtt elsewhere", "", nil, []string{"--nats-url", "nats://a", "--mqtt", ":1883"}, []string{"mqtt: want none with nats-url"}},
		{"no place in the key", "", nil, []string{"--session-redis-key", "session"}, []string{"session-redis-key: want {token} in it"}},
		{"no replicas", "", nil, []string{"--replicas", "3"}, []string{"replicas: want 1 without cluster-listen or nats-url"}},
		{"no address of the cluster", "", nil, []string{"--cluster-node", "a"}, []string{"cluster-listen: want an address"}},
		{"a cluster of nobody", "cluster-name: \"\"\n", nil, []string{"--cluster-listen", ":6222"}, []string{
			"cluster-name: want a name", "cluster-node: want this node's own name", "cluster-peers: want the addresses of all nodes", "cluster-secret-file: want a secret"}},
		{"two nodes", "", nil, []string{"--cluster-listen", ":6222", "--cluster-peers", "a:1,b:1"}, []string{"at least three"}},
		{"a node twice", "", nil, []string{"--cluster-listen", ":6222", "--cluster-peers", "a:1,b:1,a:1"}, []string{"cluster-peers: want each address once"}},
		{"more copies than nodes", "", nil, []string{"--cluster-listen", ":6222", "--cluster-peers", "a:1,b:1,c:1", "--replicas", "5"}, []string{"replicas: want at most"}},
		{"a peer without a port", "", nil, []string{"--cluster-peers", "a,b"}, []string{"cluster-peers: want a list of addresses"}},
		{"a name of a node", "", nil, []string{"--cluster-node", "a b"}, []string{"cluster-node: want a name of letters"}},
		{"half of TLS", "", nil, []string{"--cluster-listen", ":6222", "--cluster-ca-file", "f"}, []string{"cluster-cert-file and cluster-key-file together"}},
		{"two clusters", "", nil, []string{"--cluster-listen", ":6222", "--nats-url", "nats://a"}, []string{"want this or nats-url, not both"}},
		{"two credentials", "", nil, []string{"--nats-url", "nats://a", "--nats-creds-file", "f", "--nats-token-file", "f"}, []string{"want one of nats-creds-file"}},
		{"a user without a word", "", nil, []string{"--nats-url", "nats://a", "--nats-user", "u"}, []string{"nats-user and nats-password-file together"}},
		{"credentials for nobody", "", nil, []string{"--nats-token-file", "f"}, []string{"nats-url: want the servers"}},
		{"a certificate without its key", "", nil, []string{"--tls-cert-file", "tls.crt"}, []string{"tls-cert-file: want it and tls-key-file together"}},
		{"same address", "", nil, []string{"--ops", "127.0.0.1:8080"}, []string{"ops: want another address"}},
		{"no file", "", []string{"TOCSIN_CONFIG=/nowhere/t.yml"}, nil, []string{"read the configuration: open /nowhere/t.yml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.file, c.env, c.args)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error\n%v\ndoes not say\n%s", err, want)
				}
			}
			if strings.Contains(err.Error(), "pw") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestAFileOfCommentsIsNoSettings(t *testing.T) {
	for _, file := range []string{"# nothing\n", "---\n", " "} {
		if conf, err := load(t, file, nil, nil); err != nil || conf.HTTP != defaults().HTTP {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestSettingsAreWrittenAsTheyAreRead(t *testing.T) {
	d := 90 * time.Minute
	n := int64(1536)
	for want, v := range map[string]value{
		"1h30m": durationValue{&d, 0, day},
		"1536B": sizeValue{&n, 0, maxSize},
		"a,b":   listValue{p: &[]string{"a", "b"}},
		"a=1s,b=8760h": spansValue{p: &map[string]time.Duration{"b": 365 * day, "a": time.Second}, fits: alarm.CheckType,
			least: time.Second, most: 365 * day},
		"always":  choiceValue{&[]string{"always"}[0], []string{"always"}},
		"64MiB":   sizeValue{&[]int64{64 << 20}[0], 0, maxSize},
		"0":       sizeValue{&[]int64{0}[0], 0, maxSize},
		"250ms":   durationValue{&[]time.Duration{250 * time.Millisecond}[0], 0, day},
		"1h":      durationValue{&[]time.Duration{time.Hour}[0], 0, day},
		"10m":     durationValue{&[]time.Duration{10 * time.Minute}[0], 0, day},
		"1m30s":   durationValue{&[]time.Duration{90 * time.Second}[0], 0, day},
		"0s":      durationValue{new(time.Duration), 0, day},
		"1h0m10s": durationValue{&[]time.Duration{time.Hour + 10*time.Second}[0], 0, day},
	} {
		if got := v.String(); got != want {
			t.Errorf("%#v is written %q, want %q", v, got, want)
		}
		if err := v.Set(want); err != nil || v.String() != want {
			t.Errorf("%q is read as %q: %v", want, v.String(), err)
		}
	}
}

func TestConfigCheckPrintsAFileThatGivesTheSameSettingsWithoutSecrets(t *testing.T) {
	t.Setenv("TOCSIN_JWT_HS256", "a secret of 32 bytes that is never to be printed")
	t.Setenv("TOCSIN_DEVICE_TIM", "trust")
	t.Setenv("TOCSIN_PORT", "tcp://10.0.0.1:8080")
	got := call(t, "", "config", "check", "--nats-url", "nats://me:pass@127.0.0.1:4222/x", "--allowed-origins", "https://a,https://b")
	got.ok(t)
	if strings.Contains(got.out, "never to be printed") || strings.Contains(got.out, "pass@") {
		t.Errorf("it prints a secret:\n%s", got.out)
	}
	for _, want := range []string{
		"# jwt-hs256: redacted\t# env TOCSIN_JWT_HS256\n",
		`nats-url: "nats://redacted@127.0.0.1:4222/x" # flag --nats-url`,
		`allowed-origins: ["https://a", "https://b"] # flag --allowed-origins`,
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in\n%s", want, got.out)
		}
	}
	if got.err != "tocsin: ignored: TOCSIN_DEVICE_TIM is no setting\n" {
		t.Errorf("it tells, besides the settings:\n%s", got.err)
	}
	if _, err := load(t, got.out, nil, nil); err != nil {
		t.Errorf("what it prints is no file: %v", err)
	}
}

func TestConfigCheckRefusesWhatServeWould(t *testing.T) {
	for _, args := range [][]string{
		{"config", "check"},
		{"config", "check", "--jwt-hs256-file", filepath.Join(t.TempDir(), "none")},
		{"config", "check", "--drain", "x"},
		{"config", "chek"},
		{"config"},
		{"config", "check", "--bogus"},
		{"config", "sample", "x"},
	} {
		if got := call(t, "", args...); got.code != exitUsage || !strings.HasPrefix(got.err, "tocsin: ") {
			t.Errorf("%v: exit code %d, %q", args, got.code, got.err)
		}
	}
}
