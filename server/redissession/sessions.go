package redissession

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"tocsin/server/auth"
)

// InKey is what stands for the session in Options.Key.
const InKey = "{token}"

// Options say where sessions are kept; URL is required, zero values of the others
// are the defaults given here.
type Options struct {
	// URL is redis://[user:password@]host[:port][/db], rediss:// with TLS, or
	// unix:///path.
	URL string
	// Key is the key of a session, with InKey in the session's place; empty is
	// session:{token}.
	Key string
	// Field is where in the value the user stands: a member of a JSON object, with
	// dots where objects lie in each other, or a field of a hash. Empty: the value
	// itself is the user.
	Field string
	// Timeout is how long Redis may take to connect, and to answer; 0 is 2 s.
	Timeout time.Duration
}

// maxValue bounds the value of a session, in bytes: one that is longer is none.
const maxValue = 64 << 10

// Sessions reads sessions from Redis. It may be used by many goroutines at once.
type Sessions struct {
	client *redis.Client
	key    string
	field  string
}

var _ auth.Resolver = (*Sessions)(nil)

// Open returns Sessions without asking Redis: it may come up later. The error is
// for options that are none, and repeats no password.
func Open(o Options) (*Sessions, error) {
	opt, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, errors.New("the URL of Redis: want redis://[user:password@]host[:port][/db]")
	}
	key := cmp.Or(o.Key, "session:"+InKey)
	if strings.Count(key, InKey) != 1 {
		return nil, errors.New("the key of sessions in Redis: want " + InKey + " in it, once")
	}
	timeout := cmp.Or(o.Timeout, 2*time.Second)
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = timeout, timeout, timeout, timeout
	opt.ContextTimeoutEnabled = true
	opt.MaxRetries = 1 // a connection that Redis has closed since
	logging.Disable()  // of the whole library; what matters is in the errors
	return &Sessions{client: redis.NewClient(opt), key: key, field: o.Field}, nil
}

// Close ends the connections.
func (s *Sessions) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// Resolve implements auth.Resolver.
func (s *Sessions) Resolve(ctx context.Context, session string) (auth.Identity, error) {
	value, err := s.value(ctx, strings.Replace(s.key, InKey, session, 1))
	switch {
	case errors.Is(err, redis.Nil):
		return auth.Identity{}, fmt.Errorf("%w: Redis has no such session", auth.ErrInvalid)
	case err != nil:
		return auth.Identity{}, fmt.Errorf("%w: ask Redis: %w", auth.ErrUnavailable, err)
	}
	user, err := auth.UserOf(value)
	if err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{User: user, Scopes: auth.Scopes{auth.ScopeInbox}}, nil
}

// value is what stands for the user, as JSON; nil if there is nothing of the kind.
func (s *Sessions) value(ctx context.Context, key string) (json.RawMessage, error) {
	text, err := s.client.GetRange(ctx, key, 0, maxValue).Result()
	switch {
	case s.field != "" && redis.HasErrorPrefix(err, "WRONGTYPE"):
		text, err = s.client.HGet(ctx, key, s.field).Result()
		return plain(text), err //nolint:wrapcheck // Resolve does
	case err != nil:
		return nil, err //nolint:wrapcheck // Resolve does
	case text == "": // which is also what is not there
		return nil, redis.Nil
	case len(text) > maxValue:
		return nil, nil
	case s.field == "":
		return plain(text), nil
	}
	return member(json.RawMessage(text), s.field), nil
}

// plain is a value that is not in an object: JSON, if it is a string of it or a
// number, else a text.
func plain(text string) json.RawMessage {
	if text == "" || len(text) > maxValue {
		return nil
	}
	if c := text[0]; (c == '"' || c == '-' || c >= '0' && c <= '9') && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return nil
	}
	return quoted
}

// member finds what stands at a path of names with dots between them; nil if there
// is nothing. A name that has dots itself comes first.
func member(value json.RawMessage, path string) json.RawMessage {
	for {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		if found, ok := object[path]; ok {
			return found
		}
		name, rest, deeper := strings.Cut(path, ".")
		if !deeper {
			return nil
		}
		value, path = object[name], rest
	}
}
