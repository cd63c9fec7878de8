package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The page is that of the newest results: whoever adds results, or changes a word
// of the template, renders it.
func TestThePageIsOfTheNewestResults(t *testing.T) {
	files, err := rendered("results")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "docs", name))
		if err != nil || string(got) != string(want) {
			t.Errorf("docs/%s is not what the results say (%v); run: go run ./bench -render", name, err)
		}
	}
}

func TestTargetsAreMetOrMissed(t *testing.T) {
	for _, c := range []struct {
		f    figure
		want bool
	}{
		{figure{Value: 12, Target: &target{Bound: 12}}, true},
		{figure{Value: 12.1, Target: &target{Bound: 12}}, false},
		{figure{Value: 12, Target: &target{Bound: 12, AtLeast: true}}, true},
		{figure{Value: 11, Target: &target{Bound: 12, AtLeast: true}}, false},
		{figure{Value: 13, Floor: 10, Target: &target{Bound: 1.3, OfFloor: true}}, true},
		{figure{Value: 14, Floor: 10, Target: &target{Bound: 1.3, OfFloor: true}}, false},
		{figure{Value: 0, Target: &target{Bound: 0}}, true},
	} {
		if got := c.f.met(); got != c.want {
			t.Errorf("%v, floor %v, want %s: %v", c.f.Value, c.f.Floor, c.f.Target, got)
		}
	}
}
