package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// The floor is this program again.
func TestMain(m *testing.M) {
	if os.Getenv(floorEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every part runs with small numbers and leaves figures behind. Nothing is said
// about how large they are: that depends on the machine.
func TestEveryPartRuns(t *testing.T) {
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			var out bytes.Buffer
			dir := t.TempDir()
			if err := run(t.Context(), []string{"-short", "-only", p.name, "-out", dir}, &out); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.json"))
			if err != nil || len(files) != 1 {
				t.Fatalf("the results are in %q, %v", files, err)
			}
			text, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			var r report
			if err := json.Unmarshal(text, &r); err != nil || len(r.Figures) == 0 || !r.Short {
				t.Fatalf("%+v, %v", r, err)
			}
			for _, f := range r.Figures {
				if f.Part != p.name || f.Name == "" || f.Unit == "" {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestUnknownPartsAreRefused(t *testing.T) {
	if err := run(t.Context(), []string{"-only", "everything"}, &bytes.Buffer{}); err == nil {
		t.Error("a part that there is not was accepted")
	}
}
