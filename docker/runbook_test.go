package docker

import (
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// Every alert says where its runbook is, and that has a section that says what it
// means, what to look at and what to do; no section is of an alert that is not there.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/tocsin-alerts.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	parts := regexp.MustCompile(`(?m)^### (.+)$`).Split(read(t, "../docs/operate.md"), -1)
	names := regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(read(t, "../docs/operate.md"), -1)
	for i, m := range names {
		sections[m[1]] = parts[i+1]
	}
	alerts := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			alerts[r.Alert] = true
			text, ok := sections[r.Alert]
			if !ok {
				t.Errorf("%s has no section in docs/operate.md", r.Alert)
				continue
			}
			for _, want := range []string{"**Means:**", "**Look at:**", "**Do:**"} {
				if !strings.Contains(text, want) {
					t.Errorf("the section of %s lacks %s", r.Alert, want)
				}
			}
			if link := r.Annotations["runbook_url"]; !strings.HasSuffix(link, "docs/operate.md#"+strings.ToLower(r.Alert)) {
				t.Errorf("the runbook of %s is %q", r.Alert, link)
			}
		}
	}
	for name := range sections {
		if strings.HasPrefix(name, "Tocsin") && !alerts[name] {
			t.Errorf("docs/operate.md has %s, which is no alert", name)
		}
	}
	if len(alerts) < 20 {
		t.Errorf("only %d alerts", len(alerts))
	}
}
