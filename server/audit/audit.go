package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin/server/inbox"
)

// What is recorded. Commands to alarms are Alarm and the command's name.
const (
	Alarm        = "alarm."
	PutDevice    = "device.put"
	DeleteDevice = "device.delete"
	PutUser      = "user.put"
	DeleteUser   = "user.delete"
	Import       = "directory.import"
	Revoke       = "token.revoke"
	Kick         = "user.kick"
	Backup       = "backup"
)

// A Record is one thing that somebody did.
type Record struct {
	Time time.Time `json:"time"` // zero: when it is noted
	By   string    `json:"by"`   // the user of the token
	From string    `json:"from"` // the address he came from
	What string    `json:"what"`
	On   []string  `json:"on"` // ids of alarms, or names
	Note string    `json:"note,omitempty"`
	// Details are other things worth knowing, as JSON.
	Details json.RawMessage `json:"details,omitempty"`
	Node    string          `json:"node"`
	Request string          `json:"request,omitempty"` // its id in the server's log
}

// A Feed keeps records, for all nodes, and forgets the oldest. natslog has one. Its
// errors are those of the package inbox.
type Feed interface {
	// Append returns when the data is stored.
	Append(ctx context.Context, data []byte) error
	// Back calls each with what was stored before a sequence, 0 is the end, the newest
	// first, until it returns an error, which Back returns as it is.
	Back(ctx context.Context, before uint64, each func(seq uint64, at time.Time, data []byte) error) error
}

// Options of a Trail; Feed is required.
type Options struct {
	Feed   Feed
	Node   string       // whose records these are
	Logger *slog.Logger // nil is silent
	Now    func() time.Time
}

// A Trail notes records and lists them. Its methods may be called by many goroutines
// at once, Run by one.
type Trail struct {
	o     Options
	queue chan Record
}

const (
	// queued is how many records wait to be stored before whoever notes another one
	// has to wait.
	queued = 1024
	// lastWords bounds the storing of what is queued when the node ends.
	lastWords = 5 * time.Second
)

// New returns a Trail.
func New(o Options) *Trail {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Trail{o: o, queue: make(chan Record, queued)}
}

// Run stores what is noted, in order, until the context ends; then the rest.
func (t *Trail) Run(ctx context.Context) {
	for {
		select {
		case r := <-t.queue:
			t.store(ctx, r)
			continue
		case <-ctx.Done():
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer cancel()
		for {
			select {
			case r := <-t.queue:
				t.store(last, r)
			default:
				return
			}
		}
	}
}

// Note has a record stored soon, and waits only where very many are waiting already. A process that is killed
// takes with it what was noted in its last moment.
func (t *Trail) Note(ctx context.Context, r Record) {
	r = t.complete(r)
	select {
	case t.queue <- r:
	case <-ctx.Done():
		t.store(context.WithoutCancel(ctx), r)
	}
}

// Keep returns when the record is stored, or is in the log instead.
func (t *Trail) Keep(ctx context.Context, r Record) {
	t.store(context.WithoutCancel(ctx), t.complete(r))
}

func (t *Trail) complete(r Record) Record {
	if r.Time.IsZero() {
		r.Time = t.o.Now()
	}
	r.Time, r.Node = r.Time.UTC().Truncate(time.Millisecond), t.o.Node
	if r.On == nil {
		r.On = []string{}
	}
	return r
}

func (t *Trail) store(ctx context.Context, r Record) {
	data, err := json.Marshal(r)
	if err == nil {
		err = t.o.Feed.Append(ctx, data)
	}
	if err != nil {
		t.o.Logger.Error("the audit trail lacks this", "time", r.Time, "by", r.By, "from", r.From, "what", r.What,
			"on", r.On, "details", string(r.Details), "request", r.Request, "error", err)
	}
}

// Limits of a page.
const (
	DefaultPage = 100
	MaxPage     = 1000
	// looks is how many records a page looks at before it says that there are more.
	looks = 20_000
)

// A Query says which records to list; its zero value is the newest ones.
type Query struct {
	User string // who did it; empty is anybody
	// What is one of the words, or what stands before its dot; empty is everything.
	What  string
	Since time.Time // nothing earlier; zero is no bound
	After string    // the Next of the page before
	Limit int       // 1 to MaxPage; 0 is DefaultPage
}

// A Page is a part of the trail, the newest first. It may be short, or empty, and have
// a Next all the same.
type Page struct {
	Records []Record
	Next    string // empty at the end
}

var errEnough = errors.New("the page is full")

// List gives a page. Errors: a FieldError on after or limit, those of the feed.
func (t *Trail) List(ctx context.Context, q Query) (Page, error) {
	before := uint64(0)
	if q.After != "" {
		var err error
		if before, err = strconv.ParseUint(q.After, 10, 64); err != nil || before == 0 {
			return Page{}, inbox.Fieldf("after", "want the next of another page")
		}
	}
	if q.Limit == 0 {
		q.Limit = DefaultPage
	}
	if q.Limit < 1 || q.Limit > MaxPage {
		return Page{}, inbox.Fieldf("limit", "1 to %d, not %d", MaxPage, q.Limit)
	}
	p, looked := Page{Records: []Record{}}, 0
	last := uint64(0)
	err := t.o.Feed.Back(ctx, before, func(seq uint64, at time.Time, data []byte) error {
		if len(p.Records) == q.Limit || looked == looks {
			p.Next = strconv.FormatUint(last, 10)
			return errEnough
		}
		// Records are stored soon after they are noted, maybe not in the order of their times.
		if !q.Since.IsZero() && at.Before(q.Since) {
			return errEnough
		}
		last = seq
		looked++
		r := read(at, data)
		if q.fits(&r) {
			p.Records = append(p.Records, r)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return Page{}, fmt.Errorf("read the audit trail: %w", err)
	}
	return p, nil
}

func (q *Query) fits(r *Record) bool {
	kind, _, _ := strings.Cut(r.What, ".")
	return (q.User == "" || q.User == r.By) && (q.What == "" || q.What == r.What || q.What == kind) &&
		(q.Since.IsZero() || !r.Time.Before(q.Since))
}

// read reads a record. What cannot be read, having been written by a later version, is
// shown for what it is.
func read(at time.Time, data []byte) Record {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		text, _ := json.Marshal(string(data)) // a text always can be
		return Record{Time: at.UTC(), What: "unreadable", On: []string{}, Details: text}
	}
	r.Details = slices.Clip(r.Details)
	return r
}
