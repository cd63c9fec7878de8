package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/limit"
)

// errBusy is the limit of a rate, for senders who come again after a 5xx only.
var errBusy = errors.New("too much at once: send it again")

// publishingDoors are the routes that alarms and notices come by, those of the
// older protocols left out, which add theirs.
var publishingDoors = []string{
	"/v1/alarms", "/v1/notices", "/v1/ingest/cloudevents", "/v1/ingest/alertmanager",
	"/v1/ingest/pagerduty", "/v1/ingest/pagerduty/v2/enqueue", "/v1/ingest/lines",
}

// A visit is what is known of a publisher on his way through a door.
type visit struct {
	from netip.Addr
	user string
	// heavy is why nothing but critical alarms is taken: too many bytes.
	heavy error
}

type visitKey struct{}

// visitOf is that of a request, or a new one.
func visitOf(ctx context.Context) *visit {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		return v
	}
	return &visit{}
}

func visited(ctx context.Context, v *visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// kindOf is what a request does, as limits have it.
func (s *Server) kindOf(c echo.Context) limit.Kind {
	r := c.Request()
	switch {
	case s.doors[c.Path()] && (r.Method == http.MethodPost || c.Path() == chatPath):
		return limit.Publishes
	case r.Header.Get("Upgrade") != "" || c.Path() == "/v1/inbox/sse":
		return limit.Handshakes
	}
	return limit.Requests
}

// limited keeps to the limits of connections and addresses. What publishes is
// judged when it is known what it is.
func (s *Server) limited(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		n := note(c)
		defer func() {
			for _, release := range n.held {
				release()
			}
		}()
		n.kind = s.kindOf(c)
		a, err := s.o.Limiter.Arrived(c.Request(), n.kind == limit.Publishes)
		defer a.Done()
		if n.from = a.From; a.Last {
			c.Response().Header().Set("Connection", "close")
		}
		if err != nil {
			return err
		}
		if n.kind == limit.Publishes {
			c.SetRequest(c.Request().WithContext(visited(c.Request().Context(), &visit{from: a.From})))
			return next(c)
		}
		if err := s.o.Limiter.Admit(n.kind, a.From, "", 1); err != nil {
			return err
		}
		return next(c)
	}
}

// admit keeps to the limits of a user who is known. Publishers may share one token,
// a whole fleet of them, so how often they connect is nobody's.
func (s *Server) admit(c echo.Context, user, scope string) error {
	switch kind := note(c).kind; {
	case kind == limit.Publishes:
		visitOf(c.Request().Context()).user = user
		return nil
	case kind == limit.Handshakes && scope == auth.ScopePublish:
		return nil
	default:
		return s.o.Limiter.AdmitUser(kind, user, 1)
	}
}

// strange is the answer to one whose token is refused: at the doors of publishers,
// where requests are not counted otherwise, having it looked at costs one.
func (s *Server) strange(c echo.Context, err error) error {
	if note(c).kind == limit.Publishes && errors.Is(err, auth.ErrInvalid) {
		if refusal := s.o.Limiter.Admit(limit.Requests, note(c).from, "", 1); refusal != nil {
			return refusal
		}
	}
	return err
}

// weigh counts bytes that were published. Too many are no error, as there may be
// critical alarms among them: Publish takes nothing else then.
func (s *Server) weigh(ctx context.Context, bytes int) {
	v := visitOf(ctx)
	v.heavy = s.o.Limiter.Admit(limit.Bytes, v.from, v.user, bytes)
}

// limitedAlarms are Alarms that keep to the limits of publishing: of a batch that is
// too much only its critical alarms are taken, which have limits of their own.
type limitedAlarms struct {
	Alarms
	l *limit.Limiter
}

// Publish implements Alarms.
func (a limitedAlarms) Publish(ctx context.Context, publisher string, events []alarm.Event) []alarm.Result {
	v := visitOf(ctx)
	criticals := 0
	for i := range events {
		if isCritical(&events[i]) {
			criticals++
		}
	}
	rest := len(events) - criticals
	if criticals > 0 && a.l.Admit(limit.Criticals, v.from, publisher, criticals) != nil {
		criticals, rest = 0, len(events) // they are like others now
	}
	refusal := v.heavy
	if refusal == nil && rest > 0 {
		refusal = a.l.Admit(limit.Publishes, v.from, publisher, rest)
	}
	if refusal == nil || rest == 0 {
		return a.Alarms.Publish(ctx, publisher, events)
	}
	results := make([]alarm.Result, len(events))
	for i := range results {
		results[i] = alarm.Result{Status: alarm.StatusRejected, Err: refusal}
	}
	if criticals == 0 {
		return results
	}
	urgent := slices.DeleteFunc(slices.Clone(events), func(e alarm.Event) bool { return !isCritical(&e) })
	taken := a.Alarms.Publish(ctx, publisher, urgent)
	for i := range events {
		if isCritical(&events[i]) {
			results[i], taken = taken[0], taken[1:]
		}
	}
	return results
}

// isCritical says whether an event raises a critical alarm.
func isCritical(e *alarm.Event) bool {
	severity, ok := inbox.ParseSeverity(e.Severity)
	return ok && severity == inbox.Critical && e.State != alarm.StateCleared
}

// Notify implements Alarms.
func (a limitedAlarms) Notify(ctx context.Context, from string, n alarm.Notice) ([]alarm.NoticeResult, error) {
	if err := a.admit(ctx, from, []alarm.Notice{n}); err != nil {
		return nil, err
	}
	return a.Alarms.Notify(ctx, from, n)
}

// NotifyAll implements Alarms.
func (a limitedAlarms) NotifyAll(ctx context.Context, from string, notices []alarm.Notice) []alarm.Notified {
	if err := a.admit(ctx, from, notices); err != nil {
		told := make([]alarm.Notified, len(notices))
		for i := range told {
			told[i].Err = err
		}
		return told
	}
	return a.Alarms.NotifyAll(ctx, from, notices)
}

// admit takes what notices cost: one for each append.
func (a limitedAlarms) admit(ctx context.Context, publisher string, notices []alarm.Notice) error {
	v := visitOf(ctx)
	if v.heavy != nil {
		return v.heavy
	}
	n := 0
	for i := range notices {
		n += max(1, len(notices[i].Users))
	}
	return a.l.Admit(limit.Publishes, v.from, publisher, n)
}

// passing says whether an error of a result has nothing to do with what was sent:
// sent again later, it may be taken.
func passing(err error) bool { return ofStorage(err) || isLimit(err) }

func isLimit(err error) bool { return errors.As(err, new(*limit.Refusal)) }

// busy is what senders are told who understand the status alone, and send again
// after a 5xx.
func busy(err error) error {
	if isLimit(err) {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

// limited says of a problem that is a limit what it allows, and when to come again.
func (p *problem) limited(err error) {
	r := new(limit.Refusal)
	if !errors.As(err, &r) {
		return
	}
	p.detail = r.Error()
	p.limit, p.retry = r.Most, max(r.Retry, time.Second)
	p.after = int(p.retry / time.Second)
}
