package ws

import (
	"errors"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
)

// A Leaver is a Conversation that wants to know whether its client has closed the
// connection in good order, or answered our close: it has whatever was sent before.
type Leaver interface {
	// Left is called before Gone, and must not wait.
	Left()
}

// left tells the conversation, if the error is the client's close.
func left(s *melody.Session, err error) {
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code == websocket.CloseAbnormalClosure {
		return
	}
	if l, ok := connOf(s).talk.(Leaver); ok {
		l.Left()
	}
}
