package page

import (
	"strings"
	"unicode"

	"tocsin/server/inbox"
)

// A severity is told by word, by shape and by colour, so that each will do alone.
type severity struct{ Word, Shape string }

var noticeShape = severity{"notice", "□"}

var shapes = map[string]string{
	inbox.Critical.String():      "■",
	inbox.Major.String():         "▲",
	inbox.Minor.String():         "◆",
	inbox.Warning.String():       "●",
	inbox.Indeterminate.String(): "○",
}

// severityOf takes the word of an entry; one that is not known is shown, but
// never becomes a class.
func severityOf(word string) severity {
	if shape, ok := shapes[word]; ok {
		return severity{word, shape}
	}
	return severity{inbox.Indeterminate.String(), shapes[inbox.Indeterminate.String()]}
}

// gapWords tell a gap to people.
type gapWords struct {
	Reason inbox.GapReason
	Title  string
	Text   string
}

var gapTexts = map[inbox.GapReason]gapWords{
	inbox.GapExpired: {
		Title: "You have been away for longer than entries are kept.",
		Text:  "What came and went meanwhile cannot be shown any more. The list starts over with everything that is open now.",
	},
	inbox.GapEpoch: {
		Title: "The server has lost the end of its log.",
		Text:  "Some of what this page showed last may be gone for good. The list starts over with everything that is open now.",
	},
	inbox.GapMembership: {
		Title: "Your groups have changed.",
		Text:  "What you may see is not what it was. The list starts over with everything that is open for you now.",
	},
	inbox.GapCompacted: {
		Title: "Too much has happened since the last refresh to show every change.",
		Text:  "Each alarm that changed is marked once, in its newest state. None is missing.",
	},
}

func wordsOf(g *inbox.Gap) *gapWords {
	if g == nil {
		return nil
	}
	w, ok := gapTexts[g.Reason]
	if !ok {
		w = gapWords{Title: "Something is missing.", Text: "The list starts over with everything that is open now."}
	}
	w.Reason = g.Reason
	return &w
}

// clean makes visible what would not stay inside its text: control characters,
// which a terminal obeys, and the marks that turn the direction of what follows
// them, which a text browser does not confine. Languages that are written from
// right to left do without those.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n', c == '\t':
			return c
		case unicode.IsControl(c), c == '\u2028', c == '\u2029',
			c >= '\u202a' && c <= '\u202e', c >= '\u2066' && c <= '\u2069':
			return unicode.ReplacementChar
		}
		return c
	}, s)
}
