package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxAnswer bounds the answer of a callback, in bytes.
	maxAnswer = 64 << 10
	// Limits of attributes, in number and in bytes together.
	maxAttributes     = 32
	maxAttributeBytes = 4 << 10
	// maxExpiresIn is the longest expires_in, in seconds: ten years.
	maxExpiresIn = 10 * 365 * 24 * 3600
)

// A Callback is a Resolver that asks a URL, by POST of {"token":"…"}, and is told
// 200 {"uid":1001}: whose session it is, a number or a string. Optional members are
// groups (strings), expires_in (seconds) and attributes (strings by name). A 4xx
// says that nobody is logged in with it; whatever else comes, or nothing, leaves
// that open.
//
// Give it to Remember, which bounds how often it is called and for how long.
type Callback struct {
	url    string
	client http.Client
	now    func() time.Time
}

var _ Resolver = (*Callback)(nil)

// NewCallback returns a Callback; the error is for a URL that is none.
func NewCallback(to string) (*Callback, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the session callback: want a URL that begins with http:// or https://")
	}
	return &Callback{url: to, now: time.Now, client: http.Client{
		// A redirect could take the token to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Resolve implements Resolver. It is bounded by the context alone.
func (c *Callback) Resolve(ctx context.Context, session string) (Identity, error) {
	body, err := json.Marshal(map[string]string{"token": session})
	if err != nil {
		return Identity{}, invalid("the session is no text")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: make the request of the callback", ErrUnavailable)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		// The error's own text repeats the URL, whose query may be a secret.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return Identity{}, fmt.Errorf("%w: ask the callback: %w", ErrUnavailable, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch status := res.StatusCode; {
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return Identity{}, fmt.Errorf("%w: the callback answers %d", ErrUnavailable, status)
	case status >= 400 && status < 500:
		return Identity{}, invalid("the callback answers %d", status)
	case status != http.StatusOK:
		return Identity{}, fmt.Errorf("%w: the callback answers %d", ErrUnavailable, status)
	case err != nil:
		return Identity{}, fmt.Errorf("%w: read the callback's answer: %w", ErrUnavailable, err)
	case len(answer) > maxAnswer:
		return Identity{}, fmt.Errorf("%w: the callback's answer is longer than %d bytes", ErrUnavailable, maxAnswer)
	}
	return c.read(answer)
}

// read takes the identity out of an answer.
func (c *Callback) read(answer []byte) (Identity, error) {
	m, err := object(answer)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: the callback's answer: %w", ErrUnavailable, err)
	}
	id := Identity{Scopes: Scopes{ScopeInbox}}
	if id.User, err = UserOf(m["uid"]); err != nil {
		return Identity{}, err
	}
	if id.Groups, err = readGroups(m); err != nil {
		return Identity{}, fmt.Errorf("%w: the callback's groups: %w", ErrUnavailable, err)
	}
	if raw, given := m["expires_in"]; given && string(raw) != "null" {
		seconds, err := strconv.ParseFloat(string(raw), 64)
		switch {
		case err != nil || seconds > maxExpiresIn:
			return Identity{}, fmt.Errorf("%w: the callback's expires_in: want seconds", ErrUnavailable)
		case seconds <= 0:
			return Identity{}, fmt.Errorf("the callback: %w", ErrExpired)
		}
		id.Expires = c.now().Add(time.Duration(seconds * float64(time.Second)))
	}
	if id.Attributes, err = readAttributes(m["attributes"]); err != nil {
		return Identity{}, fmt.Errorf("%w: the callback's attributes: %w", ErrUnavailable, err)
	}
	return id, nil
}

func readAttributes(raw json.RawMessage) (map[string]string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	m, err := object(raw)
	switch {
	case err != nil:
		return nil, err
	case len(m) > maxAttributes:
		return nil, fmt.Errorf("more than %d", maxAttributes)
	}
	found, size := make(map[string]string, len(m)), 0
	for name, raw := range m {
		value, ok := text(raw)
		if !ok {
			return nil, errors.New("want strings by name")
		}
		if size += len(name) + len(value); size > maxAttributeBytes {
			return nil, fmt.Errorf("more than %d bytes", maxAttributeBytes)
		}
		found[name] = value
	}
	return found, nil
}

// UserOf reads whose a session is from the value that its keeper gives, which is
// a string or a whole number. Nobody's is null, an empty string or 0, and none at
// all; the error is an ErrInvalid then.
func UserOf(raw json.RawMessage) (user string, err error) {
	user, ok := text(raw)
	if !ok && len(raw) > 0 && string(raw) != "null" {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return "", invalid("the session's user must be a string or a whole number")
		}
		if n != 0 {
			user = strconv.FormatInt(n, 10)
		}
	}
	if user == "" {
		return "", invalid("the session is nobody's")
	}
	if err := checkName(user, MaxUser); err != nil {
		return "", invalid("the session's user %v", err)
	}
	return user, nil
}
