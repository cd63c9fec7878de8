package directory_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// Every line of an import is counted once, as taken or as refused with its number,
// and what was taken is in the directory; the same again changes nothing.
func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"device":"d","groups":["a"]}` + "\n" + `{"user":"u","groups":[]}`))
	f.Add([]byte(`{"device":"d","user":"u"}` + "\n\n7\n{\n" + `{"device":"d","groups":["a","a",""]}`))
	f.Add([]byte(`{"DEVICE":"d","groups":null}` + "\r\n" + `{"user":"\u0000","groups":["` + strings.Repeat("g", 65) + `"]}`))
	log := &inbox.MemoryLog{}
	epoch, err := inbox.BeginEpoch(f.Context(), log, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	v, _ := inboxtest.StartView(f, log, inbox.ViewOptions{})
	d := directory.New(directory.Options{Log: log, View: v, Epoch: epoch})
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 2000 {
			return
		}
		first, err := d.Import(t.Context(), bytes.NewReader(text))
		if err != nil {
			var field *inbox.FieldError
			if !errors.As(err, &field) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if first.Devices+first.Users+first.Rejected != first.Lines || len(first.Refused) > directory.MaxRefusals ||
			len(first.Refused) != min(first.Rejected, directory.MaxRefusals) {
			t.Errorf("%q: %+v", text, first)
		}
		for _, r := range first.Refused {
			if r.Line < 1 || r.Line > 1+bytes.Count(text, []byte("\n")) || r.Detail == "" {
				t.Errorf("%q: %+v", text, r)
			}
		}
		again, err := d.Import(t.Context(), bytes.NewReader(text))
		if err != nil || again.Lines != first.Lines || again.Rejected != first.Rejected {
			t.Errorf("%q: %+v, and then %+v, %v", text, first, again, err)
		}
	})
}
