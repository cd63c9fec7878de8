package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	pb "tocsin/transports/alarmpush/alarmpushpb"
	"tocsin/transports/transporttest"
)

// Alarm push: the alarms, thin, in words of its own.
var alarmPushDialect = dialect{
	name: "alarm-push",
	path: func(*member) string { return "/ws/alarm" },
	begin: func(m *member) error {
		b, err := proto.Marshal(loginFrame(m.token, m.place))
		if err != nil {
			return err
		}
		return m.say(websocket.BinaryMessage, b)
	},
	take: func(m *member, text []byte) error {
		var f pb.Frame
		if err := proto.Unmarshal(text, &f); err != nil {
			return err
		}
		if r := f.GetLoginReply(); r != nil {
			if m.place = r.Cursor; !r.Ok || r.User != m.user || r.Reason != "" {
				m.wonder("%v", r)
			}
		}
		if a := f.GetAlarm(); a != nil {
			m.place = a.Cursor
			m.got = append(m.got, m.words.of(fmt.Appendf(nil, "%s %d %s %s %s %s", a.AlarmId, a.Rev, a.Device, a.Type, a.Severity, a.State)))
		}
		return nil
	},
	want: func(e *shown) string {
		if e.Alarm == nil {
			return ""
		}
		state := "unhandled"
		switch {
		case e.Alarm.Acked && e.Type == "alarm.cleared":
			state = "cleared"
		case e.Alarm.Acked: // while it was active, or since
			state = "handled"
		}
		return fmt.Sprintf("%s %d %s %s %s %s", e.Alarm.ID, e.Alarm.Rev, e.Alarm.Device, e.Alarm.Type, e.Alarm.Severity, state)
	},
}

// JSON operations: each entry whole, and published frames word for word. Who slips
// asks for cursors.
var oplinkDialect = dialect{
	name: "oplink",
	path: func(*member) string { return "/message-center" },
	begin: func(m *member) error {
		if err := m.text(`{"op":"auth","token":%q}`, m.token); err != nil {
			return err
		}
		from := m.place
		if from == "" && m.slips > 0 {
			from = "latest"
		}
		if from == "" {
			return m.text(`{"op":"subscribe","channel":"@user"}`)
		}
		return m.text(`{"op":"subscribe","channel":"@user","cursor":%q}`, from)
	},
	take: func(m *member, text []byte) error {
		var f struct {
			Event  string
			Result bool
			Data   struct {
				UID, Cursor string
				Msg         json.RawMessage
			}
		}
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		m.mayGo = f.Event == "@cursor"
		switch {
		case f.Result:
		case f.Event == "@cursor":
			m.place = f.Data.Cursor
		case f.Event != "@user" || f.Data.UID != m.user:
			m.wonder("%s", text)
		case f.Data.Msg[0] == '"':
			m.got = append(m.got, m.words.of(text))
		default:
			m.got = append(m.got, m.words.of(f.Data.Msg))
		}
		return nil
	},
	want: func(e *shown) string {
		var data struct{ Oplink string }
		if e.Notice != nil && json.Unmarshal(e.Notice.Data, &data) == nil && data.Oplink != "" {
			return data.Oplink
		}
		return e.raw
	},
}

// App push: a title and a content; a repeat has the same messageId.
var appPushDialect = dialect{
	name:  "app-push",
	path:  func(m *member) string { return "/push/" + url.PathEscape(m.token) },
	begin: func(m *member) error { return m.text("--") },
	take: func(m *member, text []byte) error {
		var f struct {
			MessageID, Title string
			Content          json.RawMessage
		}
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		if !isMessageID.MatchString(f.MessageID) {
			m.wonder("%s", text)
		}
		line := f.Content
		if !bytes.HasPrefix(line, []byte(`{"seq":`)) {
			line = []byte("notice " + f.Title)
		}
		m.once(f.MessageID, m.words.of(line))
		return nil
	},
	want: func(e *shown) string {
		if e.Notice != nil {
			return "notice " + e.Notice.Title
		}
		return e.raw
	},
}

// Notices with an offline store: what is sent again is marked as read.
var noticesDialect = dialect{
	name:  "notices",
	path:  func(m *member) string { return "/notice/ws/socket?SESSION_TOKEN_KEY=" + url.QueryEscape(m.token) },
	begin: func(*member) error { return nil },
	take: func(m *member, text []byte) error {
		var n struct {
			ID, Type, SenderID, ReceiverID, Message string
			CreatedTime                             time.Time
			Read                                    *bool
			Alarm                                   struct{ ID string }
		}
		if err := json.Unmarshal(text, &n); err != nil {
			return err
		}
		before := m.again
		m.once(n.ID, m.words.of(fmt.Appendf(nil, "%s %s %s %s", n.ID, n.Type, n.Alarm.ID, n.Message)))
		// What had been sent to a broken connection is marked, whether it was read or not.
		if n.Read == nil || n.ReceiverID != m.user || n.CreatedTime.IsZero() || n.SenderID == "" || m.again > before && !*n.Read {
			m.wonder("%s", text)
		}
		return nil
	},
	want: func(e *shown) string {
		if e.Notice != nil {
			return fmt.Sprintf("%d %s  %s", e.Seq, e.Type, e.Notice.Title)
		}
		message := e.Alarm.Message
		if message == "" {
			message = e.Alarm.Type + ", " + e.Alarm.Severity
		}
		switch e.Type {
		case "alarm.raised":
		case "alarm.acked":
			message += " [acknowledged by " + e.Alarm.AckedBy + "]"
		default:
			message += " [" + strings.TrimPrefix(e.Type, "alarm.") + "]"
		}
		return fmt.Sprintf("%d %s %s %s", e.Seq, e.Type, e.Alarm.ID, message)
	},
}

// STOMP: each entry is the body of a MESSAGE, and acknowledged.
var stompDialect = dialect{
	name:        "stomp",
	path:        func(*member) string { return "/stomp" },
	subprotocol: "v12.stomp",
	begin: func(m *member) error {
		from := ""
		if m.place != "" {
			from = "\ncursor:" + transporttest.StompEscape(m.place)
		}
		return m.text("CONNECT\naccept-version:1.2\npasscode:%s\n\n\x00SUBSCRIBE\nid:t\ndestination:/topic/all\n\n\x00"+
			"SUBSCRIBE\nid:u\ndestination:/chat/single/%s\n\n\x00SUBSCRIBE\nid:i\ndestination:/user/queue/inbox\nack:client-individual%s\n\n\x00", m.token, m.user, from)
	},
	take: func(m *member, text []byte) error {
		f, err := transporttest.ParseStomp(text)
		switch {
		case err != nil:
			return err
		case f.Command == "" || f.Command == "CONNECTED":
		case f.Command != "MESSAGE" || f.Header["gap"] != "":
			m.wonder("%s", text)
		case f.Header["subscription"] != "i":
			m.cast = append(m.cast, f.Header["from"]+" "+f.Body)
		default:
			m.place = f.Header["message-id"]
			m.got = append(m.got, m.words.of([]byte(f.Body)))
			return m.text("ACK\nid:%s\n\n\x00", transporttest.StompEscape(f.Header["ack"]))
		}
		return nil
	},
	want: func(e *shown) string { return e.raw },
}

var fiveDialects = []*dialect{&alarmPushDialect, &oplinkDialect, &appPushDialect, &noticesDialect, &stompDialect}
