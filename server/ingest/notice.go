package ingest

import (
	"encoding/json"
	"errors"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// Notices is the name under which a notice's data keeps what clients of notices with
// an offline store added to it.
const Notices = "notices"

var errNoObject = errors.New("want a JSON object")

// ParseNotice reads {"receiverId":"…","message":"…"} with an optional title; whatever
// else there is is kept. A publisher may say in senderId for whom he speaks, and in
// noticeId what makes it safe to send again; of others both are passed over. Errors
// are alarm.ErrMalformed and FieldError.
func ParseNotice(text []byte, publisher bool) (n alarm.Notice, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return n, malformed(errNoObject)
	}
	user, err := readUser("receiverId", members["receiverId"])
	if err != nil {
		return n, err
	}
	n.Users = []string{user}
	var message, title string
	for name, into := range map[string]*string{"message": &message, "title": &title, "noticeId": &n.ID} {
		if raw, given := members[name]; given && json.Unmarshal(raw, into) != nil {
			return n, inbox.Fieldf(name, "want a string")
		}
	}
	switch {
	case headline(message) == "":
		return n, inbox.Fieldf("message", "want a text")
	case len(message) > alarm.MaxNoticeBytes:
		return n, inbox.Fieldf("message", "at most %d bytes, not %d", alarm.MaxNoticeBytes, len(message))
	}
	if err := inbox.CheckText("title", title, 0, alarm.MaxTitleChars); err != nil {
		return n, err
	}
	say(&n, title, message)
	for _, name := range []string{"receiverId", "message", "title", "noticeId", "createdTime", "read"} {
		delete(members, name)
	}
	if publisher {
		err = inbox.CheckText("noticeId", n.ID, 0, alarm.MaxIDChars)
	} else {
		n.ID = ""
		delete(members, "senderId")
	}
	if err == nil && len(members) > 0 {
		err = keep(&n, "the rest", Notices, members)
	}
	return n, err
}
