package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tocsin/server/client"
)

// An event is what a feeder publishes.
type event struct {
	ID       string `json:"id"`
	Device   string `json:"device"`
	Type     string `json:"type"`
	Severity string `json:"severity"`
	State    string `json:"state"`
	Message  string `json:"message"`
}

// An outcome is what was answered to one event.
type outcome struct {
	ID        string
	Rev, Seq  uint64
	Status    string
	Duplicate bool
	Problem   *struct {
		Type, Detail string
		Status       int
	}
}

// A receipt is an event that was acknowledged.
type receipt struct {
	event
	outcome
}

// A feeder publishes through one door, each group of events with its ids until all
// of it is acknowledged.
type feeder struct {
	name  string
	door  string
	token string
	bases []string // tried in turn
	rng   *rand.Rand
	every time.Duration
	from  int // the number of its first device

	next   int            // of bases
	socket *client.Socket // of the door that needs one

	groups atomic.Int64 // that were acknowledged

	mu       sync.Mutex
	receipts []receipt
	again    int // attempts that had to be repeated
	odd      []string
}

// doors are all through which a feeder may publish.
var doors = []string{"single", "batch", "lines", "upload", "cloudevents", "websocket"}

const (
	checkDevices, checkTypes = 16, 6
	attemptTimeout           = 5 * time.Second
)

// group makes events of alarms that all feeders change.
func (f *feeder) group(n int) []event {
	size := 1
	if f.door != "single" {
		size += f.rng.IntN(6)
	}
	list := make([]event, size)
	for i := range list {
		id := fmt.Sprintf("%s-%d-%d", f.name, n, i)
		list[i] = event{ID: id, Device: fmt.Sprint("device-", f.from+f.rng.IntN(checkDevices)), Type: fmt.Sprint("t", f.rng.IntN(checkTypes)),
			Severity: []string{"critical", "major", "minor", "warning"}[f.rng.IntN(4)], State: "raised", Message: id}
		if f.rng.IntN(8) == 0 {
			list[i].Device = fmt.Sprint("roaming-", f.rng.IntN(roamingDevices))
		}
		if f.rng.IntN(5) < 2 {
			list[i].State = "cleared"
		}
	}
	return list
}

// run publishes until the context ends; a group that was begun is brought to its end.
func (f *feeder) run(ctx context.Context) {
	defer f.hangUp()
	for n := 0; ctx.Err() == nil; n++ {
		if !f.deliver(f.group(n)) {
			return
		}
		pause(ctx, f.every/2+time.Duration(f.rng.Int64N(int64(f.every))))
	}
}

// deliver sends a group until it is acknowledged.
func (f *feeder) deliver(group []event) bool {
	bound, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(bound, attemptTimeout)
		results, err := f.send(attempt, group)
		done()
		if err == nil {
			err = f.take(group, results)
		}
		var wrong *refusal
		switch {
		case err == nil:
			f.groups.Add(1)
			return true
		case errors.As(err, &wrong), bound.Err() != nil:
			f.mu.Lock()
			f.odd = append(f.odd, fmt.Sprintf("%s: %v", group[0].ID, err))
			f.mu.Unlock()
			return false
		}
		f.mu.Lock()
		f.again++
		f.mu.Unlock()
		f.next++
		pause(bound, 50*time.Millisecond)
	}
}

// A refusal is an answer that sending again does not cure.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// refused sorts a status: what may pass is an ordinary error.
func refused(status int, text string) error {
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusBadGateway, status == http.StatusGatewayTimeout, status == http.StatusRequestTimeout:
		return fmt.Errorf("%d %s", status, text)
	}
	return &refusal{fmt.Sprint(status, " ", text)}
}

// take notes the results of a group, if it was stored as a whole.
func (f *feeder) take(group []event, results []outcome) error {
	if len(results) != len(group) {
		return fmt.Errorf("%d results of %d events", len(results), len(group))
	}
	for _, r := range results {
		if p := r.Problem; p != nil {
			return refused(p.Status, p.Type+" "+p.Detail)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range results {
		f.receipts = append(f.receipts, receipt{group[i], r})
	}
	return nil
}

func (f *feeder) base() string { return f.bases[f.next%len(f.bases)] }

// send is one attempt.
func (f *feeder) send(ctx context.Context, group []event) ([]outcome, error) {
	switch f.door {
	case "single":
		return f.post(ctx, "/v1/alarms", "application/json", mustJSON(group[0]))
	case "batch":
		return f.post(ctx, "/v1/alarms", "application/json", mustJSON(group))
	case "lines":
		return f.post(ctx, "/v1/alarms", "application/x-ndjson", linesOf(group))
	case "cloudevents":
		var list []map[string]any
		for _, e := range group {
			list = append(list, map[string]any{"specversion": "1.0", "source": "/check", "id": e.ID, "type": e.Type, "subject": e.Device,
				"data": map[string]string{"severity": e.Severity, "state": e.State, "message": e.Message}})
		}
		return f.post(ctx, "/v1/ingest/cloudevents", "application/cloudevents-batch+json", mustJSON(list))
	case "upload":
		return f.upload(ctx, group)
	}
	results, err := f.talk(ctx, group)
	if err != nil {
		f.hangUp()
	}
	return results, err
}

func linesOf(group []event) string {
	var b strings.Builder
	for _, e := range group {
		b.WriteString(mustJSON(e) + "\n")
	}
	return b.String()
}

func (f *feeder) post(ctx context.Context, path, kind, body string) ([]outcome, error) {
	a, err := request(ctx, "POST", f.base()+path, f.token, body, "Content-Type", kind)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusAccepted {
		return nil, refused(a.status, a.body)
	}
	var got struct{ Results []outcome }
	return got.Results, json.Unmarshal([]byte(a.body), &got)
}

// upload sends lines without end, and reads the results of those before the end.
func (f *feeder) upload(ctx context.Context, group []event) (results []outcome, err error) {
	a, err := request(ctx, "POST", f.base()+"/v1/ingest/lines", f.token, linesOf(group), "Content-Type", "application/x-ndjson")
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, refused(a.status, a.body)
	}
	in := bufio.NewScanner(strings.NewReader(a.body))
	for in.Scan() {
		var line struct {
			End bool
			outcome
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("%w: %s", err, in.Text())
		}
		if !line.End {
			results = append(results, line.outcome)
		}
	}
	return results, nil
}

// talk publishes over a WebSocket, which it keeps.
func (f *feeder) talk(ctx context.Context, group []event) ([]outcome, error) {
	if f.socket == nil {
		c, err := client.New(f.base(), f.token)
		if err != nil {
			return nil, &refusal{err.Error()}
		}
		if f.socket, err = c.DialPublisher(ctx); err != nil {
			f.socket = nil
			return nil, err
		}
	}
	err := f.socket.Write(ctx, map[string]any{"op": "publish", "ref": group[0].ID, "alarms": group})
	if err != nil {
		return nil, err
	}
	for {
		text, err := f.socket.Read(ctx)
		if err != nil {
			return nil, err
		}
		var frame struct {
			Op, Ref string
			Results []outcome
			Problem struct {
				Type   string
				Status int
			}
		}
		if err := json.Unmarshal(text, &frame); err != nil {
			return nil, &refusal{string(text)}
		}
		switch {
		case frame.Ref != group[0].ID:
		case frame.Op == "ok":
			return frame.Results, nil
		default:
			return nil, refused(frame.Problem.Status, string(text))
		}
	}
}

func (f *feeder) hangUp() {
	if f.socket != nil {
		f.socket.Close()
		f.socket = nil
	}
}
