package auth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// backend is a system's own endpoint that knows sessions.
func backend(t *testing.T, answer http.HandlerFunc) *Callback {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := NewCallback(server.URL + "/auth?key=hidden")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestACallbackGetsTheTokenAndSaysWhoseItIs(t *testing.T) {
	const token = "s3ss\"ion"
	c := backend(t, func(w http.ResponseWriter, r *http.Request) {
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost ||
			r.Header.Get("Content-Type") != "application/json" || !reflect.DeepEqual(body, map[string]string{"token": token}) {
			t.Errorf("%s %v: %v, %v", r.Method, r.Header, body, err)
		}
		_, _ = io.WriteString(w, `{"uid":1001,"groups":["b","a","b"],"expires_in":90,"attributes":{"tenant":"x"},"more":[1]}`)
	})
	c.now = func() time.Time { return start }
	id, err := c.Resolve(t.Context(), token)
	want := Identity{User: "1001", Groups: []string{"a", "b"}, Scopes: Scopes{ScopeInbox},
		Expires: start.Add(90 * time.Second), Attributes: map[string]string{"tenant": "x"}}
	if err != nil || !reflect.DeepEqual(id, want) {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestWhatACallbackAnswersDecides(t *testing.T) {
	for _, one := range []struct {
		status int
		body   string
		user   string
		err    error
	}{
		{200, `{"uid":"ada"}`, "ada", nil},
		{200, `{"uid":-3,"groups":[],"expires_in":null,"attributes":null}`, "-3", nil},
		{200, `{"uid":"0"}`, "0", nil},
		{200, `{"uid":0}`, "", ErrInvalid},
		{200, `{"uid":""}`, "", ErrInvalid},
		{200, `{"uid":null}`, "", ErrInvalid},
		{200, `{}`, "", ErrInvalid},
		{200, `{"uid":1.5}`, "", ErrInvalid},
		{200, `{"uid":true}`, "", ErrInvalid},
		{200, `{"uid":{"id":1}}`, "", ErrInvalid},
		{200, `{"uid":"a\u0000b"}`, "", ErrInvalid},
		{200, `{"uid":"` + strings.Repeat("x", MaxUser+1) + `"}`, "", ErrInvalid},
		{200, `{"uid":1,"expires_in":0}`, "", ErrExpired},
		{200, `{"uid":1,"expires_in":"soon"}`, "", ErrUnavailable},
		{200, `{"uid":1,"groups":"a"}`, "", ErrUnavailable},
		{200, `{"uid":1,"attributes":{"a":1}}`, "", ErrUnavailable},
		{200, `{"uid":1,"uid":2}`, "", ErrUnavailable},
		{200, `not JSON`, "", ErrUnavailable},
		{200, `{"uid":1,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, "", ErrUnavailable},
		{204, ``, "", ErrUnavailable},
		{302, ``, "", ErrUnavailable},
		{401, `{"uid":1}`, "", ErrInvalid},
		{404, ``, "", ErrInvalid},
		{429, ``, "", ErrUnavailable},
		{500, `{"uid":1}`, "", ErrUnavailable},
	} {
		id, err := backend(t, says(one.status, one.body)).Resolve(t.Context(), "token")
		if id.User != one.user || !errors.Is(err, one.err) {
			t.Errorf("%d %.60s: %q, %v", one.status, one.body, id.User, err)
		}
	}
}

func TestACallbacksErrorsHideTheToken(t *testing.T) {
	server := httptest.NewServer(says(200, ""))
	server.Close()
	c, err := NewCallback(server.URL + "/auth?key=hidden")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Resolve(t.Context(), "my-session")
	if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "my-session") || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
	for _, bad := range []string{"", "ftp://host/", "http://", "%"} {
		if _, err := NewCallback(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
