package poll

import (
	"net/http"
	"strings"

	"tocsin/server/inbox"
)

// tagOf is the ETag of an answer: where the client stands, and the version of
// his counters and read marks. What happens to others changes neither.
func tagOf(b *inbox.Batch) string { return `"` + b.Cursor + `-` + b.Version() + `"` }

// tags are those of If-None-Match; nil when there are none.
type tags []string

// tagsOf reads a list of entity tags, weak or strong: the comparison is weak
// (RFC 9110 §13.1.2). Our tags have no commas or quotes in them.
func tagsOf(r *http.Request) tags {
	var list tags
	for _, line := range r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag != "" {
				list = append(list, tag)
			}
		}
	}
	return list
}

// match says whether the client has what the batch, which has no entries, tells.
// * matches only for one who has the cursor: any other must be told his.
func (list tags) match(b *inbox.Batch, cursor string) bool {
	for _, tag := range list {
		if tag == tagOf(b) || tag == "*" && cursor == b.Cursor {
			return true
		}
	}
	return false
}
