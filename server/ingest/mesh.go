package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// Oplink is the name under which a notice's data keeps the frame that clients of
// JSON operations get word for word.
const Oplink = "oplink"

const (
	// meshUser begins the channel of a user.
	meshUser = "user:"
	// meshPublish is the method of an object in an envelope.
	meshPublish = "mesh.publish"
	// maxMeshRef bounds the ref of an envelope, in bytes of JSON.
	maxMeshRef = 128
)

// A Mesh is one publishing of JSON operations: {"c":"user:1001","d":"…"}, by itself
// or in the envelope {"m":"mesh.publish","p":{…},"i":7}. An id in either makes it
// safe to send again.
type Mesh struct {
	Notice alarm.Notice
	// Ref is what the answer repeats: a JSON value, empty for none. It is there
	// also with an error.
	Ref json.RawMessage
}

type meshObject struct {
	ID      string  `json:"id"`
	Channel string  `json:"c"`
	Data    *string `json:"d"`
	Type    string  `json:"t"`
}

// ParseMesh reads an object. Errors are alarm.ErrMalformed and FieldError.
func ParseMesh(text []byte) (m Mesh, err error) {
	var outer struct {
		meshObject
		Method *string         `json:"m"`
		Params json.RawMessage `json:"p"`
		Ref    json.RawMessage `json:"i"`
	}
	if err := json.Unmarshal(text, &outer); err != nil {
		return m, malformed(err)
	}
	if len(outer.Ref) <= maxMeshRef && !bytes.Equal(outer.Ref, []byte("null")) {
		m.Ref = outer.Ref
	}
	o := outer.meshObject
	if outer.Method != nil {
		if *outer.Method != meshPublish {
			return m, inbox.Fieldf("m", "want %s, not %.40q", meshPublish, *outer.Method)
		}
		if err := json.Unmarshal(outer.Params, &o); err != nil {
			return m, malformed(err)
		}
	}
	m.Notice, err = o.notice()
	return m, err
}

func malformed(err error) error { return fmt.Errorf("%w: %w", alarm.ErrMalformed, err) }

func (o *meshObject) notice() (n alarm.Notice, err error) {
	user, ok := strings.CutPrefix(o.Channel, meshUser)
	switch {
	case !ok:
		return n, inbox.Fieldf("c", "want user: and whose inbox it is for, not %.40q", o.Channel)
	case o.Type != "" && o.Type != "text":
		return n, inbox.Fieldf("t", "want text: clients take no other frames")
	case o.Data == nil || *o.Data == "":
		return n, inbox.Fieldf("d", "want the text of a frame")
	}
	if err := inbox.CheckText("c", user, 1, inbox.MaxUserChars); err != nil {
		return n, err
	}
	if err := inbox.CheckText("id", o.ID, 0, alarm.MaxIDChars); err != nil {
		return n, err
	}
	n.ID, n.Users = o.ID, []string{user}
	title, text := frameText(*o.Data)
	if say(&n, title, text); n.Title == "" {
		n.Title = "message" // of blanks
	}
	return n, keep(&n, "d", Oplink, *o.Data)
}

// frameText is what a frame says to somebody who reads it: the msg of an event, and
// whatever else there is of a usual name; else the frame itself.
func frameText(frame string) (title, text string) {
	var event struct {
		Data struct {
			Msg json.RawMessage `json:"msg"`
		} `json:"data"`
	}
	if json.Unmarshal([]byte(frame), &event) != nil || len(event.Data.Msg) == 0 {
		return "", frame
	}
	if json.Unmarshal(event.Data.Msg, &text) == nil {
		if strings.TrimSpace(text) == "" {
			return "", frame
		}
		return "", text
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(event.Data.Msg, &members) != nil {
		return "", string(event.Data.Msg)
	}
	first := func(names ...string) (found string) {
		for _, name := range names {
			if json.Unmarshal(members[name], &found) == nil && found != "" {
				return found
			}
		}
		return ""
	}
	title = headline(first("title", "subject"))
	if text = first("body", "text", "content", "message", "msg"); text == "" && title == "" {
		return "", string(event.Data.Msg)
	}
	return title, text
}
