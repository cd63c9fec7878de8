package inboxtest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"tocsin/server/inbox"
)

// subjectScan reads one subject's messages, of a log in which others lie between,
// before and after them.
func subjectScan(t *testing.T, log inbox.Log) {
	newest := map[string]uint64{}
	put := func(subject string) uint64 {
		r := log.Append(t.Context(), inbox.Proposal{Subject: subject, Expect: newest[subject], Data: []byte(subject)})[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		newest[subject] = r.Seq
		return r.Seq
	}
	const subject = "alarm.d.t.q"
	if got := scanAll(t, log, inbox.Scan{Subject: subject}); len(got) != 0 {
		t.Errorf("in an empty log: %v", got)
	}
	var want []uint64
	for i := range 300 {
		put(fmt.Sprintf("alarm.d.t.q%d", i%7))
		if i%10 == 3 {
			want = append(want, put(subject))
		}
	}
	for from, rest := range map[uint64][]uint64{
		0: want, want[0]: want, want[3]: want[3:], want[3] + 1: want[4:], want[len(want)-1] + 1: nil, 10_000: nil,
	} {
		if got := scanAll(t, log, inbox.Scan{Subject: subject, From: from}); !slices.Equal(got, rest) {
			t.Errorf("from %d: %v, want %v", from, got, rest)
		}
	}
	if got := scanAll(t, log, inbox.Scan{Subject: "alarm.d.t.none"}); len(got) != 0 {
		t.Errorf("of a subject that is none: %v", got)
	}
	stop := errors.New("enough")
	n := 0
	if err := log.Scan(t.Context(), inbox.Scan{Subject: subject}, func(m inbox.Message) error {
		if n++; n == 3 || m.Subject != subject || string(m.Data) != subject {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) || n != 3 {
		t.Errorf("a scan that is stopped gives %d messages and %v", n, err)
	}
	if err := log.Purge(t.Context(), want[5]); err != nil {
		t.Fatal(err)
	}
	if got := scanAll(t, log, inbox.Scan{Subject: subject}); !slices.Equal(got, want[5:]) {
		t.Errorf("after a purge: %v, want %v", got, want[5:])
	}
	if err := log.Purge(t.Context(), want[len(want)-1]+1); err != nil {
		t.Fatal(err)
	}
	if got := scanAll(t, log, inbox.Scan{Subject: subject}); len(got) != 0 {
		t.Errorf("after a purge of all of it: %v", got)
	}
}

// history reads what happened to an alarm, as far as it happened before the user.
func history(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	w.Member("a", "onlyA", true)
	w.Member("b", "onlyB", true)
	w.Member("a", "both", true)
	w.Member("b", "both", true)
	w.Member("*", "chief", true)
	v, _ := StartView(t, log, small)
	other := alarmEntry("d", a, inbox.Major, "another occurrence")
	other.Tag = "0.0"
	w.Append(other, true)
	w.Alarm("d", a, inbox.Major, "raised in a")
	w.Quiet("d", a, inbox.Major, "quiet in a")
	for i := range 100 {
		w.Alarm(fmt.Sprint("filler", i), a, inbox.Minor, "filler")
	}
	w.Alarm("d", b, inbox.Major, "moved to b")
	Reach(t, v, w.Alarm("d", b, 0, "over"))
	subject := inbox.AlarmSubject("d", "t", "")
	all := []string{"raised in a", "quiet in a", "moved to b", "over"}
	for user, want := range map[string][]string{"onlyA": nil, "onlyB": all[2:], "both": all, "chief": all, "nobody": nil} {
		for _, limit := range []int{1, 3, 4, 100} {
			var got []string
			for from, more := uint64(0), true; more; {
				var entries []inbox.Entry
				var err error
				entries, more, err = v.History(t.Context(), user, nil, subject, "1.0", from, limit)
				if (want == nil) != errors.Is(err, inbox.ErrNotFound) || want != nil && err != nil {
					t.Fatalf("%s: %v", user, err)
				}
				if len(entries) > limit || more && len(entries) < limit {
					t.Fatalf("%s: %d entries of %d, more is %v", user, len(entries), limit, more)
				}
				for _, e := range entries {
					got = append(got, bodyOf(string(e.Body)))
					from = e.Seq + 1
				}
			}
			wantBodies(t, user, got, want...)
		}
	}
	if _, _, err := v.History(t.Context(), "both", nil, inbox.AlarmSubject("no", "t", ""), "1.0", 0, 10); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}
