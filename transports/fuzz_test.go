package transports

import (
	"net/http"
	"strings"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// A stream begins whatever cursor its client brings: one that is none becomes a
// gap, whose text can stand in any protocol.
func FuzzOpen(f *testing.F) {
	f.Add("earliest", "", "", true)
	f.Add("", "e.1.h", "snapshot=active", false)
	f.Add("\r\nid: x", "", "snapshot=no", true)
	f.Add(strings.Repeat("x", 70), "", "cursor=a&cursor=b", false)
	log := &inbox.MemoryLog{}
	inboxtest.NewWriter(f, log)
	v, _ := inboxtest.StartView(f, log, inbox.ViewOptions{})
	f.Fuzz(func(t *testing.T, cursor, lastEventID, query string, snapshot bool) {
		s, err := Open(v, Client{User: "ada"}, inbox.Start{Cursor: cursor, Snapshot: snapshot})
		if err != nil {
			t.Fatalf("%q: %v", cursor, err)
		}
		defer s.Reader.Close()
		b, err := s.Reader.Read(t.Context(), 1)
		if err != nil {
			t.Fatalf("%q: %v", cursor, err)
		}
		if b.Gap != nil && b.Gap.From != printable(b.Gap.From) {
			t.Errorf("the gap repeats %q", b.Gap.From)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gw/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		r.Header.Set("Last-Event-ID", lastEventID)
		if start, err := StartOf(r); err == nil && lastEventID != "" && start.Cursor != lastEventID {
			t.Errorf("the header says %q, and it begins at %q", lastEventID, start.Cursor)
		}
	})
}

// Times are those of RFC 3339, or the error names the parameter.
func FuzzTimeOf(f *testing.F) {
	f.Add("2026-11-21T02:00:00.250Z")
	f.Add("2026-11-21T02:00:00+25:00")
	f.Add("tomorrow")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := TimeOf("until", text)
		if err != nil && !strings.HasPrefix(err.Error(), "until: ") || err == nil && text != "" && at.IsZero() && !strings.HasPrefix(text, "0001") {
			t.Errorf("%q is %v, %v", text, at, err)
		}
	})
}
