package native

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"tocsin/transports"
)

// ErrForbidden: the client's token does not allow the command.
var ErrForbidden = errors.New("the token does not allow this")

const (
	// maxMistakes is how many frames in a row may be none before the client is
	// told to slow down.
	maxMistakes = 10
	// maxRef bounds a ref, in bytes of JSON.
	maxRef = 128
)

// A head is what every message of a client has.
type head struct {
	Op string `json:"op"`
	// Ref is repeated in the answer: a string or a number.
	Ref json.RawMessage `json:"ref"`
}

// opAck is the op that takes many alarms, too.
const opAck = "ack"

// ops are the messages that a client may send. One that cannot be run has an
// error; an answer is the rest of an ok, members with a comma before each.
var ops = map[string]func(c *Conversation, text []byte) (answer []byte, err error){
	"auth":     (*Conversation).auth,
	"start":    known((*Conversation).startOp),
	"read":     known((*Conversation).read),
	opAck:      known(do(opAck)),
	"unack":    known(do("unack")),
	"clear":    known(do("clear")),
	"shelve":   known(do("shelve")),
	"unshelve": known(do("unshelve")),
	"comment":  known(do("comment")),
	"publish":  known((*Conversation).publish),
	// A pong may answer a ping; that the client lives shows in other ways.
	"pong": func(*Conversation, []byte) ([]byte, error) { return nil, nil },
}

// errAnonymous ends a conversation: a command came before the client said who it
// is.
var errAnonymous = transports.Closing{Code: CodeUnauthenticated, Reason: "auth comes first"}

// known lets those pass who have said who they are.
func known(op func(*Conversation, []byte) ([]byte, error)) func(*Conversation, []byte) ([]byte, error) {
	return func(c *Conversation, text []byte) ([]byte, error) {
		if c.Identity() == nil {
			return nil, errAnonymous
		}
		return op(c, text)
	}
}

// Receive handles the client's next message.
func (c *Conversation) Receive(text []byte) {
	if c.Over() {
		return
	}
	var h head
	if err := json.Unmarshal(text, &h); err != nil || h.Op == "" {
		c.refuse(nil, &transports.ParamError{Param: "op", Detail: "want a JSON object with an op"})
		c.mistake()
		return
	}
	if !h.takeRef() {
		c.refuse(nil, &transports.ParamError{Param: "ref", Detail: "want a string or a number", Limit: maxRef})
		c.mistake()
		return
	}
	op := ops[h.Op]
	switch {
	case op != nil && c.o.PublishOnly && !publishing[h.Op]:
		op = known(noInbox)
	case op != nil:
	case h.Ref == nil:
		return // of a later version
	default:
		op = unknown
	}
	answer, err := op(c, text)
	var bad transports.Closing
	switch {
	case errors.As(err, &bad):
		c.End(bad)
	case errors.As(err, new(rejection)):
		c.turnAway(c.refuse(h.Ref, err))
	case err != nil:
		c.refuse(h.Ref, err)
	default:
		c.mistakes = 0
		if h.Ref != nil {
			c.answer("ok", h.Ref, answer)
		}
	}
}

// publishing are the ops of those who have no inbox.
var publishing = map[string]bool{"auth": true, "publish": true, "pong": true}

func noInbox(*Conversation, []byte) ([]byte, error) {
	return nil, &transports.ParamError{Param: "op", Detail: "there is no inbox here: want auth, publish or pong"}
}

func unknown(*Conversation, []byte) ([]byte, error) {
	return nil, &transports.ParamError{Param: "op", Detail: "want auth, start, read, ack, unack, clear, shelve, unshelve, comment, publish or pong"}
}

// takeRef says whether the ref can be repeated, and makes null none.
func (h *head) takeRef() bool {
	if string(h.Ref) == "null" {
		h.Ref = nil
	}
	return len(h.Ref) == 0 || len(h.Ref) <= maxRef && bytes.IndexByte([]byte("{[tf"), h.Ref[0]) < 0
}

// mistake counts what no working client sends.
func (c *Conversation) mistake() {
	if c.mistakes++; c.mistakes >= maxMistakes {
		c.End(transports.Closing{Code: CodeSlowDown, Reason: "too many mistakes"})
	}
}

// refuse answers with the problem that the error is.
func (c *Conversation) refuse(ref json.RawMessage, err error) (status int) {
	status, problem := c.o.Problem(err)
	c.answer("error", ref, append([]byte(`,"problem":`), problem...))
	return status
}

// answer sends a frame; one that cannot be sent ends the connection by itself.
func (c *Conversation) answer(op string, ref json.RawMessage, rest []byte) {
	b := make([]byte, 0, 32+len(ref)+len(rest))
	b = append(b, `{"op":"`...)
	b = append(b, op...)
	b = append(b, '"')
	if ref != nil {
		b = append(b, `,"ref":`...)
		b = append(b, ref...)
	}
	b = append(b, rest...)
	_ = c.conn.Send(append(b, '}'))
}

// parse reads an op's own members.
func parse(text []byte, into any) error {
	err := json.Unmarshal(text, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return &transports.ParamError{Param: wrong.Field, Detail: fmt.Sprintf("a JSON %s does not belong here", wrong.Value)}
	}
	return err
}
