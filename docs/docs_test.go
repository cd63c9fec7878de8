package docs

// These tests show that the documentation is in order: its links lead somewhere, its
// examples are what they pretend to be, and the tests that it names exist.

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// root is the module's, seen from here.
const root = ".."

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fence    = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`")
	scenario = regexp.MustCompile("«([^»]+)»")
)

func TestLinksLeadSomewhere(t *testing.T) {
	for file, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") {
				continue // out of our hands
			}
			target := file
			if to != "" {
				target = filepath.Join(filepath.Dir(file), filepath.FromSlash(to))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
				continue
			}
			if anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("%s links to %s, and there is no such heading", file, m[1])
			}
		}
	}
}

func TestExamplesAreWhatTheyPretendToBe(t *testing.T) {
	for file, text := range pages(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			switch language, body := m[1], m[2]; language {
			case "json":
				if err := json.Unmarshal([]byte(body), new(any)); err != nil {
					t.Errorf("%s: %v in\n%s", file, err, body)
				}
			case "sh":
				parse := exec.Command("bash", "-n")
				parse.Stdin = strings.NewReader(body)
				if out, err := parse.CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s in\n%s", file, err, out, body)
				}
			case "text":
			case "html", "js", "jsx", "vue", "ts", "python", "go", "java", "dart": // web/test runs what it can
			default:
				t.Errorf("%s: a block of an unknown language %q", file, language)
			}
		}
	}
}

// A promise names the test which proves it, in code style, or a scenario of
// inboxtest, in angled quotes.
func TestTheTestsThatAreNamedExist(t *testing.T) {
	var code strings.Builder
	walk(t, ".go", func(_, text string) { code.WriteString(text) })
	for file, text := range pages(t) {
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(code.String(), "func "+m[1]+"(") {
				t.Errorf("%s names %s, which does not exist", file, m[1])
			}
		}
		for _, m := range scenario.FindAllStringSubmatch(text, -1) {
			if name := strings.Join(strings.Fields(m[1]), " "); !strings.Contains(code.String(), `"`+name+`"`) {
				t.Errorf("%s names the scenario %q, which does not exist", file, name)
			}
		}
	}
}

func TestDecisionsAreNumberedAndListed(t *testing.T) {
	all, err := filepath.Glob(filepath.Join("decisions", "*.md"))
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	number := regexp.MustCompile(`^\d{4}-[a-z0-9-]+\.md$`)
	list, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if name := filepath.Base(file); !number.MatchString(name) {
			t.Errorf("%s: want NNNN-some-words.md", name)
		} else if !strings.Contains(string(list), "(decisions/"+name+")") {
			t.Errorf("architecture.md does not mention %s", name)
		}
	}
}

// pages are the texts of all Markdown files by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	walk(t, ".md", func(file, text string) { found[file] = text })
	if found[filepath.Join(root, "README.md")] == "" {
		t.Fatal("no README.md found")
	}
	return found
}

func walk(t *testing.T, ext string, each func(file, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != root {
			switch name := d.Name(); {
			case name[0] == '.', name == "testdata", name == "node_modules", file == filepath.Join(root, "data"):
				return fs.SkipDir
			}
		}
		if d.IsDir() || filepath.Ext(file) != ext {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		each(file, string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// anchors are those that the headings of a page get.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		found[anchor] = true
	}
	return found
}
