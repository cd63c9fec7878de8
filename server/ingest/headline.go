package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// headline makes the title of a text that has none: its first line, as far as a
// title goes.
func headline(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		chars := 0
		for i := range line {
			if chars++; chars > alarm.MaxTitleChars {
				return line[:i]
			}
		}
		return line
	}
	return ""
}

// say gives the notice its text, under a title or, where that is empty, under its
// headline.
func say(n *alarm.Notice, title, text string) {
	n.Title, n.Body = title, text
	if title == "" {
		if n.Title = headline(text); n.Title == text {
			n.Body = ""
		}
	}
}

// keep gives the notice its data, which is kept under the name of a protocol.
func keep(n *alarm.Notice, field, protocol string, value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it counts
	if err := e.Encode(map[string]any{protocol: value}); err != nil {
		return fmt.Errorf("%w: %w", alarm.ErrMalformed, err)
	}
	if n.Data = bytes.TrimSpace(b.Bytes()); len(n.Data) > alarm.MaxNoticeBytes {
		return inbox.Fieldf(field, "at most %d bytes as JSON, not %d", alarm.MaxNoticeBytes, len(n.Data))
	}
	return nil
}

// readUser reads whom something is for: a string, or a whole number.
func readUser(field string, raw json.RawMessage) (string, error) {
	var user string
	if err := json.Unmarshal(raw, &user); err != nil {
		var number int64
		if json.Unmarshal(raw, &number) != nil {
			return "", inbox.Fieldf(field, "want a user, as a string or a whole number")
		}
		user = string(raw)
	}
	return user, inbox.CheckText(field, user, 1, inbox.MaxUserChars)
}
