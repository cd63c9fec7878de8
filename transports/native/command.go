package native

import (
	"bytes"
	"encoding/json"

	"tocsin/transports"
)

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
	if c.Begun() {
		return nil, &transports.ParamError{Param: "op", Detail: "it has started already"}
	}
	c.Start(from)
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
	ctx, cancel := c.Bounded()
	defer cancel()
	counts, err := c.o.Commands.MarkRead(ctx, c.Identity().Client, m.Upto, m.IDs)
	if err != nil {
		return nil, err
	}
	return counts.AppendJSON([]byte{','}), nil
}

// do is the op of this name, which is done to one alarm, or, an
// acknowledgement, to many.
func do(op string) func(*Conversation, []byte) ([]byte, error) {
	return func(c *Conversation, text []byte) ([]byte, error) {
		var m struct {
			Alarm  string   `json:"alarm"`
			Alarms []string `json:"alarms"`
			Rev    uint64   `json:"rev"`
			Note   string   `json:"note"`
			Until  string   `json:"until"`
		}
		if err := parse(text, &m); err != nil {
			return nil, err
		}
		until, err := transports.TimeOf("until", m.Until)
		if err != nil {
			return nil, err
		}
		ctx, cancel := c.Bounded()
		defer cancel()
		switch {
		case m.Alarms != nil && (op != opAck || m.Alarm != "" || m.Rev != 0):
			return nil, &transports.ParamError{Param: "alarms", Detail: "goes with ack, a note and nothing else"}
		case m.Alarms != nil:
			results, err := c.o.Commands.AckAll(ctx, c.Identity().Client, m.Alarms, m.Note)
			return append([]byte(`,"results":`), results...), err
		case m.Alarm == "":
			return nil, &transports.ParamError{Param: "alarm", Detail: "want the id of an alarm"}
		}
		alarm, err := c.o.Commands.Do(ctx, c.Identity().Client, transports.Command{Op: op, Alarm: m.Alarm, Rev: m.Rev, Note: m.Note, Until: until})
		return append([]byte(`,"alarm":`), alarm...), err
	}
}

func (c *Conversation) publish(text []byte) ([]byte, error) {
	var m struct {
		Alarms json.RawMessage `json:"alarms"`
	}
	if err := parse(text, &m); err != nil {
		return nil, err
	}
	if !c.Identity().Publish {
		return nil, ErrForbidden
	}
	if !bytes.HasPrefix(m.Alarms, []byte{'['}) {
		return nil, &transports.ParamError{Param: "alarms", Detail: "want a list of alarms"}
	}
	ctx, cancel := c.Bounded()
	defer cancel()
	results, err := c.o.Commands.Publish(ctx, c.Identity().Client, m.Alarms)
	return append([]byte(`,"results":`), results...), err
}
