package poll

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// Limits of a poll.
const (
	DefaultLimit = 100              // entries of an answer
	MaxLimit     = 1000             // that a client may ask for
	MaxWait      = 55 * time.Second // longer ones are cut: proxies end a request after a minute
)

// Options are what polls are answered from.
type Options struct {
	View *inbox.View
	Pump *transports.Pump
	// Limits must have their defaults filled in.
	Limits transports.Limits
	// Busy and Idle are what a client is told to wait before its next short poll,
	// after an answer with something in it and without; 0 is 5 s and 30 s.
	Busy, Idle time.Duration
	// Draining: the node goes down, and a client does well to ask another one soon.
	Draining bool
	// Delivered, unless nil, hears how many entries were written.
	Delivered func(entries int)
	// Reached, unless nil, hears what an answer that was written has delivered.
	Reached func(inbox.Reach)
	// Problem puts into words why a poll that waited cannot be answered, as Serve's
	// caller would with an error: the status, the header besides that of every
	// answer, and the body.
	Problem func(err error) (status int, header http.Header, body []byte)
	// Next, unless nil, takes a connection for its next request, with what was
	// read of that already. Without it a connection ends with an answer that was
	// waited for.
	Next func(conn net.Conn, read []byte)
}

// Serve answers one poll. One that waits has no goroutine but that which hears
// whether its client is still there: Serve returns, and the answer comes later.
// opened is called with what ends the waiting with a cause, when it begins; and if
// it was, closed with why it is over, once, nil for an answer. Errors are for the
// caller to answer: a transports.ParamError, also for a cursor that is none, and
// those of transports.Once.
func Serve(w http.ResponseWriter, r *http.Request, c transports.Client, o Options,
	opened func(end func(cause error)), closed func(error)) error {
	o.Busy, o.Idle = cmp.Or(o.Busy, 5*time.Second), cmp.Or(o.Idle, 30*time.Second)
	start, err := transports.StartOf(r)
	if err != nil {
		return err
	}
	q := question{o: &o, from: start.Cursor, known: tagsOf(r)}
	ask := transports.Ask{}
	if ask.Limit, err = limitOf(r); err != nil {
		return err
	}
	var preferred bool
	if ask.Wait, preferred, err = waitOf(r); err != nil {
		return err
	}
	if preferred {
		q.applied = "wait=" + strconv.Itoa(int(ask.Wait/time.Second))
	}
	s := transports.Session{Expires: c.Expires, Delivered: o.Delivered}
	if s.Reader, err = o.View.Open(c.User, c.Groups, start); err != nil {
		if errors.Is(err, inbox.ErrCursor) {
			return &transports.ParamError{Param: "cursor", Detail: err.Error()}
		}
		return err
	}
	p, err := transports.Once(r.Context(), s, ask.Limit, o.Limits)
	p.Drained = o.Draining
	if err == nil && p.Empty() && ask.Wait > 0 && !o.Draining && !q.news(&p) {
		return q.wait(w, r, s, ask, p, opened, closed)
	}
	defer s.Reader.Close()
	if err != nil {
		return err
	}
	q.answer(&p).write(w)
	return nil
}

// Waits says whether the request asks for a long poll.
func Waits(r *http.Request) bool {
	wait, _, err := waitOf(r)
	return err == nil && wait > 0
}

// A question is what a poll asked.
type question struct {
	o       *Options
	from    string // the cursor
	known   tags   // of answers that the client has
	applied string // the preference that was followed
}

// news says of a page without entries whether its counters are news to the
// client, who then is answered at once.
func (q *question) news(p *transports.Page) bool {
	return q.known != nil && !q.known.match(&p.Batch, q.from)
}

// An answer is what goes out.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	reached func() // to be called when it is written; may be nil
}

func (a answer) arrived() {
	if a.reached != nil {
		a.reached()
	}
}

func (q *question) answer(p *transports.Page) answer {
	a := answer{status: http.StatusOK, header: http.Header{}}
	if hear := q.o.Reached; hear != nil {
		reach := p.Reach(len(p.Items))
		a.reached = func() { hear(reach) }
	}
	a.header.Set("Cache-Control", "no-store")
	a.header.Set("ETag", tagOf(&p.Batch))
	if q.applied != "" {
		a.header.Set("Preference-Applied", q.applied)
	}
	if p.Empty() && !p.Drained && q.known.match(&p.Batch, q.from) {
		a.status = http.StatusNotModified
		return a
	}
	a.body = appendPage(make([]byte, 0, 512+sizeOf(p)), p, q.o.interval(p))
	a.header.Set("Content-Type", "application/json")
	a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	return a
}

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	w.WriteHeader(a.status)
	// A client that is gone misses nothing: it still has its cursor.
	if _, err := w.Write(a.body); err == nil || a.status == http.StatusNotModified {
		a.arrived()
	}
}

// interval is when the next short poll is due, in seconds: at once where more is
// there already, soon when the node goes down.
func (o *Options) interval(p *transports.Page) int {
	switch {
	case p.More:
		return 0
	case p.Drained:
		return 1
	case p.Empty():
		return int(o.Idle / time.Second)
	}
	return int(o.Busy / time.Second)
}

func sizeOf(p *transports.Page) (n int) {
	for i := range p.Items {
		n += p.Items[i].Size() + 1
	}
	return n
}

func appendPage(b []byte, p *transports.Page, interval int) []byte {
	b = append(b, `{"entries":[`...)
	for i := range p.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.Items[i].AppendJSON(b)
	}
	b = append(b, `],"cursor":`...)
	b = inbox.AppendString(b, p.Cursor)
	b = append(b, `,"more":`...)
	b = strconv.AppendBool(b, p.More)
	b = append(b, ',')
	b = p.Counts.AppendJSON(b)
	b = append(b, `,"interval":`...)
	b = strconv.AppendInt(b, int64(interval), 10)
	b = append(b, `,"gap":`...)
	if p.Gap == nil {
		b = append(b, "null"...)
	} else {
		b = p.Gap.AppendJSON(b)
	}
	return append(b, '}', '\n')
}

func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return DefaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MaxLimit {
		return 0, &transports.ParamError{Param: "limit", Limit: MaxLimit,
			Detail: fmt.Sprintf("want 1 to %d, not %.40q", MaxLimit, text)}
	}
	return n, nil
}

// waitOf reads ?wait= or, without it, Prefer: wait= (RFC 7240). preferred says
// that the latter was followed. A preference that cannot be read is passed over,
// as its RFC wants.
func waitOf(r *http.Request) (wait time.Duration, preferred bool, err error) {
	if text := r.URL.Query().Get("wait"); text != "" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f < 0 || math.IsNaN(f) {
			return 0, false, &transports.ParamError{Param: "wait", Limit: int(MaxWait / time.Second),
				Detail: fmt.Sprintf("want seconds from 0 to 55, such as 25, not %.40q", text)}
		}
		return time.Duration(min(f, MaxWait.Seconds()) * float64(time.Second)), false, nil
	}
	for _, line := range r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(p, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			value, _, _ = strings.Cut(value, ";")
			if n, err := strconv.ParseUint(strings.Trim(value, ` "`), 10, 32); err == nil {
				return min(time.Duration(n)*time.Second, MaxWait), true, nil
			}
		}
	}
	return 0, false, nil
}
