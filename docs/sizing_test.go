package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The guide of sizes rests on figures of performance.md, which is measured anew now
// and then.
func TestTheSizesRestOnWhatWasMeasured(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	measured := read("performance.md")
	rows := regexp.MustCompile(`(?m)^\| [mtrb]<sub>\w+</sub> \| ([^|]+) \| [^|]+ \| ([^|]+) \|$`).FindAllStringSubmatch(read("sizing.md"), -1)
	found := 0
	for _, row := range rows {
		figure, name := row[1], row[2]
		if strings.Contains(name, "`") {
			continue // by hand, and it says how
		}
		if found++; !strings.Contains(measured, "\n| "+name+" | "+figure+" |") {
			t.Errorf("performance.md does not say %s of %q: carry what was measured to sizing.md", figure, name)
		}
	}
	if found != 15 {
		t.Errorf("%d figures are compared, want 15", found)
	}
}
