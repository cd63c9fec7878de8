package ingest_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/directory"
	"tocsin/server/httpd"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

const patience = 20 * time.Second

var secret = []byte("a secret of thirty-two bytes, or more")

// A memoryMarks keeps no read marks: nobody reads here.
type memoryMarks struct{}

func (memoryMarks) Update(context.Context, string, func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	return inbox.Mark{}, inbox.ErrUnavailable
}

func (memoryMarks) Watch(ctx context.Context, present func(), _ func(string, inbox.Mark)) error {
	present()
	<-ctx.Done()
	return ctx.Err()
}

// newServer starts a node on a log in memory and returns its address and a token
// of somebody who may do everything.
func newServer(t *testing.T) (url, token string) {
	t.Helper()
	log := &inbox.MemoryLog{}
	epoch, err := inbox.BeginEpoch(t.Context(), log, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	unassigned := []string{"unassigned"}
	view, _ := inboxtest.StartView(t, log, inbox.ViewOptions{Unassigned: unassigned})
	verifier, err := auth.New(t.Context(), auth.Options{HS256: secret})
	if err != nil {
		t.Fatal(err)
	}
	dir := directory.New(directory.Options{Log: log, View: view, Epoch: epoch})
	server, err := httpd.New(httpd.Options{
		View: view, Marks: memoryMarks{}, Auth: &auth.Gate{Verifier: verifier}, Directory: dir, DrainSpread: -1,
		Alarms: alarm.New(alarm.Options{Log: log, View: view, Router: dir, Epoch: epoch, Unassigned: unassigned}),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l, nil) }() // ends with Shutdown
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		http.DefaultClient.CloseIdleConnections()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	token, err = auth.Sign(secret, auth.Issue{User: "ada", Groups: []string{"*"}, Scope: "inbox publish", TTL: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String(), token
}

// inboxOf returns the alarms in ada's inbox, by device, as the newest entries
// have them.
func inboxOf(t *testing.T, url, token string) map[string]alarm.Alarm {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/inbox?cursor=earliest&limit=1000", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var page struct{ Entries []struct{ Alarm alarm.Alarm } }
	if err := json.Unmarshal(body, &page); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	found := map[string]alarm.Alarm{}
	for _, e := range page.Entries {
		found[e.Alarm.Device] = e.Alarm
	}
	return found
}
