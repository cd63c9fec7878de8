package redissession

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"tocsin/server/auth"
)

// Whatever Redis keeps for a session is somebody's or nobody's.
func FuzzValue(f *testing.F) {
	f.Add(`{"uid":1001}`, "uid")
	f.Add(`{"a":{"b":{"uid":7}},"a.b":{"uid":8}}`, "a.b.uid")
	f.Add(`"1001"`, "")
	f.Add(`ada`, "")
	f.Add("\xff", ".")
	f.Add(`-`, "..")
	f.Add(`{"uid":{"$oid":"x"}}`, "uid")
	f.Fuzz(func(t *testing.T, text, field string) {
		for _, raw := range []json.RawMessage{plain(text), member(json.RawMessage(text), field)} {
			if raw != nil && !json.Valid(raw) {
				t.Errorf("%q has %q at %q, which is not JSON", text, raw, field)
			}
			user, err := auth.UserOf(raw)
			if err != nil && !errors.Is(err, auth.ErrInvalid) || err == nil && (user == "" || !utf8.ValidString(user)) {
				t.Errorf("%q is the session of %q, %v", text, user, err)
			}
		}
	})
}
