package httpd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/server/topics"
	"tocsin/transports"
	"tocsin/transports/stomp"
)

// chatPath is where a GET sends something.
const chatPath = "/v1/chat/http"

// chatApp is the name below /app whose topic gets what the door sends to nobody in
// particular.
const chatApp = "v1/chat"

// A chatMessage is what the door of chats sends.
type chatMessage struct {
	From    string `json:"from"`
	To      string `json:"to,omitempty"`
	Content string `json:"content"`
}

// getChat is GET /v1/chat/http?from=&to=&content=, which sends to one user's
// /chat/single, or to all who listen to the topic of /app/v1/chat. A GET that sends
// something must not be what a page of somebody else can have a browser do: no
// cookie counts here, and no request that such a page has made.
func (s *Server) getChat(c echo.Context) error {
	r := c.Request()
	_, from, err := auth.FromRequest(r, s.o.Auth.AllowQuery)
	if err == nil && from.Ambient() {
		r.Header.Del("Cookie") // whoever comes from a trusted network needs none
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errOrigin
	}
	return s.publishes("chat", s.sendChat)(c)
}

func (s *Server) sendChat(c echo.Context, id *auth.Identity) error {
	q := c.QueryParams()
	m := chatMessage{From: cmp.Or(q.Get("from"), id.User), To: q.Get("to"), Content: q.Get("content")}
	o := s.o.Compat.Stomp
	topic := o.Apps[chatApp]
	if m.To != "" {
		topic = stomp.Single(m.To)
	}
	switch {
	case topic == "":
		return &transports.ParamError{Param: "to", Detail: "want a user: nothing is sent to by /app/" + chatApp}
	case m.Content == "":
		return &transports.ParamError{Param: "content", Detail: "want something to send"}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	seq, err := o.Topics.Publish(c.Request().Context(), topics.Message{Name: topic, From: m.From, ContentType: typeJSON, Content: string(text)})
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, struct {
		Destination string `json:"destination"`
		Seq         uint64 `json:"seq"`
	}{stomp.Destination(topic), seq})
}
