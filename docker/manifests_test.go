package docker

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// document decodes one YAML document; a key that the value has no place for is an
// error.
func document(t *testing.T, file string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, file)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Fatalf("%s: more than one document", file)
	}
}

// image is what the Dockerfile says of the environment, and which instructions there
// are besides.
func image(t *testing.T) (env, said map[string]string) {
	t.Helper()
	env, said = map[string]string{}, map[string]string{}
	for line := range strings.Lines(read(t, "Dockerfile")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[name] = rest
		if name == "ENV" {
			for _, pair := range strings.Fields(rest) {
				key, value, _ := strings.Cut(pair, "=")
				env[key] = value
			}
		}
	}
	return env, said
}

// accepted has the program judge an environment, in which files are the secret, and
// returns the settings that come of it, by name.
func accepted(t *testing.T, env map[string]string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "config", "check")
	for key, value := range env {
		if strings.HasSuffix(key, "_FILE") {
			value = secret
		}
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil || told.Len() > 0 {
		t.Fatalf("%v: %v: %s", env, err, &told)
	}
	var found map[string]any
	if err := yaml.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for name, value := range found {
		settings[name] = strings.Trim(fmt.Sprint(value), "[]")
	}
	return settings
}

// longest is how long a node may take to end, with these settings: what it is given
// to drain, a third more, and ten seconds for the rest.
func longest(t *testing.T, settings map[string]string) time.Duration {
	t.Helper()
	drain, err := time.ParseDuration(settings["drain"])
	if err != nil {
		t.Fatal(err)
	}
	return drain*4/3 + 10*time.Second
}

// merged is the first map with what the others add.
func merged(all ...map[string]string) map[string]string {
	m := map[string]string{}
	for _, one := range all {
		maps.Copy(m, one)
	}
	return m
}

type compose struct {
	Name         string
	XNode        any `yaml:"x-node"`
	XEnvironment any `yaml:"x-environment"`
	Services     map[string]service
	Networks     map[string]struct {
		Ipam struct{ Config []struct{ Subnet string } }
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
}

type service struct {
	Image       string
	Build       struct{ Context, Dockerfile string }
	Environment map[string]string
	Secrets     []string
	Volumes     []string
	Ports       []string
	Tmpfs       []string
	Networks    map[string]struct {
		Address string `yaml:"ipv4_address"`
	}
	ReadOnly bool     `yaml:"read_only"`
	CapDrop  []string `yaml:"cap_drop"`
	Security []string `yaml:"security_opt"`
	Ulimits  map[string]int
	Restart  string
	Grace    string `yaml:"stop_grace_period"`
}

func TestComposeFitsTheImage(t *testing.T) {
	env, said := image(t)
	for file, nodes := range map[string]int{"compose.yml": 1, "compose.cluster.yml": 3} {
		var c compose
		document(t, file, &c)
		var found int
		for name, s := range c.Services {
			if s.Image != "tocsin" {
				continue
			}
			found++
			settings := accepted(t, merged(env, s.Environment))
			if grace, err := time.ParseDuration(s.Grace); err != nil || grace < longest(t, settings) {
				t.Errorf("%s: %s is killed after %s and may need %v", file, name, s.Grace, longest(t, settings))
			}
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Build.Dockerfile != "docker/Dockerfile" {
				t.Errorf("%s: %s: %+v", file, name, s)
			}
			if _, ok := c.Volumes[strings.TrimSuffix(strings.Join(s.Volumes, " "), ":"+env["TOCSIN_DATA"])]; !ok {
				t.Errorf("%s: %s does not keep %s: %v", file, name, env["TOCSIN_DATA"], s.Volumes)
			}
			for key, path := range s.Environment {
				if mounted, ok := strings.CutPrefix(path, "/run/secrets/"); ok && (!slices.Contains(s.Secrets, mounted) || c.Secrets[mounted].File == "") {
					t.Errorf("%s: %s: nobody gives it %s", file, name, key)
				}
			}
			for _, port := range s.Ports {
				inside := port[strings.LastIndex(port, ":")+1:]
				if !slices.Contains(strings.Fields(said["EXPOSE"]), inside) {
					t.Errorf("%s: %s publishes %s, which the image does not serve", file, name, port)
				}
			}
			if peers := settings["cluster-peers"]; nodes > 1 && !strings.Contains(peers, name+settings["cluster-listen"]) {
				t.Errorf("%s: %s is not among the peers %s", file, name, peers)
			}
		}
		if found != nodes {
			t.Errorf("%s has %d nodes, want %d", file, found, nodes)
		}
	}
	if env["TOCSIN_HTTP"] != ":8080" || env["TOCSIN_OPS"] != ":8081" || said["EXPOSE"] != "8080 8081" || said["VOLUME"] != env["TOCSIN_DATA"] {
		t.Errorf("the image serves and stores where it does not say: %v, %v", env, said)
	}
}

// nginx.cluster.conf is nginx.conf, which the tests of the transports run, with the
// addresses of compose.cluster.yml.
func TestTheClustersNginxIsTheOthers(t *testing.T) {
	var c compose
	document(t, "compose.cluster.yml", &c)
	var servers []string
	for _, s := range c.Services {
		for _, n := range s.Networks {
			if n.Address != "" {
				servers = append(servers, "server "+n.Address+":8080 max_fails=1 fail_timeout=1s;")
			}
		}
	}
	slices.Sort(servers)
	normal := func(file string) string {
		text := read(t, file)
		text = text[strings.Index(text, "worker_processes"):]
		text = regexp.MustCompile(`(\s*(# )?server [0-9.]+:8080 .*;)+`).ReplaceAllString(text, "\n SERVERS")
		return regexp.MustCompile(`listen [0-9.:]+;`).ReplaceAllString(text, "LISTEN")
	}
	if normal("nginx.conf") != normal("nginx.cluster.conf") {
		t.Error("nginx.cluster.conf differs from nginx.conf in more than addresses")
	}
	found := regexp.MustCompile(`server [0-9.]+:8080 .*;`).FindAllString(read(t, "nginx.cluster.conf"), -1)
	if want := append(servers, servers...); len(servers) != 3 || !slices.Equal(found, want) {
		t.Errorf("nginx goes to %v, want %v", found, want)
	}
}

func TestTheUnitIsHardenedAndLeavesTimeToDrain(t *testing.T) {
	text := read(t, "tocsin.service")
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^Environment=(\w+)=(.*)$`).FindAllStringSubmatch(text, -1) {
		env[m[1]] = m[2]
	}
	settings := accepted(t, env)
	grace := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(text)
	if d, err := time.ParseDuration(grace[1]); err != nil || d < longest(t, settings) {
		t.Errorf("it is killed after %s", grace[1])
	}
	if env["TOCSIN_DATA"] != "%S/tocsin" || !strings.Contains(text, "\nStateDirectory=tocsin\n") ||
		env["TOCSIN_JWT_HS256_FILE"] != "%d/jwt.key" || !strings.Contains(text, "\nLoadCredential=jwt.key:") {
		t.Errorf("it cannot reach its files: %v", env)
	}
	// systemd looks whether the program is there.
	unit := filepath.Join(t.TempDir(), "tocsin.service")
	if err := os.WriteFile(unit, []byte(strings.Replace(text, "ExecStart=/usr/local/bin/tocsin", "ExecStart="+binary, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if told := run(t, "", "systemd-analyze", "verify", "--man=no", unit); told != "" {
		t.Error(told)
	}
	// 0 is locked up, 100 is open; a unit that says nothing has 96.
	run(t, "", "systemd-analyze", "security", "--offline=yes", "--threshold=15", unit)
}
