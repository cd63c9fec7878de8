package docker

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// A family is what is served under one name.
type family struct {
	kind   string
	labels map[string]bool
}

var (
	typeLine = regexp.MustCompile(`^# TYPE (\S+) (\S+)$`)
	sample   = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	label    = regexp.MustCompile(`([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"`)
	suffix   = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// families reads the text format of Prometheus.
func families(t *testing.T, text string) map[string]family {
	t.Helper()
	found := map[string]family{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := typeLine.FindStringSubmatch(line); m != nil {
			found[m[1]] = family{m[2], map[string]bool{}}
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			if line != "" && line[0] != '#' {
				t.Fatalf("no sample: %s", line)
			}
			continue
		}
		f, ok := found[m[1]]
		if !ok {
			f = found[suffix.ReplaceAllString(m[1], "")]
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" && l[1] != "quantile" {
				f.labels[l[1]] = true
			}
		}
	}
	return found
}

// served is what a gateway serves that has everything on and was used.
func served(t *testing.T) string {
	t.Helper()
	n := start(t, "--mqtt", "127.0.0.1:0", "--hook-url", "http://127.0.0.1:9/", "--hook-secret-file", secret)
	if got := n.do("POST", n.http+"/v1/alarms", `{"device":"d","type":"t","severity":"major"}`); !strings.Contains(got, `"raised"`) {
		t.Fatal(got)
	}
	n.do("GET", n.http+"/v1/inbox?cursor=nonsense", "")
	n.do("GET", n.http+"/v1/inbox", "")
	return n.do("GET", n.ops+"/metrics", "")
}

func TestEveryMetricIsDocumented(t *testing.T) {
	text := served(t)
	if told := run(t, text, "promtool", "check", "metrics"); told != "" {
		t.Errorf("promtool: %s", told)
	}
	row := regexp.MustCompile("(?m)^\\| `(tocsin_\\w+)` \\| (\\w+) \\| ([^|]*)\\| ([^|]+) \\| (.+) \\|$")
	name := regexp.MustCompile("`(\\w+)`")
	said := map[string]family{}
	for _, m := range row.FindAllStringSubmatch(read(t, "../docs/metrics.md"), -1) {
		f := family{m[2], map[string]bool{}}
		for _, l := range name.FindAllStringSubmatch(m[3], -1) {
			f.labels[l[1]] = true
		}
		said[m[1]] = f
	}
	is := families(t, text)
	for metric, f := range is {
		switch of, ok := said[metric]; {
		case !strings.HasPrefix(metric, "tocsin_"):
		case !ok:
			t.Errorf("%s is not documented", metric)
		case of.kind != f.kind || !maps.Equal(of.labels, f.labels):
			t.Errorf("%s is a %s with %v, not a %s with %v", metric, f.kind, f.labels, of.kind, of.labels)
		}
	}
	for metric := range said {
		if _, ok := is[metric]; !ok {
			t.Errorf("%s is documented and not served", metric)
		}
	}
}

// A query is one of the dashboard or of an alert.
type query struct{ where, expr string }

func queries(t *testing.T) (all []query) {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/tocsin.json")), &board); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, query{p.Title, variables.Replace(target.Expr)})
		}
	}
	for _, a := range alerts(t) {
		all = append(all, query{a.Alert, a.Expr})
	}
	if len(all) < 50 {
		t.Fatalf("only %d queries were found", len(all))
	}
	return all
}

type alert struct{ Alert, Expr string }

func alerts(t *testing.T) []alert {
	t.Helper()
	var rules struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/tocsin-alerts.yml")), &rules); err != nil || len(rules.Groups) != 1 {
		t.Fatal(rules, err)
	}
	return rules.Groups[0].Rules
}

var (
	grouping   = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	quoted     = regexp.MustCompile(`"[^"]*"`)
	span       = regexp.MustCompile(`\[[^\]]*\]|\boffset \w+`)
	identifier = regexp.MustCompile(`\b[a-z_][a-z0-9_]*\b(\{[^}]*\}|\s*\()?`)
	matcher    = regexp.MustCompile(`(\w+)\s*[!=]`)
)

// TestQueriesAskForWhatThereIs looks for every metric and label of the queries in what
// is served, and has promtool read each of them.
func TestQueriesAskForWhatThereIs(t *testing.T) {
	is := families(t, served(t))
	// Prometheus' own: of every target.
	is["up"] = family{"gauge", map[string]bool{}}
	used := map[string]bool{}
	var rules []map[string]string
	for _, q := range queries(t) {
		rules = append(rules, map[string]string{"record": "query", "expr": q.expr})
		labels := map[string]bool{"job": true, "instance": true, "le": true}
		var asked []string
		bare := span.ReplaceAllString(q.expr, "")
		for _, m := range identifier.FindAllStringSubmatch(grouping.ReplaceAllString(bare, ""), -1) {
			if strings.HasSuffix(m[1], "(") || slices.Contains([]string{"and", "or", "unless", "bool"}, m[0]) {
				continue
			}
			name, matchers, _ := strings.Cut(m[0], "{")
			f, ok := is[name]
			if !ok {
				if name = suffix.ReplaceAllString(name, ""); is[name].kind != "histogram" {
					t.Errorf("%s: there is no %s in %s", q.where, name, q.expr)
					continue
				}
				f = is[name]
			} else if f.kind == "histogram" {
				t.Errorf("%s: %s is a histogram in %s", q.where, name, q.expr)
			}
			used[name] = true
			maps.Copy(labels, f.labels)
			for _, l := range matcher.FindAllStringSubmatch(quoted.ReplaceAllString(matchers, ""), -1) {
				asked = append(asked, l[1])
			}
		}
		for _, m := range grouping.FindAllStringSubmatch(bare, -1) {
			for _, l := range strings.Split(m[1], ",") {
				asked = append(asked, strings.TrimSpace(l))
			}
		}
		for _, l := range asked {
			if !labels[l] {
				t.Errorf("%s: there is no label %s in %s", q.where, l, q.expr)
			}
		}
	}
	for name := range is {
		if strings.HasPrefix(name, "tocsin_") && !used[name] {
			t.Errorf("no query shows %s", name)
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "promtool", "check", "rules", "--lint=none", file)
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	run(t, "", "promtool", "check", "config", "prometheus/prometheus.yml") // and the rules that it names
	run(t, "", "promtool", "test", "rules", "prometheus/tocsin-alerts.test.yml")
	tried := read(t, "prometheus/tocsin-alerts.test.yml")
	for _, a := range alerts(t) {
		if !strings.Contains(tried, `ALERTS{alertname="`+a.Alert+`",alertstate="firing",`) {
			t.Errorf("nothing shows that %s fires", a.Alert)
		}
	}
}
