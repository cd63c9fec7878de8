package notices

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"tocsin/server/inbox"
)

// An entry is what this protocol needs of one (docs/protocol.md §3).
type entry struct {
	Seq   uint64          `json:"seq"`
	Type  string          `json:"type"`
	Time  string          `json:"time"`
	By    string          `json:"by"`
	Alarm json.RawMessage `json:"alarm"`

	Notice *struct {
		ID    string          `json:"id"`
		From  string          `json:"from"`
		Title string          `json:"title"`
		Body  string          `json:"body"`
		Data  json.RawMessage `json:"data"`
	} `json:"notice"`
}

// noticeOf makes the notice of an entry, from its brace to where the members follow
// that differ by reader: it is made once for all of them.
func noticeOf(i *inbox.Item) []byte { return appendNotice(nil, i.AppendJSON(nil)) }

// appendNotice writes an entry as a notice, without what differs by reader and the
// brace at the end.
func appendNotice(b, text []byte) []byte {
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		e = entry{} // of ours, so it cannot be; a notice it stays
	}
	b = append(b, `{"id":"`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, '"')
	b = appendMember(b, "type", e.Type)
	b = appendMember(b, "createdTime", e.Time)
	switch {
	case e.Notice != nil:
		b = appendMessage(b, &e)
	case e.Alarm != nil:
		b = appendAlarm(b, &e)
	}
	return b
}

func appendMember(b []byte, name, value string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return inbox.AppendString(b, value)
}

// members are those that this protocol gives a meaning: what a sender puts under
// these names is not passed on.
var members = []string{"id", "type", "createdTime", "senderId", "receiverId", "message", "title", "noticeId", "alarm", "data", "read"}

// appendMessage writes what a notice has of its own: what its sender added comes
// back as he sent it.
func appendMessage(b []byte, e *entry) []byte {
	n := e.Notice
	var data map[string]json.RawMessage
	_ = json.Unmarshal(n.Data, &data) // another kind of JSON is passed on as it is
	var extra map[string]json.RawMessage
	sender := n.From
	if own, ok := data[Name]; ok {
		_ = json.Unmarshal(own, &extra) // written by us as an object
		var claimed string
		if json.Unmarshal(extra["senderId"], &claimed) == nil && claimed != "" {
			sender = claimed
		}
	} else if len(n.Data) > 0 && string(n.Data) != "null" {
		b = append(append(b, `,"data":`...), n.Data...)
	}
	message := n.Body
	if message == "" {
		message = n.Title
	}
	b = appendMember(b, "noticeId", n.ID)
	b = appendMember(b, "senderId", sender)
	b = appendMember(b, "title", n.Title)
	b = appendMember(b, "message", message)
	names := make([]string, 0, len(extra))
	for name := range extra {
		if !slices.Contains(members, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b = append(inbox.AppendString(append(b, ','), name), ':')
		b = append(b, extra[name]...)
	}
	return b
}

// changes are what stands behind an alarm's text when it is not its raise: clients
// that show nothing but texts, and show the same one once, see it by that.
var changes = map[string]string{
	"alarm.updated": "updated", "alarm.acked": "acknowledged", "alarm.unacked": "not acknowledged any more",
	"alarm.cleared": "cleared", "alarm.shelved": "shelved", "alarm.commented": "commented", "alarm.removed": "removed",
}

// appendAlarm writes what an alarm's notice has of its own, and the alarm.
func appendAlarm(b []byte, e *entry) []byte {
	var a struct {
		Device   string `json:"device"`
		Type     string `json:"type"`
		Severity string `json:"severity"`
		Message  string `json:"message"`
		AckedBy  string `json:"acked_by"`
	}
	_ = json.Unmarshal(e.Alarm, &a) // as above
	message := a.Message
	if message == "" {
		if message = a.Type; a.Severity != "" {
			message += ", " + a.Severity
		}
	}
	if e.Type != "alarm.raised" {
		change, known := changes[e.Type]
		if !known {
			_, change, _ = strings.Cut(e.Type, ".")
		}
		if e.Type == "alarm.acked" && a.AckedBy != "" {
			change += " by " + a.AckedBy
		}
		message += " [" + change + "]"
	}
	b = appendMember(b, "senderId", a.Device)
	b = appendMember(b, "message", message)
	return append(append(b, `,"alarm":`...), e.Alarm...)
}
