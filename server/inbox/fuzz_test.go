package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Texts come back from a token as they went in, and a token is written in one way
// only.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "_", "=5F", "d.1", "日本", "a=b", "\x00\xff", "=", "=4", "=zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := Escape(s)
		if back, ok := Unescape(token); !ok || back != s || strings.ContainsAny(token, ".*> /\x00") || token == "" {
			t.Errorf("%q becomes %q, and that %q, %v", s, token, back, ok)
		}
		if text, ok := Unescape(s); ok && Escape(text) != s {
			t.Errorf("the token %q is read as %q, which is written %q", s, text, Escape(text))
		}
	})
}

// Subjects, ids and audiences are read as they are written.
func FuzzSubject(f *testing.F) {
	f.Add("alarm.d.t._", "d", "t", "")
	f.Add("alarm.d.t", "1.x", "2", "q")
	f.Add("topic.a", ".", "*", ">")
	f.Add("notice.all.1", "\xff", "_", "=5F")
	f.Fuzz(func(t *testing.T, subject, device, typ, qualifier string) {
		if d, y, q, ok := ParseAlarmSubject(AlarmSubject(device, typ, qualifier)); !ok || d != device || y != typ || q != qualifier {
			t.Errorf("%q %q %q comes back as %q %q %q, %v", device, typ, qualifier, d, y, q, ok)
		}
		if d, y, q, ok := ParseAlarmSubject(subject); ok && AlarmSubject(d, y, q) != subject {
			t.Errorf("%q is read as %q %q %q", subject, d, y, q)
		}
		if name, ok := ParseTopicSubject(subject); ok && TopicSubject(name) != subject {
			t.Errorf("%q is read as %q", subject, name)
		}
		if s, tag, ok := ParseID(subject); ok {
			if again, twice, ok := ParseID(itemID(s, tag)); !ok || again != s || twice != tag {
				t.Errorf("%q is read as %q %q, and that as %q %q, %v", subject, s, tag, again, twice, ok)
			}
		}
	})
}

// Where a page of a list ended is read as it is written; anything else is an error
// about after.
func FuzzListToken(f *testing.F) {
	f.Add("1~0mfz3k1abxyz~2s~h0~abc~zz~alarm.d.t._")
	f.Add("1~e~1~h~~0~alarm._._._")
	f.Add("1~e~0~h~q~0~alarm.d.t.q")
	f.Add("~~~~~~")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := parseListToken(s)
		if err == nil && token.String() != s {
			t.Errorf("%q is read as %+v", s, token)
		}
		var field *FieldError
		if err != nil && (!errors.As(err, &field) || field.Field != "after") {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// What is written as JSON is JSON, means the same, and is safe inside of HTML.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "</script>", "\u2028\x00\"\\", "bad \xff\xc3 bytes", "日本語 😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := AppendString(nil, s)
		var back string
		if err := json.Unmarshal(text, &back); err != nil || utf8.ValidString(s) && back != s {
			t.Errorf("%q becomes %s, and that %q, %v", s, text, back, err)
		}
		if strings.ContainsAny(string(text[1:len(text)-1]), "<>&\n\r\u2028\u2029") {
			t.Errorf("%q becomes %s", s, text)
		}
	})
}

// What is stored is read back the same, whatever was stored, and memory is bounded
// by what was.
func FuzzStoredEntry(f *testing.F) {
	e := fullEntry()
	f.Add(e.Encode())
	f.Add((&Entry{}).Encode())
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode(Message{Seq: 9, Subject: "alarm.d.t._", Data: data})
		if err != nil {
			if !errors.Is(err, ErrStored) {
				t.Errorf("an error that is none of ours: %v", err)
			}
			return
		}
		if len(e.Left)+len(e.Groups)+len(e.Epochs) > len(data) {
			t.Errorf("%d bytes make %+v", len(data), e)
		}
		once := e.Encode()
		again, err := Decode(Message{Seq: 9, Subject: "alarm.d.t._", Data: once})
		if err != nil || !bytes.Equal(again.Encode(), once) {
			t.Errorf("%+v is read back as %+v, %v", e, again, err)
		}
	})
}

// many are the notices to everyone that noticesTo begins with.
const many = 20

// noticesTo is a view of a log with notices, of which the window has the last.
func noticesTo(f *testing.F) (v *View, epoch string) {
	f.Helper()
	log := &MemoryLog{}
	epoch, err := BeginEpoch(f.Context(), log, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	for i := range many {
		e := Entry{Subject: NoticeSubject(Everyone, string(rune('a'+i))), Audience: Everyone, Tag: "1.0", Body: []byte(`{"type":"notice"}`), Epoch: epoch}
		e.Succeed(&Entry{}, true, time.Now(), 0)
		if r := log.Append(f.Context(), Proposal{Subject: e.Subject, Data: e.Encode()})[0]; r.Err != nil {
			f.Fatal(r.Err)
		}
	}
	v = NewView(log, ViewOptions{Window: 2 << 10})
	go func() { _ = v.Run(f.Context()) }() // ends with the target
	if err := v.Wait(f.Context(), many); err != nil {
		f.Fatal(err)
	}
	return v, epoch
}

// beyond says whether a cursor is one for which a reader waits.
func beyond(v *View, cursor string) bool {
	c, err := ParseCursor(cursor)
	return err == nil && max(c.Seq, c.End) > v.Head()
}

// Whatever a client brings for a cursor, it is refused as one or comes to an end:
// polls from there get everything there is in a bounded number of answers.
func FuzzReadFrom(f *testing.F) {
	v, epoch := noticesTo(f)
	hash := GroupsHash([]string{"crew"})
	for _, s := range []string{"earliest", "latest", "", epoch + ".1." + hash, epoch + ".3." + hash + ".c9", epoch + ".0." + hash + ".sz", "e.zz.h", epoch + ".zzz." + hash} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, cursor string, snapshot bool) {
		if beyond(v, cursor) {
			return
		}
		for range 3 * many {
			r, err := v.Open("ada", []string{"crew"}, Start{Cursor: cursor, Snapshot: snapshot})
			if err != nil {
				if !errors.Is(err, ErrCursor) {
					t.Errorf("%q: %v", cursor, err)
				}
				return
			}
			b, err := r.Read(t.Context(), 3)
			r.Close()
			if err != nil {
				t.Fatalf("%q: %v", cursor, err)
			}
			if _, err := ParseCursor(b.Cursor); err != nil || len(b.Items) > 3 {
				t.Fatalf("%q is answered with %d items and %q", cursor, len(b.Items), b.Cursor)
			}
			if !b.More && len(b.Items) == 0 {
				return
			}
			cursor, snapshot = b.Cursor, false
		}
		t.Errorf("it does not come to an end: %q", cursor)
	})
}

// kept is the mark of the one user there is.
type kept struct{ Mark }

func (k *kept) Update(_ context.Context, _ string, change func(Mark) (Mark, error)) (Mark, error) {
	m, err := change(k.Mark)
	if err == nil {
		k.Mark = m
	}
	return m, err
}

func (k *kept) Watch(context.Context, func(), func(string, Mark)) error { return nil }

// Whatever is stored as a mark, and whatever is to be read besides, what is unread
// is between nothing and all, and reading everything leaves nothing.
func FuzzMarkRead(f *testing.F) {
	v, epoch := noticesTo(f)
	f.Add([]byte(`{"rev":1,"epoch":"`+epoch+`","upto":5,"read":{"notice.all.c":7}}`), "latest", "all.a.1.0,all.t.1.0")
	f.Add([]byte(`{"rev":18446744073709551615,"epoch":"`+epoch+`","upto":0}`), "", "x")
	f.Add([]byte(`{"read":{"":0,"notice.all.t":18446744073709551615}}`), epoch+".3.h", "")
	f.Add([]byte(`null`), "earliest", ",")
	f.Fuzz(func(t *testing.T, stored []byte, upto, ids string) {
		k := &kept{}
		c, err := ParseCursor(upto)
		if json.Unmarshal(stored, &k.Mark) != nil || err == nil && (c.Epoch != epoch || beyond(v, upto)) ||
			k.Epoch != epoch && k.Epoch != "" || k.Upto > v.Head() {
			return // it waits for the log to come so far
		}
		now, err := v.MarkRead(t.Context(), k, "ada", []string{"crew"}, upto, strings.Split(ids, ","))
		var field *FieldError
		switch {
		case err != nil && !errors.Is(err, ErrCursor) && !errors.As(err, &field):
			t.Errorf("an error that is none of ours: %v", err)
		case err == nil && (now.Unread < 0 || now.Unread > many):
			t.Errorf("%s and %q leave %d unread", stored, upto, now.Unread)
		}
		if now, err = v.MarkRead(t.Context(), k, "ada", []string{"crew"}, Latest, nil); err != nil || now.Unread != 0 {
			t.Errorf("%s: everything read leaves %d, %v", stored, now.Unread, err)
		}
	})
}
