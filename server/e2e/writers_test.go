package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// A published is one event with what was answered.
type published struct {
	text   string
	answer eventResult
}

type eventResult struct {
	ID        string
	Rev, Seq  uint64
	Status    string
	Duplicate bool
}

// Writers hammer one alarm and note what was answered.
type writers struct {
	t     *testing.T
	nodes []*server
	log   *natslog.Log // that they work on

	mu     sync.Mutex
	id     string // of the occurrence that was heard of last
	events []published
	done   map[string]int // commands by name
}

func (w *writers) heard(r published) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, r)
	if r.answer.ID != "" {
		w.id = r.answer.ID
	}
}

func (w *writers) did(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[what]++
}

func (w *writers) known() string { w.mu.Lock(); defer w.mu.Unlock(); return w.id }

// run is one writer's life.
func (w *writers) run(ctx context.Context, k int, token string) {
	rng := rand.New(rand.NewPCG(uint64(k), 32))
	node := w.nodes[k%len(w.nodes)]
	for i := 0; ctx.Err() == nil; i++ {
		switch n := rng.IntN(10); {
		case n < 6:
			severity := []string{"minor", "major", "critical", "cleared", "cleared"}[rng.IntN(5)]
			text := fmt.Sprintf(`{"id":"%d-%d","device":"one","type":"t","severity":%q}`, k, i, severity)
			a, err := request(w.t.Context(), "POST", node.url()+"/v1/alarms", token, array([]string{text}))
			var results struct{ Results []eventResult }
			if err != nil || a.status != http.StatusAccepted {
				w.t.Errorf("writer %d: %d %s, %v", k, a.status, a.body, err)
				return
			}
			a.json(w.t, &results)
			w.heard(published{text, results.Results[0]})
		case w.known() == "":
		case n < 8:
			a, err := request(w.t.Context(), "POST", node.url()+"/v1/alarms/"+w.known()+"/ack", token, `{"note":"seen"}`)
			switch {
			case err != nil || a.status != http.StatusOK && a.status != http.StatusConflict:
				w.t.Errorf("writer %d acknowledges: %d %s, %v", k, a.status, a.body, err)
			case a.status == http.StatusOK:
				w.did("ack")
			}
		default:
			op := []string{"shelve", "unshelve"}[rng.IntN(2)]
			until := time.Now().Add(time.Duration(100+rng.IntN(2000)) * time.Millisecond)
			a, err := request(w.t.Context(), "POST", node.url()+"/v1/alarms/"+w.known()+"/"+op, token, shelf(op, until))
			switch {
			case err != nil || a.status != http.StatusOK && a.status != http.StatusConflict:
				w.t.Errorf("writer %d does %s: %d %s, %v", k, op, a.status, a.body, err)
			case a.status == http.StatusOK:
				w.did(op)
			}
		}
	}
}

// shelf is the body of a command that shelves until then, or ends that.
func shelf(op string, until time.Time) string {
	if op != "shelve" {
		return ""
	}
	return fmt.Sprintf(`{"until":%q}`, until.UTC().Format(time.RFC3339Nano))
}

// check holds the log to what was answered.
func (w *writers) check(t *testing.T) {
	list, alarms := history(t, w.log, "one", "t")
	bySeq := map[uint64]inbox.Entry{}
	var was alarm.Alarm
	statuses := map[string]int{}
	for i, e := range list {
		a := alarms[i]
		bySeq[e.Seq] = e
		statuses[e.Status]++
		same := a
		same.Rev = was.Rev
		switch changed := !reflect.DeepEqual(same, was); {
		case changed && a.Rev != was.Rev+1:
			t.Fatalf("entry %d (%s) changed the alarm from revision %d to %d", e.Seq, e.Status, was.Rev, a.Rev)
		case !changed && a.Rev != was.Rev && e.Status != alarm.StatusRepeated && e.Status != alarm.StatusFolded:
			t.Fatalf("entry %d (%s) changed nothing and made revision %d of %d", e.Seq, e.Status, a.Rev, was.Rev)
		case a.Occurrence != was.Occurrence && (a.Occurrence != was.Occurrence+1 || was.Active):
			t.Fatalf("entry %d began occurrence %d on %d (active %v)", e.Seq, a.Occurrence, was.Occurrence, was.Active)
		case a.Occurrence == was.Occurrence && a.Active && !was.Active && was.Occurrence > 0:
			t.Fatalf("entry %d re-opened occurrence %d", e.Seq, a.Occurrence)
		}
		was = a
	}
	accepted := map[string]int{}
	for _, p := range w.events {
		accepted[p.answer.Status]++
		if e := bySeq[p.answer.Seq]; e.Status != p.answer.Status || e.Rev != p.answer.Rev || e.Tag != "" && e.ID() != p.answer.ID || p.answer.Duplicate {
			t.Fatalf("%s was answered with %+v, the log has %s at revision %d", p.text, p.answer, e.Status, e.Rev)
		}
	}
	// Forced clears are not among the commands, so what is cleared was reported.
	for _, status := range []string{alarm.StatusRaised, alarm.StatusRepeated, alarm.StatusCleared, alarm.StatusOrphan, alarm.StatusLate} {
		if accepted[status] != statuses[status] {
			t.Errorf("%d were answered with %s, the log has %d", accepted[status], status, statuses[status])
		}
	}
	if w.done["ack"] != statuses[alarm.StatusAcked] || w.done["shelve"] != statuses[alarm.StatusShelved] || w.done["unshelve"] > statuses[alarm.StatusUnshelved] {
		t.Errorf("commands done %v, in the log %v", w.done, statuses)
	}
	t.Logf("%d events, %d entries: %v", len(w.events), len(list), statuses)
	if len(w.events) < 500 || accepted[alarm.StatusRaised] < 10 || statuses[alarm.StatusAcked] < 10 || statuses[alarm.StatusShelved] < 10 {
		t.Errorf("there was little to check: %v", statuses)
	}
}

// again sends all events once more, in batches of another order and over the
// other node: each has its first outcome, and nothing is added.
func (w *writers) again(t *testing.T, token string) {
	before, _ := history(t, w.log, "one", "t")
	rand.Shuffle(len(w.events), func(i, j int) { w.events[i], w.events[j] = w.events[j], w.events[i] })
	for from := 0; from < len(w.events); from += 100 {
		part := w.events[from:min(from+100, len(w.events))]
		var texts []string
		for _, p := range part {
			texts = append(texts, p.text)
		}
		node := w.nodes[(from/100)%len(w.nodes)]
		var results struct{ Results []eventResult }
		node.want(node.request("POST", "/v1/alarms", token, array(texts)), http.StatusAccepted).json(t, &results)
		for i, p := range part {
			want := p.answer
			want.Duplicate = true
			if results.Results[i] != want {
				t.Fatalf("%s again: %+v, want %+v", p.text, results.Results[i], want)
			}
		}
	}
	events := 0
	after, _ := history(t, w.log, "one", "t")
	for _, e := range after[len(before):] { // the worker may still be telling
		if e.Status != alarm.StatusFolded && e.Status != alarm.StatusUnshelved {
			events++
		}
	}
	if events != 0 {
		t.Errorf("%d entries more than before", events)
	}
}

// Thirty-two writers on one alarm for ten seconds, over two gateways, with a worker
// that folds and ends shelves.
func TestThirtyTwoWritersInTwoProcesses(t *testing.T) {
	url := startNATS(t)
	w := &writers{t: t, log: openLog(t, natslog.Options{URL: url}), done: map[string]int{}}
	for range 2 {
		w.nodes = append(w.nodes, newServer(t, "--nats-url", url, "--fold", "1s", "--lease", "2s"))
	}
	token := w.nodes[0].root()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for k := range 32 {
		all.Go(func() { w.run(ctx, k, token) })
	}
	all.Wait()
	if !t.Failed() {
		w.check(t)
		w.again(t, token)
	}
}
