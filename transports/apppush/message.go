package apppush

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"tocsin/server/inbox"
)

// An entry is what of it matters here (docs/protocol.md §3).
type entry struct {
	Type  string `json:"type"`
	Alarm struct {
		ID       string `json:"id"`
		Rev      uint64 `json:"rev"`
		Device   string `json:"device"`
		Type     string `json:"type"`
		Severity string `json:"severity"`
	} `json:"alarm"`
	Notice *struct {
		ID    string          `json:"id"`
		Title string          `json:"title"`
		Body  string          `json:"body"`
		Data  json.RawMessage `json:"data"`
	} `json:"notice"`
}

// messageOf makes the message of an entry: a notice's own content, or all of an
// alarm's entry.
func messageOf(i *inbox.Item) []byte {
	var e entry
	if err := json.Unmarshal(i.Body(), &e); err != nil {
		return nil // bodies are JSON
	}
	if n := e.Notice; n != nil {
		return message(messageID(n.ID, 1, e.Type), n.Title, func(b []byte) []byte {
			switch {
			case len(n.Data) == 0 || string(n.Data) == "null":
				return inbox.AppendString(b, n.Body)
			case n.Body == "":
				return append(b, n.Data...)
			}
			b = inbox.AppendString(append(b, `{"body":`...), n.Body)
			b = append(append(b, `,"data":`...), n.Data...)
			return append(b, '}')
		})
	}
	id := e.Alarm.ID
	if id == "" { // something of a later version
		id = strconv.FormatUint(i.Seq(), 10)
	}
	return message(messageID(id, e.Alarm.Rev, e.Type), e.title(), i.AppendJSON)
}

// title is what happened to an alarm, in three words.
func (e *entry) title() string {
	word := strings.TrimPrefix(e.Type, "alarm.")
	if word == "raised" || word == "updated" {
		word = e.Alarm.Severity
	}
	return word + " " + e.Alarm.Type + " " + e.Alarm.Device
}

// gapMessage tells that something could not be told as it came.
func gapMessage(g *inbox.Gap) []byte {
	return message(messageID("gap", 0, string(g.Reason)+" "+g.From), "messages were missed", func(b []byte) []byte {
		b = g.AppendJSON(append(b, `{"type":"gap","gap":`...))
		return append(b, '}')
	})
}

func message(id, title string, content func([]byte) []byte) []byte {
	b := inbox.AppendString([]byte(`{"messageId":`), id)
	b = inbox.AppendString(append(b, `,"title":`...), title)
	b = content(append(b, `,"content":`...))
	return append(b, '}')
}

// namespace is that of the UUIDs.
const namespace = "tocsin app push "

// messageID is the same whenever and to whomever something is told: what stands
// first is that of the alarm or notice, the UUID (RFC 9562, version 5) that of one
// state of it.
func messageID(id string, rev uint64, typ string) string {
	thing := sha1.Sum([]byte(namespace + id))
	u := sha1.Sum([]byte(namespace + id + " " + strconv.FormatUint(rev, 10) + " " + typ))
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:16])
	return hex.EncodeToString(thing[:6]) + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
