package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/transports"
)

// How an upload is cut into publishings: whatever comes first.
const (
	partLines = 500
	partBytes = 1 << 20
	partTime  = 200 * time.Millisecond
)

// maxUploadKey bounds an upload's Idempotency-Key, so that key/line is an id.
const maxUploadKey = alarm.MaxIDChars - len("/18446744073709551615")

// An upload is one POST /v1/ingest/lines on its way.
type upload struct {
	s    *Server
	c    echo.Context
	id   *auth.Identity
	rc   *http.ResponseController
	key  string
	edge bool
	// quiet: of the results only those of rejected lines are told.
	quiet bool

	lines  int // read and answered
	counts map[string]int
	buf    []byte
}

// A line of an upload is an event, or what should have been one.
type line struct {
	number int
	bytes  int
	event  alarm.Event
	err    error
}

// postLines is POST /v1/ingest/lines (docs/protocol.md §9): events, a line each,
// for as long as they come, with their results as it goes. It holds one part of the
// lines at a time: a client that does not read its results is not read from.
func (s *Server) postLines(c echo.Context, id *auth.Identity) error {
	note(c).long = true
	t, err := mediaType(c)
	if err != nil {
		return err
	}
	if t != typeJSON && t != typeNDJSON {
		return fmt.Errorf("%w: want %s, not %.80q", errMediaType, typeNDJSON, t)
	}
	u := &upload{s: s, c: c, id: id, rc: http.NewResponseController(c.Response()), counts: map[string]int{},
		key: c.Request().Header.Get("Idempotency-Key")}
	if err := inbox.CheckText("Idempotency-Key", u.key, 0, maxUploadKey); err != nil {
		return &transports.ParamError{Param: "Idempotency-Key", Detail: err.Error(), Limit: maxUploadKey}
	}
	if u.edge, err = edge(c); err != nil {
		return err
	}
	switch value := c.QueryParam("results"); value {
	case "", "all":
	case "rejected":
		u.quiet = true
	default:
		return &transports.ParamError{Param: "results", Detail: fmt.Sprintf("want all or rejected, not %.40q", value)}
	}
	// What is not HTTP/1 is so anyway.
	if err := u.rc.EnableFullDuplex(); err != nil && c.Request().ProtoMajor == 1 {
		return fmt.Errorf("answer while the body comes: %w", err)
	}
	ctx, leave := s.session(c.Request().Context(), id, false)
	defer leave()
	if !id.Expires.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, id.Expires, transports.Expired)
		defer stop()
	}
	return u.run(ctx)
}

// run reads in one goroutine and publishes in another, this one, so that what has
// come is stored while the rest is awaited.
func (u *upload) run(ctx context.Context) error {
	note(u.c).body = false // it has a deadline for each of its parts
	body := &endable{steady: steady{u.c.Request().Body, u.rc, u.s.o.BodyTimeout}}
	lines, stop := make(chan line, 16), make(chan struct{})
	read := make(chan error, 1)
	go func() { // ends with the body, or soon after run has ended the body
		err := u.read(body, lines, stop)
		read <- err
		close(lines)
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(body, lingerBytes))
		}
		close(read)
	}()
	err := u.store(ctx, lines)
	close(stop)
	if err == nil || errors.Is(err, context.Canceled) { // which is the connection's end
		switch why := <-read; {
		case errors.Is(why, io.ErrUnexpectedEOF):
			err = fmt.Errorf("%w: the body ended early", alarm.ErrMalformed)
		case why != nil && !errors.Is(why, io.EOF):
			err = why
		}
	}
	if reason := new(transports.Reason); err != nil && errors.As(context.Cause(ctx), reason) {
		err = *reason // of whatever followed from it
	}
	err = u.finish(err)
	body.end()
	for range read { // until the goroutine is done with the body
	}
	return err
}

// What is still read of a client that has not heard of the end yet: closing at once
// would take the last line from it.
const (
	lingerBytes = 1 << 20
	lingerTime  = time.Second
)

// read sends the lines until the body or the upload ends.
func (u *upload) read(body io.Reader, lines chan<- line, stop <-chan struct{}) error {
	in := ingest.NewLines(body)
	for {
		text, number, err := in.Next()
		if err != nil {
			return err
		}
		l := line{number: number, bytes: len(text)}
		if len(text) > alarm.MaxEventBytes {
			l.err = &limitError{"bytes of one alarm", alarm.MaxEventBytes}
		} else if l.event, l.err = alarm.ParseEvent(text); l.err == nil && l.event.ID == "" && u.key != "" {
			l.event.ID = u.key + "/" + strconv.Itoa(number)
		}
		l.event.Level = u.edge
		select {
		case lines <- l:
		case <-stop:
			return nil
		}
	}
}

// store publishes part by part. It returns when there are no more lines, or when
// the upload must stop.
func (u *upload) store(ctx context.Context, lines <-chan line) error {
	part := make([]line, 0, partLines)
	timer := time.NewTimer(partTime)
	defer timer.Stop()
	for {
		part = part[:0]
		bytes := 0
		var due <-chan time.Time // once there is something to wait with
		for open := true; open; {
			select {
			case l, more := <-lines:
				if !more {
					return u.publish(part)
				}
				if len(part) == 0 {
					timer.Reset(partTime)
					due = timer.C
				}
				part = append(part, l)
				bytes += l.bytes
				open = len(part) < partLines && bytes < partBytes
			case <-due:
				open = false
			case <-ctx.Done():
				if err := u.publish(part); err != nil {
					return err
				}
				return context.Cause(ctx)
			}
		}
		if err := u.publish(part); err != nil {
			return err
		}
	}
}

// publish publishes a part and tells its results. A storage that does not take a
// line ends the upload: those that follow would only be lost faster.
func (u *upload) publish(part []line) error {
	if len(part) == 0 {
		return nil
	}
	events := make([]alarm.Event, 0, len(part))
	size := 0
	for i := range part {
		size += part[i].bytes
		if part[i].err == nil {
			events = append(events, part[i].event)
		}
	}
	// What has been taken is stored, whatever becomes of the connection.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.c.Request().Context()), u.s.o.AnswerTimeout)
	defer cancel()
	u.s.weigh(ctx, size)
	results := u.s.o.Alarms.Publish(ctx, u.id.User, events)
	if !u.c.Response().Committed && u.lines == 0 && len(results) == len(part) {
		if err := refused(results, len(part), false); err != nil {
			return err // nothing has been done or said yet
		}
	}
	var failed error
	u.buf = u.buf[:0]
	for i := range part {
		r := alarm.Result{Status: alarm.StatusRejected, Err: part[i].err}
		if r.Err == nil {
			r, results = results[0], results[1:]
		}
		if failed == nil && ofStorage(r.Err) {
			failed = r.Err
		}
		u.lines++
		u.counts[r.Status]++
		if !u.quiet || r.Err != nil {
			u.buf = append(u.buf, `{"line":`...)
			u.buf = strconv.AppendInt(u.buf, int64(part[i].number), 10)
			u.buf = append(appendMembers(append(u.buf, ','), &r), '}', '\n')
		}
	}
	if err := u.send(); err != nil {
		return err
	}
	return failed
}

// send writes what there is, within the time that a client has to take it.
func (u *upload) send() error {
	if len(u.buf) == 0 {
		return nil
	}
	w := u.c.Response()
	if !w.Committed {
		h := w.Header()
		h.Set("Content-Type", typeNDJSON)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
	}
	_ = u.rc.SetWriteDeadline(time.Now().Add(u.s.o.AnswerTimeout))
	if _, err := w.Write(u.buf); err != nil {
		return fmt.Errorf("send results: %w", err)
	}
	if err := u.rc.Flush(); err != nil {
		return fmt.Errorf("send results: %w", err)
	}
	idleWriter(u.c, u.rc)
	return nil
}

// finish tells how it ended, in a last line, unless nothing has been told yet.
func (u *upload) finish(err error) error {
	for status, n := range u.counts {
		u.s.o.Metrics.Published(doorLines, status, n)
	}
	if err != nil && !u.c.Response().Committed {
		return err
	}
	counts, _ := json.Marshal(u.counts) // a map of numbers always can be
	b := append(u.buf[:0], `{"end":true,"lines":`...)
	b = strconv.AppendInt(b, int64(u.lines), 10)
	b = append(append(b, `,"counts":`...), counts...)
	if err != nil {
		p := explain(err)
		b = append(b, `,"problem":`...)
		b = p.appendJSON(b, requestID(u.c))
	}
	u.buf = append(b, '}', '\n')
	if sent := u.send(); err == nil {
		err = sent
	}
	return err
}

// An endable is a body that somebody else can end while it is being read.
type endable struct {
	steady
	mu    sync.Mutex
	ended bool // no Read gets more time
	done  bool // it was read to its end
}

func (e *endable) Read(b []byte) (int, error) {
	e.mu.Lock()
	if !e.ended {
		_ = e.rc.SetReadDeadline(time.Now().Add(e.patient))
	}
	e.mu.Unlock()
	n, err := e.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.done = true
		_ = e.rc.SetReadDeadline(time.Time{}) // the connection is only watched
	}
	return n, err
}

// end makes a Read under way, and all others, return soon.
func (e *endable) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	if !e.done {
		_ = e.rc.SetReadDeadline(time.Now().Add(lingerTime))
	}
}
