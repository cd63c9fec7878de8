package alarm

import (
	"errors"

	"tocsin/server/inbox"
)

// Errors that callers tell apart with [errors.Is]; those of the log
// (inbox.ErrFull, inbox.ErrUnavailable) come through wrapped.
var (
	// ErrMalformed: a body that is not what was asked for; see FieldError for
	// values that are out of bounds.
	ErrMalformed = errors.New("malformed")
	// ErrNotFound: no such alarm in this user's inbox.
	ErrNotFound = errors.New("no such alarm")
	// ErrIDReused: the event's id was used for another alarm within the window.
	ErrIDReused = errors.New("the id was used for another alarm")
	// ErrSuperseded: the alarm has had a newer occurrence since; a ConflictError
	// carries it.
	ErrSuperseded = errors.New("a newer occurrence has taken the place of this one")
	// ErrChanged: the alarm is not at the revision that the command asks for; a
	// ConflictError carries it.
	ErrChanged = errors.New("the alarm has changed")
)

// A FieldError says which field of an event or command is out of bounds.
type FieldError = inbox.FieldError

// A ConflictError is ErrSuperseded or ErrChanged with the present alarm.
type ConflictError struct {
	Err     error
	Present Alarm
}

func (e *ConflictError) Error() string { return e.Err.Error() }
func (e *ConflictError) Unwrap() error { return e.Err }
