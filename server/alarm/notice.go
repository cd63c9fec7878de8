package alarm

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"tocsin/server/inbox"
)

// Limits of a notice.
const (
	MaxTitleChars  = 256
	MaxNoticeBytes = 16 << 10 // of its body, and of its data
	MaxNoticeUsers = 1000
	// MaxDepth is how deep data may be nested: clients read it with what they have,
	// and some of that gives up at a thousand levels.
	MaxDepth = 64
)

// A Notice is a message to people that is no alarm. Exactly one of Users, Groups
// and Everyone says to whom.
type Notice struct {
	// ID lets it be sent again; empty: no de-duplication.
	ID       string
	Users    []string
	Groups   []string
	Everyone bool
	Title    string
	Body     string
	Data     json.RawMessage // any JSON value, or empty
}

// A NoticeResult answers one append of a notice.
type NoticeResult struct {
	// To is the user, or empty for groups and everyone.
	To        string
	ID        string
	Seq       uint64
	Duplicate bool
}

// Check says whether the notice is within bounds; the error is a FieldError.
func (n *Notice) Check() error {
	kinds := 0
	for _, is := range [...]bool{len(n.Users) > 0, len(n.Groups) > 0, n.Everyone} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return inbox.Fieldf("to", `want {"users":[…]}, {"groups":[…]} or "everyone"`)
	}
	if len(n.Users) > MaxNoticeUsers {
		return inbox.Fieldf("to.users", "at most %d, not %d", MaxNoticeUsers, len(n.Users))
	}
	for _, u := range n.Users {
		if err := inbox.CheckText("to.users", u, 1, inbox.MaxUserChars); err != nil {
			return err
		}
	}
	if err := inbox.CheckGroups("to.groups", n.Groups); err != nil {
		return err
	}
	if err := inbox.CheckText("id", n.ID, 0, MaxIDChars); err != nil {
		return err
	}
	if err := inbox.CheckText("title", n.Title, 1, MaxTitleChars); err != nil {
		return err
	}
	if len(n.Body) > MaxNoticeBytes {
		return inbox.Fieldf("body", "at most %d bytes, not %d", MaxNoticeBytes, len(n.Body))
	}
	if len(n.Data) > MaxNoticeBytes {
		return inbox.Fieldf("data", "at most %d bytes, not %d", MaxNoticeBytes, len(n.Data))
	}
	if len(n.Data) > 0 && !json.Valid(n.Data) {
		return inbox.Fieldf("data", "want JSON")
	}
	if levels := depth(n.Data); levels > MaxDepth {
		return inbox.Fieldf("data", "nested at most %d deep, not %d", MaxDepth, levels)
	}
	return nil
}

// depth is how deep valid JSON is nested.
func depth(text []byte) (most int) {
	level, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++ // what follows ends no string
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			level++
			most = max(most, level)
		case c == '}', c == ']':
			level--
		}
	}
	return most
}

// Notify stores the notice: one append for groups and for everyone, one each for
// users. The error is a FieldError, ErrIDReused or one of the log; some users'
// appends may then be stored, and sending it again with its id completes them.
func (e *Engine) Notify(ctx context.Context, from string, n Notice) ([]NoticeResult, error) {
	told := e.NotifyAll(ctx, from, []Notice{n})[0]
	return told.Results, told.Err
}

// A Notified answers one notice of several, as Notify does.
type Notified struct {
	Results []NoticeResult
	Err     error
}

// NotifyAll is Notify for many notices at once, which are stored in their order. One
// that fails stops no other.
func (e *Engine) NotifyAll(ctx context.Context, from string, notices []Notice) []Notified {
	told := make([]Notified, len(notices))
	var proposals []inbox.Proposal
	at := map[string]int{} // the subjects' places among the proposals
	places := make([][]int, len(notices))
	for i := range notices {
		part, results, err := e.propose(ctx, from, &notices[i])
		if told[i] = (Notified{results, err}); err != nil {
			continue
		}
		for _, p := range part {
			place, again := at[p.Subject] // by an id that comes twice
			if !again {
				place = len(proposals)
				at[p.Subject] = place
				proposals = append(proposals, p)
			}
			places[i] = append(places[i], place)
		}
	}
	if len(proposals) == 0 {
		return told
	}
	receipts := e.o.Log.Append(ctx, proposals...)
	for _, r := range receipts {
		if r.Err == nil && !r.Duplicate {
			e.o.View.Appended(r.Seq)
		}
	}
	seen := make([]bool, len(proposals))
	for i := range told {
		for k, place := range places[i] {
			r := &receipts[place]
			if r.Err != nil {
				told[i] = Notified{Err: notStored(r.Err)}
				break
			}
			told[i].Results[k].Seq, told[i].Results[k].Duplicate = r.Seq, r.Duplicate || seen[place]
			seen[place] = true
		}
	}
	return told
}

func notStored(err error) error {
	if errors.Is(err, inbox.ErrConflict) {
		return ErrIDReused // longer ago than the log remembers ids
	}
	return fmt.Errorf("store the notice: %w", err)
}

// propose makes the appends of a notice, and what answers them but for their places
// in the log.
func (e *Engine) propose(ctx context.Context, from string, n *Notice) ([]inbox.Proposal, []NoticeResult, error) {
	if err := n.Check(); err != nil {
		return nil, nil, err
	}
	audiences, names, err := e.recipients(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	if e.o.View.Stale() {
		return nil, nil, fmt.Errorf("notify: %w", inbox.ErrStale)
	}
	id := n.ID
	if id == "" {
		id = rand.Text()
	}
	now := e.now()
	proposals := make([]inbox.Proposal, len(audiences))
	results := make([]NoticeResult, len(audiences))
	for i, to := range audiences {
		entry := inbox.Entry{Subject: inbox.NoticeSubject(to, id), Epoch: e.o.Epoch, Audience: to, Rev: 1}
		results[i] = NoticeResult{To: names[i], ID: entry.ID()}
		b := make(text, 0, 256+len(n.Body)+len(n.Data))
		b.head(TypeNotice, now, from)
		b.key("notice")
		b = append(b, '{')
		b.string("id", entry.ID())
		b.string("from", from)
		b.string("title", n.Title)
		b.string("body", n.Body)
		b.key("data")
		if len(n.Data) == 0 {
			b = append(b, "null"...)
		} else {
			b = appendCompact(b, n.Data)
		}
		entry.Body = append(b, '}', '}')
		proposals[i] = inbox.Proposal{Subject: entry.Subject, Data: entry.Encode()}
		if n.ID != "" {
			proposals[i].ID = inbox.Escape(from) + "/" + inbox.Escape(n.ID) + "/" + inbox.Escape(string(to))
		}
	}
	return proposals, results, nil
}

// recipients are the audiences of a notice, with the users' names.
func (e *Engine) recipients(ctx context.Context, n *Notice) (to []inbox.Audience, names []string, err error) {
	switch {
	case n.Everyone:
		return []inbox.Audience{inbox.Everyone}, []string{""}, nil
	case len(n.Groups) > 0:
		route, err := e.o.Router.Route(ctx, n.Groups)
		return []inbox.Audience{inbox.RouteAudience(route)}, []string{""}, err
	}
	names = inbox.SortGroups(n.Users)
	for _, u := range names {
		to = append(to, inbox.UserAudience(u))
	}
	return to, names, nil
}

// appendCompact writes JSON on one line, safe inside a script element. The
// value is valid.
func appendCompact(b []byte, value json.RawMessage) []byte {
	compact, err := json.Marshal(value)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, compact...)
}
