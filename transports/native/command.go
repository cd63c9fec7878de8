package native

import (
	"bytes"
	"context"
	"encoding/json"

	"tocsin/transports"
)

// bounded is the context of one command.
func (c *Conversation) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, c.o.commandTimeout())
}

// startOp begins the delivery to a client whom the handshake knows.
func (c *Conversation) startOp(text []byte) ([]byte, error) {
	var m place
	if err := parse(text, &m); err != nil {
		return nil, err
	}
	from, err := m.start()
	if err != nil {
		return nil, err
	}
	if c.begun {
		return nil, &transports.ParamError{Param: "op", Detail: "it has started already"}
	}
	c.start(from)
	return nil, nil
}

func (c *Conversation) read(text []byte) ([]byte, error) {
	var m struct {
		Upto string   `json:"upto"`
		IDs  []string `json:"ids"`
	}
	if err := parse(text, &m); err != nil {
		return nil, err
	}
	if m.Upto == "" && m.IDs == nil {
		return nil, &transports.ParamError{Param: "upto", Detail: "want upto, a cursor, or ids, a list"}
	}
	ctx, cancel := c.bounded()
	defer cancel()
	counts, err := c.o.Commands.MarkRead(ctx, c.id.Client, m.Upto, m.IDs)
	if err != nil {
		return nil, err
	}
	return counts.AppendJSON([]byte{','}), nil
}

func (c *Conversation) ack(text []byte) ([]byte, error) {
	var m struct {
		Alarm string `json:"alarm"`
		Rev   uint64 `json:"rev"`
		Note  string `json:"note"`
	}
	if err := parse(text, &m); err != nil {
		return nil, err
	}
	if m.Alarm == "" {
		return nil, &transports.ParamError{Param: "alarm", Detail: "want the id of an alarm"}
	}
	ctx, cancel := c.bounded()
	defer cancel()
	alarm, err := c.o.Commands.Acknowledge(ctx, c.id.Client, m.Alarm, m.Rev, m.Note)
	return append([]byte(`,"alarm":`), alarm...), err
}

func (c *Conversation) publish(text []byte) ([]byte, error) {
	var m struct {
		Alarms json.RawMessage `json:"alarms"`
	}
	if err := parse(text, &m); err != nil {
		return nil, err
	}
	if !c.id.Publish {
		return nil, ErrForbidden
	}
	if !bytes.HasPrefix(m.Alarms, []byte{'['}) {
		return nil, &transports.ParamError{Param: "alarms", Detail: "want a list of alarms"}
	}
	ctx, cancel := c.bounded()
	defer cancel()
	results, err := c.o.Commands.Publish(ctx, c.id.Client, m.Alarms)
	return append([]byte(`,"results":`), results...), err
}
