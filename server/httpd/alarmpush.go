package httpd

import (
	"cmp"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/transports"
	"tocsin/transports/alarmpush"
	"tocsin/transports/carrier/ws"
)

// AlarmPush are the settings of protocol A, alarm push in protobuf (docs/compat).
type AlarmPush struct {
	// Path is where it is served: /ws/alarm by default.
	Path string
}

// byAlarmPush is its name where it is said over what somebody is connected.
const byAlarmPush = "alarm-push"

func (s *Server) serveAlarmPush(o *Compat) error {
	if o.AlarmPush == nil {
		return nil
	}
	sv, err := s.newService(byAlarmPush, byAlarmPush, ws.Options{Binary: true})
	if err != nil {
		return err
	}
	talks := &alarmpush.Options{
		DialogueOptions: s.dialogues(sv),
		Authenticate:    s.resolve,
		Refusal:         refusal,
	}
	talks.Lasting = true
	// What the handshake says of its sender does not count: he says it himself.
	s.echo.GET(o.AlarmPush.Path, func(c echo.Context) error {
		if err := s.loaded(); err != nil {
			return err
		}
		return s.upgrade(c, sv, func(conn *ws.Conn, host transports.Host) (ws.Conversation, func(error)) {
			talk := alarmpush.Begin(conn, host, talks)
			return talk, talk.End
		})
	})
	return nil
}

// maxReason bounds the reason in a close frame, in bytes.
const maxReason = 123

// refusal is the problem that an error is, in a few words.
func refusal(err error) (status int, reason string) {
	p := explain(err)
	reason = cmp.Or(p.detail, p.title)
	return p.status, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}
