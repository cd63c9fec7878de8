package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/ingest"
)

// split reads all lines as "number:text"; of a line that is too long the text is
// its length.
func split(t *testing.T, r io.Reader) (got []string) {
	t.Helper()
	in := ingest.NewLines(r)
	for {
		text, n, err := in.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > alarm.MaxEventBytes {
			text = fmt.Append(nil, len(text))
		}
		got = append(got, fmt.Sprintf("%d:%.20s", n, text))
	}
}

func TestLinesOfAnyLength(t *testing.T) {
	most := strings.Repeat("x", alarm.MaxEventBytes)
	body := "a\r\n\n  \n b \n" + most + "\r\n" + most + "y\n" + strings.Repeat(" ", 200<<10) + "c\nd"
	want := "[1:a 4:b 5:xxxxxxxxxxxxxxxxxxxx 6:65537 7:65537 8:d]"
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(body), "halves": iotest.HalfReader(strings.NewReader(body)), "bytes": iotest.OneByteReader(strings.NewReader(body))} {
		if got := fmt.Sprint(split(t, r)); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	// A line that is cut off by an error is none.
	in := ingest.NewLines(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	in.Next()
	if text, n, err := in.Next(); !errors.Is(err, io.ErrUnexpectedEOF) || text != nil || n != 1 {
		t.Errorf("%q %d %v", text, n, err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\r\n\nb"))
	f.Add(bytes.Repeat([]byte("x"), alarm.MaxEventBytes+1))
	f.Add(bytes.Repeat([]byte("x"), alarm.MaxEventBytes+2))
	f.Fuzz(func(t *testing.T, body []byte) {
		in := ingest.NewLines(iotest.HalfReader(bytes.NewReader(body)))
		last := 0
		for {
			text, n, err := in.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
			if len(text) == 0 || len(text) > alarm.MaxEventBytes+1 || n <= last {
				t.Fatalf("line %d after %d has %d bytes", n, last, len(text))
			}
			last = n
		}
		if most := bytes.Count(body, []byte("\n")) + 1; last > most {
			t.Errorf("line %d of %d", last, most)
		}
	})
}

// A memoryFeed is a Feed in memory.
type memoryFeed struct {
	mu   sync.Mutex
	kept [][]byte
	err  error
}

func (f *memoryFeed) Append(_ context.Context, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.kept = append(f.kept, bytes.Clone(data))
	}
	return f.err
}

func (f *memoryFeed) Scan(_ context.Context, _ time.Time, each func(time.Time, []byte) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, data := range f.kept {
		if err := each(time.Unix(int64(i), 0), data); err != nil {
			return err
		}
	}
	return f.err
}

func TestDeadLettersAreKeptAsTheyCame(t *testing.T) {
	feed := &memoryFeed{}
	letters := ingest.NewDeadLetters(feed)
	at := time.Date(2026, 11, 21, 2, 0, 0, 5e6, time.UTC)
	big := "ü" + strings.Repeat("ü", ingest.MaxLetterBytes)
	sent := []ingest.Letter{
		{Time: at, Door: "mqtt", Publisher: "anna", Device: "d1", Problem: "bad", Body: []byte("{\"é")},
		{Door: "alertmanager", Publisher: "bob", Problem: "worse", Body: []byte{0xff, 0, 1}},
		{Time: at, Door: "mqtt", Publisher: "anna", Body: []byte(big)},
	}
	for _, l := range sent {
		if err := letters.Add(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	feed.kept = append(feed.kept, []byte("?"))
	got, err := letters.List(t.Context(), 10)
	if err != nil || len(got) != 4 {
		t.Fatalf("%v %v", got, err)
	}
	if got[0].Problem == "" || string(got[0].Body) != "?" || !got[0].Time.Equal(time.Unix(3, 0)) {
		t.Errorf("what cannot be read: %+v", got[0])
	}
	sent[1].Time = time.Unix(1, 0) // when it was stored
	sent[2].Body = []byte(big[:ingest.MaxLetterBytes])
	for i, l := range sent {
		g := got[3-i]
		if !g.Time.Equal(l.Time) || g.Door != l.Door || g.Publisher != l.Publisher || g.Device != l.Device || g.Problem != l.Problem || !bytes.Equal(g.Body, l.Body) {
			t.Errorf("%+v, want %+v", g, l)
		}
	}
	if newest, err := letters.List(t.Context(), 2); err != nil || len(newest) != 2 || string(newest[0].Body) != "?" || len(newest[1].Body) != ingest.MaxLetterBytes {
		t.Errorf("the newest: %v %v", newest, err)
	}
	if text, _ := json.Marshal(sent[0]); string(text) != `{"time":"2026-11-21T02:00:00.005Z","door":"mqtt","publisher":"anna","device":"d1","problem":"bad","body":"{\"é"}` {
		t.Errorf("%s", text)
	}
	feed.err = io.ErrClosedPipe
	if err := letters.Add(t.Context(), sent[0]); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if _, err := letters.List(t.Context(), 2); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func FuzzLetter(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-21T02:00:00.005Z","door":"mqtt","body":"x"}`))
	f.Add([]byte(`{"time":"","body_base64":"/wA="}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var l, back ingest.Letter
		if json.Unmarshal(text, &l) != nil || l.Time.Year() < 1 || l.Time.Year() > 9999 {
			return
		}
		again, err := json.Marshal(l)
		if err != nil || json.Unmarshal(again, &back) != nil || !bytes.Equal(l.Body, back.Body) || l.Problem != back.Problem {
			t.Errorf("%s: %+v, then %s: %+v (%v)", text, l, again, back, err)
		}
	})
}
