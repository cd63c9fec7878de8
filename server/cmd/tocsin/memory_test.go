package main

import "testing"

func TestMemoryIsGivenBackByOneAtRest(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		before, now appraisal
		want        bool
	}{
		"at rest, much to gain":  {appraisal{allocated: 500 * mb}, appraisal{allocated: 501 * mb, live: 40 * mb, held: 200 * mb}, true},
		"busy":                   {appraisal{allocated: 500 * mb}, appraisal{allocated: 600 * mb, live: 40 * mb, held: 200 * mb}, false},
		"little to gain":         {appraisal{allocated: 500 * mb}, appraisal{allocated: 501 * mb, live: 40 * mb, held: 60 * mb}, false},
		"little of much to gain": {appraisal{allocated: 500 * mb}, appraisal{allocated: 501 * mb, live: 900 * mb, held: 1000 * mb}, false},
		"a quarter of much":      {appraisal{allocated: 500 * mb}, appraisal{allocated: 501 * mb, live: 900 * mb, held: 1200 * mb}, true},
	} {
		if got := c.now.worth(c.before); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if a := appraise(); a.held == 0 || a.allocated == 0 {
		t.Errorf("the runtime says %+v", a)
	}
}
