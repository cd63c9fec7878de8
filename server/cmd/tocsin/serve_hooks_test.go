package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/server/client"
	"tocsin/server/metrics"
)

// hookPatience bounds the waits for hooks.
const hookPatience = 30 * time.Second

// nextHook is the next message of the type.
func nextHook(t *testing.T, hooked <-chan string, typ string) string {
	t.Helper()
	for {
		select {
		case body := <-hooked:
			if strings.Contains(body, `"type":"`+typ+`"`) {
				return body
			}
			if strings.Contains(body, `"device":"here"`) && strings.Contains(body, "undelivered") {
				t.Errorf("somebody got it: %s", body)
			}
		case <-time.After(hookPatience):
			t.Fatalf("%s never came", typ)
		}
	}
}

func TestACriticalAlarmThatReachesNobodyIsTold(t *testing.T) {
	hooked := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hooked <- string(body)
	}))
	defer receiver.Close()
	data, secret := workplace(t)
	conf := defaults()
	conf.HTTP, conf.Ops, conf.Data, conf.SecretFile, conf.Drain = "127.0.0.1:0", "", data, secret, 0
	conf.Admin = adminPublic
	conf.HookURLs, conf.HookSecretFile = []string{receiver.URL}, secret
	conf.HookEvents = append(conf.HookEvents, "connection.subscribed")
	ctx, cancel := context.WithCancel(t.Context())
	address, ended := make(chan string, 1), make(chan error, 1)
	n := &node{conf: conf, logger: slog.New(slog.DiscardHandler), metrics: metrics.New(), undeliveredAfter: time.Second,
		serving: func(a string) { address <- a }}
	go func() { ended <- n.serve(ctx) }() // ends with ctx
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	key, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	as := func(user string, groups ...string) *client.Client {
		token, err := auth.Sign([]byte(strings.TrimSpace(string(key))), auth.Issue{User: user, Groups: groups, Scope: "inbox publish admin", TTL: time.Minute}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New("http://"+<-address, token)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	at := <-address
	address <- at
	root := as("root")
	address <- at
	ada := as("ada", "day")
	if _, err := root.Directory(t.Context(), [][]byte{
		[]byte(`{"device":"here","groups":["day"]}`), []byte(`{"device":"away1","groups":["night"]}`), []byte(`{"device":"away2","groups":["night"]}`),
		[]byte(`{"user":"bob","groups":["night"]}`)}); err != nil {
		t.Fatal(err)
	}
	socket, err := ada.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.Write(t.Context(), map[string]string{"op": "start"}); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the socket
		for {
			if _, err := socket.Read(t.Context()); err != nil {
				return
			}
		}
	}()
	nextHook(t, hooked, "connection.subscribed")
	for _, device := range []string{"here", "away1", "away2"} {
		began := time.Now()
		if _, err := root.Publish(t.Context(), "", [][]byte{fmt.Appendf(nil, `{"device":%q,"type":"fire","severity":"critical"}`, device)}); err != nil {
			t.Fatal(err)
		}
		if device == "here" {
			continue // told before the next one, if at all
		}
		var m struct {
			Data struct {
				Alarm struct{ Device, Severity string }
			}
		}
		body := nextHook(t, hooked, "alarm.undelivered")
		if err := json.Unmarshal([]byte(body), &m); err != nil || m.Data.Alarm.Device != device || m.Data.Alarm.Severity != "critical" {
			t.Errorf("want that of %s: %s, %v", device, body, err)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("told after %v", took)
		}
	}
}
