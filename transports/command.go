package transports

import "time"

// A Command is what a client wants done to an alarm (docs/protocol.md §9). The
// words of Op are those of the wire: whoever does it judges them, and the rest.
type Command struct {
	Op    string // ack, unack, clear, shelve, unshelve or comment
	Alarm string // its id
	Rev   uint64 // the revision it must be at; 0: any
	Note  string
	Until time.Time // of shelve; zero: an hour from now
}

// TimeOf reads a time that a client gives, in RFC 3339; an empty one is zero. The
// error is a ParamError.
func TimeOf(param, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, &ParamError{Param: param, Detail: "want RFC 3339, such as 2026-11-21T02:00:00.250Z"}
	}
	return t, nil
}
