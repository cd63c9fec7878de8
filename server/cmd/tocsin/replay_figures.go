package main

import (
	"io"
	"math"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"tocsin/server/client"
)

// A figures is what a replay did, counted from the results. A duplicate counts
// with its first outcome, so that it does not matter how often it was sent. The
// names are those of the figures that come with recordings, to be compared.
type figures struct {
	Events      int     `json:"events"`
	Occurrences int     `json:"occurrences"`       // status raised
	Repeats     int     `json:"repeat raises"`     // status repeated
	Clears      int     `json:"clears that clear"` // status cleared
	Orphans     int     `json:"orphan clears"`     // status orphan
	Late        int     `json:"late"`
	Rejected    int     `json:"rejected"`
	Duplicates  int     `json:"duplicates"` // of all the above
	Active      int     `json:"active at the end"`
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"events per second"`
}

func (f *figures) count(r client.Result) {
	f.Events++
	if r.Duplicate {
		f.Duplicates++
	}
	switch r.Status {
	case client.StatusRaised:
		f.Occurrences++
	case client.StatusRepeated:
		f.Repeats++
	case client.StatusCleared:
		f.Clears++
	case client.StatusOrphan:
		f.Orphans++
	case client.StatusLate:
		f.Late++
	case client.StatusRejected:
		f.Rejected++
	}
}

func (f *figures) finish(took time.Duration, active map[string]bool) {
	f.Active = len(active)
	f.Seconds = math.Round(took.Seconds()*1000) / 1000
	if took > 0 {
		f.Rate = math.Round(float64(f.Events) / took.Seconds())
	}
}

// A progress is a bar on a terminal, and nothing elsewhere.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(w io.Writer, events int) progress {
	f, is := w.(*os.File)
	if !is || !term.IsTerminal(int(f.Fd())) {
		return progress{}
	}
	return progress{progressbar.NewOptions(events,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("replay"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("events"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())}
}

// A bar that cannot be drawn is no reason to stop.
func (p progress) add(n int) {
	if p.bar != nil {
		_ = p.bar.Add(n)
	}
}

func (p progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
	}
}
