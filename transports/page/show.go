package page

import (
	"embed"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tocsin/server/inbox"
)

//go:embed templates/*.html
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"style":  func() string { return assetURL(PathStyle) },
	"script": func() string { return assetURL(PathScript) },
}).ParseFS(templateFiles, "templates/*.html"))

// shownAttrs is how many attributes stand in the open; the others fold away.
const shownAttrs = 6

// maxShownBody bounds how much of a notice is listed, in characters.
const maxShownBody = 1000

// An inboxPage is what the template of the inbox gets. Everything in it that
// comes from outside is text, which the template escapes.
type inboxPage struct {
	Title    string
	User     string
	Now      stamp
	Icon     string   // of the worst that is open
	Refresh  *refresh // nil while paused
	Next     string   // the URL of the next refresh, which is that of resuming too
	Pause    string   // the URL that shows the same and stands still
	Select   string   // the URL that has boxes to tick; empty for none
	MayRead  bool
	MayLeave bool
	*frame

	Gap    *gapWords
	Notes  []string
	First  bool     // nothing can be new yet
	Since  []string // "2 new", "1 cleared"
	Unread int
	Counts []counter
	Open   int // alarms that are active or unacknowledged
	Flood  *floodBar
	Stale  bool // the node has lost touch with the log
	Listed int  // alarms and notices, folded or not
	Rows   []shownRow
}

// A refresh is when a page is looked at again by itself, and where.
type refresh struct {
	Seconds int
	URL     string
	// Hidden is the pause while nobody sees the page, which stays where it is then; 0:
	// it goes on.
	Hidden int
}

// A frame is what rows and forms need of the page that they stand on.
type frame struct {
	CSRF   string
	Cursor string // to be returned by forms, as are the next two
	Paused bool
	At     string // the alarm that the page is about

	MayAck    bool // there are forms that acknowledge
	MayAct    bool // and those of all other commands
	Noted     bool // there is time to write a note
	Selecting bool // rows have boxes to tick instead of forms
	Shelves   []shelf
}

// A counter is one of the open alarms by severity.
type counter struct {
	severity
	N int
}

// A shownRow is a row as the template writes it.
type shownRow struct {
	severity
	ID        string
	Mark      mark
	Name      string // the type of an alarm, the title of a notice
	Qualifier string
	Device    string
	Groups    string
	Text      string
	Attrs     []attr
	More      []attr
	Raised    stamp
	Last      *stamp // of several raises
	Count     uint64
	States    []state
	Earlier   uint64
	CanAck    bool
	Acked     bool
	Active    bool
	Shelved   bool
	Done      bool // neither active nor waiting for anybody
	From      string
	Comments  uint64
	History   string // the URL of the alarm's page
	// Folded are rows that this one stands for in a flood. It has no others of the
	// above than severity, Name and Groups.
	Folded []shownRow
	Frame  *frame
}

type attr struct{ Name, Value string }

// A state is a word about a row, with who and when where that is known.
type state struct {
	Word, By, Note string
	At             *stamp
	Until          *stamp
}

// show makes what the template gets.
func (o *Options) show(v Visitor, p place, l *listing) *inboxPage {
	now := o.Now().UTC()
	next := place{cursor: l.cursor}
	pause := place{cursor: p.cursor, paused: true} // so that the marks stay
	if l.first {
		pause.cursor = l.cursor
	}
	pg := &inboxPage{
		User: clean(v.User), Now: stampOf(now, now),
		Next: next.url(), Pause: pause.url(), MayRead: o.Read != nil, MayLeave: o.Logout != nil,
		Gap: wordsOf(l.gap), Unread: l.counts.Unread, Flood: floodOf(l.counts, now), Stale: l.counts.Stale,
		frame: o.frame(v, p, l.cursor),
	}
	if !p.paused && !p.selecting {
		pg.Refresh = &refresh{Seconds: o.pauseBefore(l), URL: pg.Next}
		if !l.more {
			pg.Refresh.Hidden = max(1, int(o.Idle/time.Second))
		}
	}
	if l.lost {
		pg.Notes = append(pg.Notes, "The address of this page named no place in your inbox. The list starts over with everything that is open.")
	}
	if l.more {
		pg.Notes = append(pg.Notes, "More has changed than is looked through at once. The next refresh goes on.")
	}
	for _, s := range inbox.Severities {
		pg.Counts = append(pg.Counts, counter{severityOf(s.String()), l.counts.Active[s]})
		pg.Open += l.counts.Active[s]
	}
	pg.Icon = iconFor(l.counts)
	canAck := 0
	for _, r := range l.newest(o.Rows) {
		row := o.showRow(r, now, pg.frame)
		if row.CanAck {
			canAck++
		}
		pg.Rows = append(pg.Rows, row)
	}
	if pg.Listed = len(pg.Rows); pg.Flood != nil {
		pg.Rows = fold(pg.Rows)
	}
	if canAck > 1 && o.AckAll != nil {
		pause.selecting, pause.paused = true, p.paused
		pg.Select = pause.url()
	}
	pg.First, pg.Since = l.first || l.gap != nil && l.gap.Reason != inbox.GapCompacted, l.since()
	pg.Title = title(l.counts)
	return pg
}

// pauseBefore is when the next refresh is due, in seconds.
func (o *Options) pauseBefore(l *listing) int {
	switch {
	case l.more:
		return 1
	case l.first && len(l.rows) > 0, l.gap != nil, len(l.since()) > 0:
		return max(1, int(o.Busy/time.Second))
	}
	return max(1, int(o.Idle/time.Second))
}

// since sums up the marks in words.
func (l *listing) since() []string {
	n := map[mark]int{}
	for _, r := range l.rows {
		n[r.mark]++
	}
	var words []string
	for _, m := range marks {
		if n[m] > 0 {
			words = append(words, strconv.Itoa(n[m])+" "+string(m))
		}
	}
	return words
}

// title is what a tab shows: the worst first.
func title(c inbox.Counts) string {
	var words []string
	for _, s := range inbox.Severities[:2] {
		if n := c.Active[s]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, s))
		}
	}
	if c.Unread > 0 {
		words = append(words, fmt.Sprintf("%d unread", c.Unread))
	}
	return strings.Join(append(words, "Tocsin"), " · ")
}

// frame is what rows and forms need of a page at this place.
func (o *Options) frame(v Visitor, p place, cursor string) *frame {
	return &frame{
		CSRF: o.CSRF(v.Session), Cursor: cursor, Paused: p.paused, At: p.alarm,
		MayAck: o.Do != nil && !p.selecting, Selecting: p.selecting,
		Noted: p.paused || p.alarm != "", MayAct: o.Do != nil && !p.selecting && (p.paused || p.alarm != ""), Shelves: shelves[:],
	}
}

func (o *Options) showRow(r *row, now time.Time, f *frame) shownRow {
	if r.Notice != nil {
		return shownRow{Frame: f, severity: noticeShape, Mark: r.mark, Name: clean(r.Notice.Title),
			From: clean(r.Notice.From), Text: cut(clean(r.Notice.Body)), Raised: stampOf(r.Time, now)}
	}
	a := r.Alarm
	s := shownRow{severity: severityOf(a.Severity), Mark: r.mark, ID: a.ID, Name: clean(a.Type),
		Qualifier: clean(a.Qualifier), Device: clean(a.Device), Groups: clean(strings.Join(a.Groups, ", ")),
		Text: clean(a.Message), Raised: stampOf(a.RaisedAt, now), Count: a.Count, Earlier: a.Earlier,
		CanAck: !a.Acked || a.Earlier > 0, Done: !a.Active && a.Acked, States: statesOf(a, now),
		Acked: a.Acked, Active: a.Active, Shelved: a.ShelvedUntil != nil, Comments: a.Comments, Frame: f}
	if o.Look != nil && f.At == "" {
		s.History = place{alarm: a.ID, cursor: f.Cursor, paused: f.Paused}.url()
	}
	if a.Count > 1 {
		last := stampOf(a.LastRaised, now)
		s.Last = &last
	}
	for _, k := range slices.Sorted(maps.Keys(a.Attrs)) {
		s.Attrs = append(s.Attrs, attr{clean(k), clean(a.Attrs[k])})
	}
	if len(s.Attrs) > shownAttrs {
		s.Attrs, s.More = s.Attrs[:shownAttrs], s.Attrs[shownAttrs:]
	}
	return s
}

// statesOf says the condition and what people did, which are apart.
func statesOf(a *alarm, now time.Time) []state {
	var list []state
	if a.Active {
		list = append(list, state{Word: "active"})
	} else {
		s := state{Word: "cleared"}
		if a.ClearedAt != nil {
			at := stampOf(*a.ClearedAt, now)
			s.At = &at
		}
		if a.ClearReason != "reported" {
			s.Note = clean(a.ClearReason)
		}
		list = append(list, s)
	}
	if a.Chattering {
		list = append(list, state{Word: "chattering"})
	}
	if a.ShelvedUntil != nil {
		at := stampOf(*a.ShelvedUntil, now)
		list = append(list, state{Word: "shelved", By: clean(a.ShelvedBy), Until: &at})
	}
	if !a.Acked {
		return append(list, state{Word: "unacknowledged"})
	}
	s := state{Word: "acknowledged", Note: clean(a.AckNote)}
	if a.AckedBy != nil {
		s.By = clean(*a.AckedBy)
	}
	if a.AckedAt != nil {
		at := stampOf(*a.AckedAt, now)
		s.At = &at
	}
	return append(list, s)
}

// cut keeps the beginning of a long text.
func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxShownBody {
		return s
	}
	return string([]rune(s)[:maxShownBody]) + "…"
}

// A stamp is a time, in UTC: briefly to be read, and whole for machines and for
// whoever points at it.
type stamp struct{ Brief, Whole, Machine string }

func stampOf(t, now time.Time) stamp {
	t = t.UTC()
	s := stamp{Whole: t.Format("2006-01-02 15:04:05.000 UTC"), Machine: t.Format(inbox.TimeFormat)}
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		s.Brief = t.Format("15:04:05")
	case t.Year() == now.Year():
		s.Brief = t.Format("2 Jan 15:04")
	default:
		s.Brief = t.Format("2006-01-02 15:04")
	}
	return s
}
