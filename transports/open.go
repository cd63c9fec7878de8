package transports

import (
	"errors"

	"tocsin/server/inbox"
)

// Open opens a stream's session where the client wants to begin. A bad cursor
// becomes a gap: an error would be a dead end for one who connects again and
// again with what he has. Close the session's reader when done.
func Open(v *inbox.View, c Client, start inbox.Start) (Session, error) {
	s := Session{Expires: c.Expires}
	if IsPlace(start.Cursor) {
		s.Place = start.Cursor
	}
	var err error
	s.Reader, err = v.Open(c.User, c.Groups, start)
	if errors.Is(err, inbox.ErrCursor) {
		s.Reader, err = v.OpenLost(c.User, c.Groups, printable(start.Cursor)), nil
	}
	return s, err
}

// printable keeps of a bad cursor what the gap may repeat: nothing, if it could
// not even be one.
func printable(cursor string) string {
	if len(cursor) > inbox.MaxCursor {
		return ""
	}
	for i := range len(cursor) {
		c := cursor[i]
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == '.', c == '_', c == '~', c == '-':
		default:
			return ""
		}
	}
	return cursor
}
