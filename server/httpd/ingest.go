package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/transports"
)

// take adds what a reader of bodies made of one.
func (p *publishing) take(items []ingest.Item) {
	for i := range items {
		item := &items[i]
		if item.Err == nil {
			item.Event.Level = item.Event.Level || p.level
			p.events = append(p.events, item.Event)
		}
		p.lines = append(p.lines, item.Err)
	}
}

// postCloudEvents is POST /v1/ingest/cloudevents (docs/protocol.md §9), in any of
// the three modes.
func (s *Server) postCloudEvents(c echo.Context, id *auth.Identity) error {
	if _, err := mediaType(c); err != nil {
		return err
	}
	level, err := edge(c)
	if err != nil {
		return err
	}
	body, err := s.readBody(c, s.limits.Load().MaxBatchBytes)
	if err != nil {
		return err
	}
	items, single, err := ingest.CloudEvents(c.Request().Header, body, s.limits.Load().MaxBatchEvents)
	if errors.Is(err, inbox.ErrTooLarge) {
		return &limitError{"events in one batch", s.limits.Load().MaxBatchEvents}
	}
	if err != nil {
		return err
	}
	p := publishing{door: doorCloudEvents, level: level}
	p.take(items)
	return s.publish(c, id, &p, single)
}

// postAlertmanager is POST /v1/ingest/alertmanager. Alertmanager understands
// nothing but the status: it sends everything again after a 5xx, for as long as the
// alerts last, and forgets about it after any other. So whatever could succeed
// later fails all, and what never will is put aside.
func (s *Server) postAlertmanager(c echo.Context, id *auth.Identity) error {
	body, err := s.readBody(c, s.limits.Load().MaxBatchBytes)
	if err != nil {
		return err
	}
	if t, err := mediaType(c); err != nil || t != typeJSON {
		return fmt.Errorf("%w: want %s", errMediaType, typeJSON)
	}
	items, err := ingest.Alertmanager(body, c.QueryParam("device"))
	if err != nil {
		return err
	}
	if len(items) > s.limits.Load().MaxBatchEvents {
		return &limitError{"alerts in one notification", s.limits.Load().MaxBatchEvents}
	}
	p := publishing{door: doorAlertmanager}
	p.take(items)
	ctx := c.Request().Context()
	results := s.o.Alarms.Publish(ctx, id.User, p.events)
	s.fireAgain(ctx, id.User, p.events, results)
	for i := range results {
		if passing(results[i].Err) {
			return busy(results[i].Err)
		}
	}
	if err := s.putAside(ctx, p.door, id.User, items, results); err != nil {
		return err
	}
	return s.accepted(c, &p, results)
}

// fireAgain sees to alerts that fire although their alarm is over: Alertmanager
// took them for resolved while it did not hear of them, and gives them the start
// that they had before. By that they are old news; that they fire is not.
func (s *Server) fireAgain(ctx context.Context, publisher string, events []alarm.Event, results []alarm.Result) {
	var again []alarm.Event
	var at []int
	for i, e := range events {
		old := results[i].Status == alarm.StatusLate || results[i].Duplicate
		if old && results[i].Err == nil && e.State == alarm.StateRaised {
			e.ID, e.Time = "", time.Time{}
			again, at = append(again, e), append(at, i)
		}
	}
	if len(again) == 0 {
		return
	}
	for i, r := range s.o.Alarms.Publish(ctx, publisher, again) {
		results[at[i]] = r
	}
}

// putAside keeps the items that were refused, at the door or behind it.
func (s *Server) putAside(ctx context.Context, door, publisher string, items []ingest.Item, results []alarm.Result) error {
	next := 0
	for i := range items {
		item := &items[i]
		err := item.Err
		if err == nil {
			err = results[next].Err
			next++
		}
		if err == nil {
			continue
		}
		s.o.Logger.Warn("a dead letter", "door", door, "publisher", publisher, "device", item.Event.Device, "reason", err)
		if s.o.DeadLetters == nil {
			continue
		}
		letter := ingest.Letter{Time: time.Now(), Door: door, Publisher: publisher, Device: item.Event.Device,
			Problem: err.Error(), Body: item.Raw}
		if err := s.o.DeadLetters.Add(ctx, letter); err != nil {
			return fmt.Errorf("%w: %w", inbox.ErrUnavailable, err)
		}
	}
	return nil
}

// How many dead letters are listed.
const (
	letters    = 100
	maxLetters = 1000
)

// getDeadLetters is GET /v1/deadletters: the newest, the newest first.
func (s *Server) getDeadLetters(c echo.Context, _ *auth.Identity) error {
	if s.o.DeadLetters == nil {
		return errNotFound
	}
	limit := letters
	if text := c.QueryParam("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLetters {
			return &transports.ParamError{Param: "limit", Detail: fmt.Sprintf("want 1 to %d, not %.20q", maxLetters, text), Limit: maxLetters}
		}
	}
	list, err := s.o.DeadLetters.List(c.Request().Context(), limit)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, struct {
		Letters []ingest.Letter `json:"letters"`
	}{append([]ingest.Letter{}, list...)})
}

// postPagerDuty is POST /v1/ingest/pagerduty. Its clients cannot send a header, so
// their token is the routing key.
func (s *Server) postPagerDuty(c echo.Context) error {
	body, err := s.readBody(c, ingest.MaxPagerDutyBytes)
	if err != nil {
		return err
	}
	event, err := ingest.ParsePagerDuty(body)
	if err != nil {
		return invalidEvent(c, err.Error())
	}
	id, err := s.identifyPagerDuty(c, event.RoutingKey)
	if err != nil {
		return err
	}
	if errs := event.Missing(); len(errs) > 0 {
		return invalidEvent(c, errs...)
	}
	device := c.QueryParam("device")
	if device == "" {
		device = id.User
	}
	item, key := event.Event(device)
	if err = item.Err; err == nil {
		if event.Action == ingest.Acknowledge {
			err = s.acknowledge(c.Request().Context(), s.client(c, id), id, &item.Event)
		} else {
			err = s.publishOne(c.Request().Context(), id, &item.Event)
		}
	}
	if err != nil {
		if p := explain(err); p.kind == invalid || p.kind == malformed || p.status == http.StatusNotFound {
			return invalidEvent(c, err.Error())
		}
		return err
	}
	return writeJSON(c, http.StatusAccepted, struct {
		Status   string `json:"status"`
		Message  string `json:"message"`
		DedupKey string `json:"dedup_key"`
	}{"success", "Event processed", key})
}

// identifyPagerDuty says who sent an event: what the request itself carries comes
// first, unless a browser may have added it.
func (s *Server) identifyPagerDuty(c echo.Context, routingKey string) (*auth.Identity, error) {
	_, from, _ := auth.FromRequest(c.Request(), true) // what is bad in it, identify tells
	if from != "" && !from.Ambient() {
		return s.identify(c, auth.ScopePublish)
	}
	if routingKey == "" {
		return nil, auth.ErrMissing
	}
	id, err := s.o.Auth.Verify(c.Request().Context(), routingKey)
	if err != nil {
		return nil, s.strange(c, err)
	}
	note(c).user = id.User
	if !id.Has(auth.ScopePublish) {
		return nil, &scopeError{auth.ScopePublish}
	}
	if err := s.admit(c, id.User, auth.ScopePublish); err != nil {
		return nil, err
	}
	return id, s.loaded()
}

func (s *Server) publishOne(ctx context.Context, id *auth.Identity, e *alarm.Event) error {
	r := s.o.Alarms.Publish(ctx, id.User, []alarm.Event{*e})[0]
	s.o.Metrics.Published(doorPagerDuty, r.Status, 1)
	return r.Err
}

// acknowledge does what a reader does who acknowledges: it takes what he needs,
// the scope inbox and an alarm that he sees.
func (s *Server) acknowledge(ctx context.Context, who transports.Client, id *auth.Identity, e *alarm.Event) error {
	if !id.Has(auth.ScopeInbox) {
		return &scopeError{auth.ScopeInbox}
	}
	s.o.View.CatchUp(ctx)
	newest, ok, err := s.o.View.Newest(ctx, inbox.AlarmSubject(e.Device, e.Type, e.Qualifier))
	if err != nil {
		return err
	}
	if !ok || newest.Tag == "" {
		return alarm.ErrNotFound
	}
	_, err = s.do(ctx, who, transports.Command{Op: string(alarm.Acknowledge), Alarm: newest.ID()})
	return err
}

// invalidEvent answers as PagerDuty does.
func invalidEvent(c echo.Context, errs ...string) error {
	return writeJSON(c, http.StatusBadRequest, struct {
		Status  string   `json:"status"`
		Message string   `json:"message"`
		Errors  []string `json:"errors"`
	}{"invalid event", "Event object is invalid", errs})
}
