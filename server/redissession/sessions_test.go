package redissession_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/server/redissession"
	"tocsin/server/redissession/redistest"
)

func open(t *testing.T, o redissession.Options) *redissession.Sessions {
	t.Helper()
	s, err := redissession.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func want(t *testing.T, s auth.Resolver, session, user string, kind error) {
	t.Helper()
	id, err := s.Resolve(t.Context(), session)
	if id.User != user || !errors.Is(err, kind) {
		t.Errorf("%s: %q, %v; want %q, %v", session, id.User, err, user, kind)
	}
}

func TestSessionsOfEveryShape(t *testing.T) {
	server := redistest.Start(t, "pass-word")
	long := strings.Repeat("x", 70_000)
	server.Do("SET", "session:number", `{"uid":1001,"name":"Ada"}`)
	server.Do("SET", "session:text", `{"uid":"ada"}`)
	server.Do("SET", "session:nobody", `{"uid":null}`)
	server.Do("SET", "session:other", `{"user":"ada"}`)
	server.Do("SET", "session:list", `["ada"]`)
	server.Do("SET", "session:broken", `{"uid":`)
	server.Do("SET", "session:long", `{"uid":"ada","x":"`+long+`"}`)
	server.Do("SET", "session:deep", `{"a":{"b":{"uid":7}},"a.b":{"uid":8}}`)
	server.Do("SET", "plain-1", `ada`)
	server.Do("SET", "plain-2", `1001`)
	server.Do("SET", "plain-3", `"1001"`)
	server.Do("HSET", "session:hash", "uid", "bob", "other", "x")
	server.Do("HSET", "session:quoted", "uid", `"1002"`)
	server.Do("HSET", "session:without", "other", "x")
	server.Do("RPUSH", "session:queue", "ada")
	server.Do("SET", "session:gone", `{"uid":1}`, "PX", "1")

	s := open(t, redissession.Options{URL: server.URL(), Field: "uid"})
	want(t, s, "number", "1001", nil)
	want(t, s, "text", "ada", nil)
	want(t, s, "hash", "bob", nil)
	want(t, s, "quoted", "1002", nil)
	for _, session := range []string{"nobody", "other", "list", "broken", "long", "without", "unknown", "a\r\nFLUSHALL"} {
		want(t, s, session, "", auth.ErrInvalid)
	}
	want(t, s, "queue", "", auth.ErrUnavailable) // configured wrongly: nobody's fault
	want(t, s, "number", "1001", nil)
	want(t, open(t, redissession.Options{URL: server.URL(), Field: "a.b.uid"}), "deep", "7", nil)
	whole := open(t, redissession.Options{URL: server.URL(), Key: "plain-{token}"})
	want(t, whole, "1", "ada", nil)
	want(t, whole, "2", "1001", nil)
	want(t, whole, "3", "1001", nil)
}

func TestRedisGoesAndComesBack(t *testing.T) {
	server := redistest.Start(t, "")
	server.Do("SET", "session:s1", `{"uid":1001}`)
	s := open(t, redissession.Options{URL: server.URL(), Field: "uid", Timeout: time.Second})
	remembered := auth.Remember(s, auth.RememberOptions{Fresh: time.Nanosecond})
	want(t, s, "s1", "1001", nil)
	want(t, remembered, "s1", "1001", nil)

	server.Down()
	want(t, s, "s1", "", auth.ErrUnavailable)
	want(t, remembered, "s1", "1001", nil)
	want(t, remembered, "s2", "", auth.ErrUnavailable)

	server.Up()
	server.Do("SET", "session:s2", `{"uid":1002}`)
	want(t, s, "s2", "1002", nil)
	want(t, remembered, "s2", "1002", nil)
	want(t, s, "s1", "", auth.ErrInvalid) // it kept nothing
}

func TestAWrongPasswordIsNobodysFault(t *testing.T) {
	server := redistest.Start(t, "right")
	s := open(t, redissession.Options{URL: "redis://:wrong-one@" + server.Address, Field: "uid"})
	_, err := s.Resolve(t.Context(), "my-session")
	if !errors.Is(err, auth.ErrUnavailable) || strings.Contains(err.Error(), "wrong-one") || strings.Contains(err.Error(), "my-session") {
		t.Error(err)
	}
}

func TestRedisIsNotWaitedForBeyondTheContext(t *testing.T) {
	server := redistest.Start(t, "")
	s := open(t, redissession.Options{URL: server.URL(), Field: "uid"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Resolve(ctx, "s"); !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, o := range []redissession.Options{
		{URL: "http://host"}, {URL: "redis://u:secret@host:port"}, {URL: "redis://host", Key: "session"},
		{URL: "redis://host", Key: "{token}{token}"},
	} {
		if _, err := redissession.Open(o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
