package sockjs

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString writes text as a string of JSON. What browsers are known to mangle
// is escaped; in a script, what could end it, too.
func appendString(b, text []byte, script bool) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && !(script && (c == '<' || c == '>' || c == '&')) {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRune(text[i:]); !mangled(r) {
				i += size
				continue
			}
		}
		b = append(b, text[from:i]...)
		b = appendEscape(b, r)
		i += size
		from = i
	}
	b = append(b, text[from:]...)
	return append(b, '"')
}

// mangled says whether browsers are known to lose the character on some
// transport. What is no UTF-8 is among them.
func mangled(r rune) bool {
	return r >= 0x200c && r <= 0x200f || r >= 0x2028 && r <= 0x202f || r >= 0x2060 && r <= 0x206f || r >= 0xfff0 && r <= 0xffff
}

func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', hexDigits[r>>12&0xf], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
}

// closeFrame says that the session is over, and why.
func closeFrame(code int, reason string) []byte {
	b := strconv.AppendInt([]byte("c["), int64(code), 10)
	b = append(b, ',')
	b = appendString(b, []byte(reason), false)
	return append(b, ']')
}

// What may be wrong with what a client sends.
var (
	errNoPayload = errors.New("Payload expected.")     //nolint:staticcheck // clients know these words
	errBroken    = errors.New("Broken JSON encoding.") //nolint:staticcheck // the same
	errTooLarge  = errors.New("the message is too large")
)

// parseMessages reads what a client sends: an array of strings, or one alone where
// that is allowed. The messages are valid UTF-8, of at most so many bytes each.
func parseMessages(payload []byte, alone bool, most int) ([][]byte, error) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 {
		return nil, errNoPayload
	}
	var list []*string
	if alone && payload[0] == '"' {
		list = []*string{nil}
		if err := json.Unmarshal(payload, &list[0]); err != nil {
			return nil, errBroken
		}
	} else if err := json.Unmarshal(payload, &list); err != nil || list == nil {
		return nil, errBroken
	}
	messages := make([][]byte, len(list))
	for i, text := range list {
		switch {
		case text == nil:
			return nil, errBroken
		case len(*text) > most:
			return nil, errTooLarge
		}
		messages[i] = []byte(*text)
	}
	return messages, nil
}
