package inbox

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEscapeIsReversible(t *testing.T) {
	for _, s := range []string{"", "_", "__", "=5F", "860000000000017", "Kelmarsh 2", "R04-M1-N4-I:J18-U11", "a.b", "*", ">", "ümlaut", "\x00\r\n", "a/b"} {
		token := Escape(s)
		if strings.ContainsAny(token, " .*>/\r\n\x00") || token == "" {
			t.Errorf("Escape(%q) = %q", s, token)
		}
		if got, ok := Unescape(token); !ok || got != s {
			t.Errorf("Unescape(%q) = %q, %v, want %q", token, got, ok, s)
		}
	}
	for _, bad := range []string{"", "=", "=4", "=zz", "=41", "a b", "a.b", "=2e"} {
		if got, ok := Unescape(bad); ok {
			t.Errorf("Unescape(%q) = %q", bad, got)
		}
	}
}

func TestIDsNameTheirSubject(t *testing.T) {
	e := Entry{Subject: AlarmSubject("Kelmarsh 2", "a.b:c", ""), Tag: AlarmTag(3, time.UnixMilli(1763690400250))}
	subject, tag, ok := ParseID(e.ID())
	if !ok || subject != e.Subject || tag != e.Tag {
		t.Errorf("ParseID(%q) = %q, %q, %v", e.ID(), subject, tag, ok)
	}
	for _, to := range []Audience{Everyone, UserAudience("ann"), RouteAudience("g-ops")} {
		n := Entry{Subject: NoticeSubject(to, "n.1")}
		if subject, _, ok := ParseID(n.ID()); !ok || subject != n.Subject {
			t.Errorf("ParseID(%q) = %q, %v", n.ID(), subject, ok)
		}
	}
	for _, bad := range []string{"", "a", "a.b", "x.y.z", "a.b.c.d", "a.b.c.d.e.f", "a b.c.d.1.0", "....", "all.*"} {
		if subject, tag, ok := ParseID(bad); ok {
			t.Errorf("ParseID(%q) = %q, %q", bad, subject, tag)
		}
	}
}

func TestCursorText(t *testing.T) {
	for _, c := range []Cursor{
		{Epoch: "0", Groups: "1"},
		{Epoch: "0mfz3k1abxyz", Seq: 1<<64 - 1, Groups: GroupsHash([]string{"a", "b"}), Mode: CatchUp, End: 1<<64 - 1},
		{Epoch: "x", Seq: 7, Groups: "h", Mode: Snapshot, End: 9},
	} {
		s := c.String()
		if got, err := ParseCursor(s); err != nil || got != c || len(s) > MaxCursor {
			t.Errorf("ParseCursor(%q) = %+v, %v, want %+v", s, got, err, c)
		}
	}
	if _, err := ParseCursor(strings.Repeat("e", MaxCursor-len(".1.h1")) + ".1.h1"); err != nil {
		t.Errorf("a cursor of %d characters: %v", MaxCursor, err)
	}
	for _, bad := range []string{"", "garbage", "a.b", "a..b", "a.1.b.", "a.1.b.x9", "a.9.b.s8", "a.-1.b", "A.1!.b", "e.01.h", "e.Z.h",
		"e.1.h.s", strings.Repeat("e", 60) + ".1.h1", "e.zzzzzzzzzzzzzzzz.h", "ümlaut.1.h", "e.1.h\r\n"} {
		if c, err := ParseCursor(bad); !errors.Is(err, ErrCursor) {
			t.Errorf("ParseCursor(%q) = %+v, %v", bad, c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"earliest", "e.1.h", "0mfz3k1abxyz.2s.h0.c9z", "e.9.b.s8", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCursor(s); err == nil && c.String() != s {
			t.Errorf("%q reads as %q", s, c)
		}
	})
}

func TestGroupsHashIgnoresOrderAndRepeats(t *testing.T) {
	if GroupsHash([]string{"a", "b"}) != GroupsHash([]string{"b", "a", "b"}) {
		t.Error("order or repeats matter")
	}
	if GroupsHash([]string{"ab"}) == GroupsHash([]string{"a", "b"}) {
		t.Error("names run into each other")
	}
}

func fullEntry() Entry {
	return Entry{
		Seq: 9, Subject: "alarm.d.t._", Epoch: "0mfz3k1abxyz", Audience: "r.g-ops",
		Left:   []Left{{Audience: "r.g-old", Seq: 4, Tag: "1.x", Rev: 3, Time: time.UnixMilli(1763690400250).UTC()}, {Audience: "r.g-older"}},
		Status: "raised", Quiet: true, Told: 4, Prev: 3, Announced: Never, Tag: "2.y", Rev: 7,
		Severity: Critical, Active: true, Acked: true, Groups: []string{"a", "b"},
		Epochs: []Epoch{{Name: "a", First: 1}, {Name: "b", Lost: []Span{{3, 7}, {300, 1 << 40}}}}, Purged: 12, Private: []byte{0, 1}, Body: []byte(`{"type":"x"}`),
	}
}

func TestStoredEntry(t *testing.T) {
	for _, e := range []Entry{fullEntry(), {Seq: 1, Subject: "sys.epoch"}} {
		data := e.Encode()
		got, err := Decode(Message{Seq: e.Seq, Subject: e.Subject, Data: data})
		if e.Left != nil {
			got.Left[1].Time = time.Time{} // the zero time is before the epoch of milliseconds
		}
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("decoded %+v, %v\nwant %+v", got, err, e)
		}
		if _, err := Decode(Message{Data: append([]byte{99}, data...)}); !errors.Is(err, ErrStored) {
			t.Errorf("another version: %v", err)
		}
		unknown := append(slices.Clone(data), 250<<1&0xfe|0x80, 3, 5)
		if _, err := Decode(Message{Data: unknown}); err != nil {
			t.Errorf("a field of a later version: %v", err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	e := fullEntry()
	f.Add(e.Encode())
	f.Add([]byte{1})
	f.Add([]byte{1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := Decode(Message{Data: data}); err == nil {
			e.Encode()
		}
	})
}

func TestAppendStringIsJSONForAnyText(t *testing.T) {
	for _, s := range []string{"", "plain", "\r\n\r \x00\x7f\t\"\\", "</script><!--&", "日本語 😀", "\u2028\u2029", "bad \xff\xc3 bytes"} {
		text := AppendString(nil, s)
		var got string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q became %s: %v", s, text, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); got != want && s != "bad \xff\xc3 bytes" {
			t.Errorf("%q came back as %q", want, got)
		}
		if strings.ContainsAny(string(text), "<>&\r\n\x00\u2028\u2029") {
			t.Errorf("%q became %q", s, text)
		}
	}
}

func TestRouteNames(t *testing.T) {
	if got := Route([]string{"fleet-7"}); got != "g-fleet-7" {
		t.Errorf("one group: %s", got)
	}
	if Route(nil) != "" {
		t.Error("no groups have a route")
	}
	two := Route([]string{"b", "a"})
	if two != Route([]string{"a", "b", "a"}) || two == Route([]string{"ab"}) || !strings.HasPrefix(two, "s-") {
		t.Errorf("two groups: %s", two)
	}
}

// The counting tree against a plain count, with removals and late comers.
func TestAnnouncements(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var c announcements
	live := map[uint64]bool{}
	for i := range 5000 {
		seq := uint64(i + 1)
		if rng.IntN(10) == 0 {
			seq = rng.Uint64N(seq) + 1
		}
		if live[seq] {
			c.remove(seq)
			delete(live, seq)
		} else {
			c.add(seq)
			live[seq] = true
		}
		mark, want := rng.Uint64N(uint64(i)+2), 0
		if i%50 == 0 {
			for s := range live {
				if s > mark {
					want++
				}
			}
			if got := c.after(mark); got != want || c.total != len(live) {
				t.Fatalf("step %d: %d after %d, want %d; total %d, want %d", i, got, mark, want, c.total, len(live))
			}
		}
	}
}
