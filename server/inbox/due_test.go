package inbox_test

import (
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// The worker sleeps until DueC rings or the time that Due named is there, so
// whatever is due first must ring, also after all that was due had been done.
func TestWhatIsDueFirstRings(t *testing.T) {
	log := &inbox.MemoryLog{}
	w := inboxtest.NewWriter(t, log)
	crew := w.Route("crew")
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{})
	due := func(device string, at time.Time) {
		e := inbox.Entry{Subject: inbox.AlarmSubject(device, "t", ""), Audience: crew, Tag: "1.x", Severity: inbox.Minor, Active: true,
			Body: []byte("{}"), Due: at}
		inboxtest.Reach(t, v, w.Append(e, true))
	}
	rings := func(want bool) {
		t.Helper()
		select {
		case <-v.DueC():
			if !want {
				t.Error("it rang")
			}
		default:
			if want {
				t.Error("it did not ring")
			}
		}
	}
	start := time.Now().Truncate(time.Millisecond).UTC()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	due("a", at(1))
	rings(true)
	due("b", at(5)) // behind what is waited for
	rings(false)
	due("c", at(0))
	rings(true)
	// While the worker does what is due, something else comes; when that is done it
	// is the first, though later than what rang last.
	if subjects, next := v.Due(at(9), 10); len(subjects) != 3 || !next.IsZero() {
		t.Errorf("due: %v, then %v", subjects, next)
	}
	due("d", at(10))
	for _, device := range []string{"a", "b", "c"} {
		due(device, time.Time{})
	}
	rings(true)
	if subjects, next := v.Due(at(9), 10); len(subjects) != 0 || !next.Equal(at(10)) {
		t.Errorf("due: %v, then %v", subjects, next)
	}
	due("d", time.Time{})
	due("e", at(11))
	rings(true)
}
