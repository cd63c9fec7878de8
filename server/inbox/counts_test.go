package inbox

import (
	"testing"
	"time"
)

func TestAppendMilliWritesWhatTheLayoutSays(t *testing.T) {
	for _, at := range []time.Time{
		time.UnixMilli(0), time.Date(2026, 11, 21, 2, 0, 0, 250e6, time.UTC), time.Date(1999, 12, 31, 23, 59, 59, 999e6, time.UTC),
		time.Date(2024, 2, 29, 0, 0, 0, 1e6, time.FixedZone("", 3600)), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, want := string(appendMilli(nil, at.UnixMilli())), at.UTC().Format(TimeFormat); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
