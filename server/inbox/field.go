package inbox

import (
	"fmt"
	"unicode/utf8"
)

// A FieldError says which field of an input is out of bounds, and what the
// bounds are.
type FieldError struct {
	Field  string // as on the wire: device, attrs.speed_kmh
	Detail string // what is wanted: "1 to 64 characters, not 65"
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// InField gives the field and the detail apart.
func (e *FieldError) InField() (field, detail string) { return e.Field, e.Detail }

// Fieldf returns a FieldError.
func Fieldf(field, format string, args ...any) error {
	return &FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
}

// CheckText wants UTF-8 of least to most characters.
func CheckText(field, s string, least, most int) error {
	if !utf8.ValidString(s) {
		return Fieldf(field, "want UTF-8")
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return Fieldf(field, "%d to %d characters, not %d", least, most, n)
	}
	return nil
}

// Limits of names, in characters, and of the groups of one device or user.
const (
	MaxDeviceChars = 64
	MaxUserChars   = 128
	MaxGroupChars  = 64
	MaxGroups      = 64
)

// CheckGroups wants at most MaxGroups names of groups.
func CheckGroups(field string, groups []string) error {
	if len(groups) > MaxGroups {
		return Fieldf(field, "at most %d, not %d", MaxGroups, len(groups))
	}
	for _, g := range groups {
		if err := CheckText(field, g, 1, MaxGroupChars); err != nil {
			return err
		}
	}
	return nil
}
