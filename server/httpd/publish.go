package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
)

// maxKey bounds an Idempotency-Key, so that key/n is an id.
const maxKey = alarm.MaxIDChars - len("/5000")

// The doors of events, as they are counted and as dead letters name them.
const (
	doorREST         = "rest"
	doorCloudEvents  = "cloudevents"
	doorAlertmanager = "alertmanager"
	doorPagerDuty    = "pagerduty"
	doorLines        = "lines"
	doorWebSocket    = "websocket"
)

// A publishing is one request with events, on its way through.
type publishing struct {
	door   string // as it is counted
	key    string
	events []alarm.Event // those that could be read
	// lines has one element an event or what should have been one: nil for the
	// next of events, else why it is none.
	lines []error
	most  int
	level bool // the events repeat what is so, see edge
}

// postAlarms is POST /v1/alarms (docs/protocol.md §9): one object, an array, or
// a line each.
func (s *Server) postAlarms(c echo.Context, id *auth.Identity) error {
	note(c).often = true
	t, err := mediaType(c)
	if err != nil {
		return err
	}
	p := publishing{door: doorREST, key: c.Request().Header.Get("Idempotency-Key"), most: s.limits.Load().MaxBatchEvents}
	if err := inbox.CheckText("Idempotency-Key", p.key, 0, maxKey); err != nil {
		return &transports.ParamError{Param: "Idempotency-Key", Detail: err.Error(), Limit: maxKey}
	}
	if p.level, err = edge(c); err != nil {
		return err
	}
	if t != typeJSON && t != typeNDJSON {
		return fmt.Errorf("%w: want %s or %s, not %.80q", errMediaType, typeJSON, typeNDJSON, t)
	}
	body, err := s.readBody(c, s.limits.Load().MaxBatchBytes)
	if err != nil {
		return err
	}
	single := false
	if text := bytes.TrimLeft(body, " \t\r\n"); t == typeNDJSON {
		err = p.readLines(body)
	} else if len(text) > 0 && text[0] == '[' {
		err = p.readArray(text)
	} else {
		single = true
		err = p.add(text)
	}
	if err != nil {
		return err
	}
	return s.publish(c, id, &p, single)
}

// publish publishes the events and answers with their results, or a single one's
// problem.
func (s *Server) publish(c echo.Context, id *auth.Identity, p *publishing, single bool) error {
	results := s.o.Alarms.Publish(c.Request().Context(), id.User, p.events)
	if err := refused(results, len(p.lines), single); err != nil {
		return err
	}
	if single && p.lines[0] != nil {
		return p.lines[0]
	}
	return s.accepted(c, p, results)
}

// accepted answers 202 with one result a line.
func (s *Server) accepted(c echo.Context, p *publishing, results []alarm.Result) error {
	b := append(make([]byte, 0, 16+128*len(p.lines)), `{"results":`...)
	return write(c, http.StatusAccepted, typeJSON, append(s.appendResults(b, p, results), '}', '\n'))
}

// edge says whether the request asks for edge detection: its events repeat what is
// so, and count only where that differs from what is known.
func edge(c echo.Context) (bool, error) {
	switch value := c.QueryParam("edge"); value {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, &transports.ParamError{Param: "edge", Detail: fmt.Sprintf("want true or false, not %.40q", value)}
	}
}

// add reads the next event. One that is bad only fails itself; the error is for
// too many.
func (p *publishing) add(text []byte) error {
	n := len(p.lines) + 1
	if n > p.most {
		return &limitError{"alarms in one request", p.most}
	}
	if len(text) > alarm.MaxEventBytes {
		p.lines = append(p.lines, &limitError{"bytes of one alarm", alarm.MaxEventBytes})
		return nil
	}
	e, err := alarm.ParseEvent(text)
	if err == nil {
		if e.ID == "" && p.key != "" {
			e.ID = p.key + "/" + strconv.Itoa(n)
		}
		e.Level = p.level
		p.events = append(p.events, e)
	}
	p.lines = append(p.lines, err)
	return nil
}

// readLines reads an event a line. Empty lines are none.
func (p *publishing) readLines(body []byte) error {
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if err := p.add(line); err != nil {
			return err
		}
	}
	return nil
}

// spaceJSON is all that may stand between the parts of a JSON text.
const spaceJSON = " \t\r\n"

// readArray reads the elements of an array. They are cut out by their brackets
// alone, since each is then read as JSON anyway: whatever is not JSON shows as an
// event that is malformed, and only then the whole is looked at again. An array
// that is none spoils all; an element that is no event spoils only itself.
func (p *publishing) readArray(body []byte) error {
	var doubt error
	rest := body[1:]
	for first := true; ; first = false {
		n := elementEnd(rest)
		if n < 0 {
			doubt = errors.New("the array has no end")
			break
		}
		element := bytes.Trim(rest[:n], spaceJSON)
		last := rest[n] == ']'
		rest = rest[n+1:]
		if !(first && last && len(element) == 0) {
			if err := p.add(element); err != nil {
				return err
			}
			if err := p.lines[len(p.lines)-1]; errors.Is(err, alarm.ErrMalformed) {
				doubt = err
			}
		}
		if last {
			break
		}
	}
	if len(bytes.Trim(rest, spaceJSON)) > 0 && doubt == nil {
		doubt = errors.New("something follows the array")
	}
	if doubt != nil && !json.Valid(body) {
		return fmt.Errorf("%w: the body is not JSON: %v", alarm.ErrMalformed, doubt)
	}
	return nil
}

// elementEnd is where the element that the text begins with ends: the place of
// the comma or the bracket after it, or -1.
func elementEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			n := stringEnd(text[i+1:])
			if n < 0 {
				return -1
			}
			i += n + 1
		case '{', '[':
			depth++
		case '}':
			depth--
		case ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// stringEnd is the place of the quote that ends a string, or -1.
func stringEnd(text []byte) int {
	for from := 0; ; {
		n := bytes.IndexByte(text[from:], '"')
		if n < 0 {
			return -1
		}
		end := from + n
		escapes := 0
		for end-escapes > 0 && text[end-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end
		}
		from = end + 1
	}
}

// refused is the error that answers the request as a whole: that of a single
// event, or of a storage that took none of several.
func refused(results []alarm.Result, lines int, single bool) error {
	if len(results) == 0 {
		return nil
	}
	if single {
		return results[0].Err
	}
	for i := range results {
		if !passing(results[i].Err) {
			return nil
		}
	}
	return results[0].Err
}

// ofStorage says whether an error has nothing to do with the event.
func ofStorage(err error) bool {
	for _, storage := range [...]error{inbox.ErrFull, inbox.ErrUnavailable, inbox.ErrStale, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, storage) {
			return true
		}
	}
	return false
}

// appendResults writes one result a line, in order, and counts them.
func (s *Server) appendResults(b []byte, p *publishing, results []alarm.Result) []byte {
	b = append(b, '[')
	counts := map[string]int{}
	next := 0
	for i, err := range p.lines {
		if i > 0 {
			b = append(b, ',')
		}
		r := alarm.Result{Status: alarm.StatusRejected, Err: err}
		if err == nil {
			r = results[next]
			next++
		}
		counts[r.Status]++
		if r.Err != nil && explain(r.Err).kind == internal {
			s.o.Logger.Error("an event was not taken", "reason", r.Err)
		}
		b = appendResult(b, &r)
	}
	for status, n := range counts {
		s.o.Metrics.Published(p.door, status, n)
	}
	return append(b, ']')
}

func appendResult(b []byte, r *alarm.Result) []byte {
	return append(appendMembers(append(b, '{'), r), '}')
}

// appendMembers writes a result without the braces.
func appendMembers(b []byte, r *alarm.Result) []byte {
	if r.Err == nil {
		b = append(b, `"id":`...)
		b = inbox.AppendString(b, r.ID)
		b = append(b, `,"rev":`...)
		b = strconv.AppendUint(b, r.Rev, 10)
		b = append(b, `,"seq":`...)
		b = strconv.AppendUint(b, r.Seq, 10)
		b = append(b, ',')
	}
	b = append(b, `"status":"`...)
	b = append(b, r.Status...)
	b = append(b, `","duplicate":`...)
	b = strconv.AppendBool(b, r.Duplicate)
	if r.Err != nil {
		p := explain(r.Err)
		b = append(b, `,"problem":`...)
		b = p.appendJSON(b, "")
	}
	return b
}
