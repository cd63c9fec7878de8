package inbox

import (
	"bytes"
	"encoding/json"
	"strings"
)

// textMatches says whether a text in lower case is found in what an alarm says: its
// device, type, qualifier, message, or a value of its attrs (docs/protocol.md §3).
func textMatches(subject string, body []byte, text string) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	device, typ, qualifier, _ := ParseAlarmSubject(subject)
	if has(device) || has(typ) || has(qualifier) {
		return true
	}
	// Where nothing is escaped, what is not in the bytes is not in the strings.
	if bytes.IndexByte(body, '\\') < 0 && !bytes.Contains(bytes.ToLower(body), []byte(text)) {
		return false
	}
	var e struct {
		Alarm struct {
			Message string            `json:"message"`
			Attrs   map[string]string `json:"attrs"`
		} `json:"alarm"`
	}
	if json.Unmarshal(body, &e) != nil {
		return false
	}
	if has(e.Alarm.Message) {
		return true
	}
	for _, value := range e.Alarm.Attrs {
		if has(value) {
			return true
		}
	}
	return false
}
