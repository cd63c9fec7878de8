package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/server/audit"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

const patience = 20 * time.Second

// open is a trail in a real feed, and what runs it.
func open(t *testing.T, node string, l *natslog.Log) *audit.Trail {
	t.Helper()
	feed, err := l.Feed(t.Context(), natslog.FeedConfig{Name: "audit", Description: "a test's", MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return audit.New(audit.Options{Feed: feed, Node: node})
}

func openLog(t *testing.T, dir string) *natslog.Log {
	t.Helper()
	l, err := natslog.Open(t.Context(), natslog.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = l.Close(ctx)
	})
	return l
}

// all reads the trail page by page.
func all(t *testing.T, trail *audit.Trail, q audit.Query) (found []audit.Record, pages int) {
	t.Helper()
	for {
		p, err := trail.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		found, pages = append(found, p.Records...), pages+1
		if q.After = p.Next; q.After == "" {
			return found, pages
		}
	}
}

func TestWhatWasDoneIsListedTheNewestFirst(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	trail := open(t, "gw1", l)
	if found, _ := all(t, trail, audit.Query{}); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	const n = 1300 // more than is read at once
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends with the context, when all is stored
		defer close(ended)
		trail.Run(ctx)
	}()
	for i := range n {
		r := audit.Record{By: fmt.Sprint("user-", i%3), From: "192.0.2.7", What: audit.Alarm + "ack", On: []string{fmt.Sprint(i)}}
		if i%10 == 0 {
			r.What, r.Details = audit.PutUser, json.RawMessage(`{"groups":["a"]}`)
		}
		trail.Note(t.Context(), r)
	}
	cancel()
	<-ended
	for _, limit := range []int{0, 1000, 7} {
		found, pages := all(t, trail, audit.Query{Limit: limit})
		if limit == 0 {
			limit = audit.DefaultPage
		}
		if len(found) != n || pages < n/limit {
			t.Fatalf("%d records on %d pages of %d", len(found), pages, limit)
		}
		for i, r := range found {
			if r.On[0] != fmt.Sprint(n-1-i) || r.Node != "gw1" || r.From != "192.0.2.7" || r.Time.IsZero() {
				t.Fatalf("record %d is %+v", i, r)
			}
		}
	}
	for _, c := range []struct {
		q    audit.Query
		want int
	}{
		{audit.Query{User: "user-1"}, 433}, {audit.Query{User: "nobody"}, 0},
		{audit.Query{What: "alarm"}, n - n/10}, {audit.Query{What: "alarm.ack"}, n - n/10}, {audit.Query{What: "alarm.clear"}, 0},
		{audit.Query{What: audit.PutUser, User: "user-0"}, 44}, {audit.Query{Since: time.Now().Add(time.Minute)}, 0},
		{audit.Query{Since: time.Now().Add(-time.Minute), What: "user"}, n / 10},
	} {
		if found, _ := all(t, trail, c.q); len(found) != c.want {
			t.Errorf("%+v: %d, want %d", c.q, len(found), c.want)
		}
	}
	again(t, l, dir, n)
}

// again opens the trail after a restart, and adds to it at another node.
func again(t *testing.T, l *natslog.Log, dir string, n int) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	trail := open(t, "gw2", openLog(t, dir))
	trail.Keep(t.Context(), audit.Record{By: "root", What: audit.Backup})
	found, _ := all(t, trail, audit.Query{Limit: 1000})
	if len(found) != n+1 || found[0].Node != "gw2" || found[1].Node != "gw1" || !slices.Equal(found[0].On, []string{}) {
		t.Errorf("%d records, first %+v", len(found), found[:2])
	}
}

func TestPagesThatAreNone(t *testing.T) {
	trail := open(t, "gw1", openLog(t, t.TempDir()))
	for _, q := range []audit.Query{{After: "x"}, {After: "0"}, {After: "-1"}, {Limit: -1}, {Limit: 1001}} {
		var field *inbox.FieldError
		if _, err := trail.List(t.Context(), q); !errors.As(err, &field) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if p, err := trail.List(t.Context(), audit.Query{After: "999"}); err != nil || len(p.Records) != 0 || p.Next != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

// What cannot be stored is in the log, whole.
func TestWhatIsNotStoredIsLogged(t *testing.T) {
	l := openLog(t, t.TempDir())
	feed, err := l.Feed(t.Context(), natslog.FeedConfig{Name: "audit", Description: "a test's", MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	trail := audit.New(audit.Options{Feed: feed, Node: "gw1", Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	trail.Keep(t.Context(), audit.Record{By: "root", From: "192.0.2.7", What: audit.Revoke, On: []string{"anna"}, Request: "r-1"})
	for _, word := range []string{"level=ERROR", "by=root", "from=192.0.2.7", "token.revoke", "anna", "r-1"} {
		if !strings.Contains(logged.String(), word) {
			t.Errorf("%q is not in %s", word, &logged)
		}
	}
}
