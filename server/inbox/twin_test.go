package inbox

import (
	"encoding/json"
	"fmt"
	"testing"
)

// Readers of the same groups find the same whoever looks first, and each his own
// counters; one with an audience of his own finds that, too.
func TestReadersOfOneReadershipFindTheSame(t *testing.T) {
	log := &MemoryLog{}
	v := NewView(log, ViewOptions{})
	go func() { _ = v.Run(t.Context()) }() // ends with the test
	<-v.Ready()
	append1 := func(e Entry) uint64 {
		t.Helper()
		r := log.Append(t.Context(), Proposal{Subject: e.Subject, Data: e.Encode()})
		if r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
		if err := v.Wait(t.Context(), r[0].Seq); err != nil {
			t.Fatal(err)
		}
		return r[0].Seq
	}
	append1(Entry{Subject: RouteSubject("r"), Groups: []string{"crew"}})
	notice := func(to Audience, i int) uint64 {
		return append1(Entry{Subject: NoticeSubject(to, fmt.Sprint(i)), Audience: to, Rev: 1, Body: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	users := []string{"ann", "bob", "eve"}
	readers := map[string]*Reader{}
	for _, u := range users {
		r, err := v.Open(u, []string{"crew"}, Start{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Read(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		readers[u] = r
	}
	v.SetMark("bob", Mark{Upto: notice(RouteAudience("r"), 0), Rev: 1})
	want := map[string]string{"ann": "[0 1]/2", "bob": "[0 1]/1", "eve": "[0 1 2]/3"}
	notice(RouteAudience("r"), 1)
	notice(UserAudience("eve"), 2)
	for round := range 2 { // in either order of those who look
		for _, u := range users {
			b, ok := readers[u].Look(10)
			if !ok {
				t.Fatal("a look needs the log")
			}
			if got := numbersOf(t, &b); got != want[u] {
				t.Errorf("%s finds %s, want %s", u, got, want[u])
			}
			if b.Cursor != readers[u].Cursor() && len(b.Items) > 0 && b.to.String() != b.Cursor {
				t.Errorf("%s has the cursor %s and stands at %s", u, b.Cursor, b.to)
			}
		}
		notice(RouteAudience("r"), 3+round)
		want = map[string]string{"ann": "[3]/3", "bob": "[3]/2", "eve": "[3]/4"}
		users = []string{"eve", "bob", "ann"}
	}
}

// numbersOf is the numbers of a batch's notices, and how many the user has not read.
func numbersOf(t *testing.T, b *Batch) string {
	t.Helper()
	numbers := []int{}
	for i := range b.Items {
		var entry struct{ N int }
		if err := json.Unmarshal(b.Items[i].AppendJSON(nil), &entry); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, entry.N)
	}
	return fmt.Sprintf("%v/%d", numbers, b.Counts.Unread)
}
