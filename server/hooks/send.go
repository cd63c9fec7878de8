package hooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// secretPrefix marks a secret that is written as the convention has it.
const secretPrefix = "whsec_"

// Bounds of a secret, in bytes.
const minSecret, maxSecret = 24, 64

// ParseSecret reads a secret as a file has it: whsec_ and base64 of 24 to 64 bytes,
// or a line that is the secret itself.
func ParseSecret(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	secret := []byte(text)
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, fmt.Errorf("what follows %s is not base64", secretPrefix)
		}
	}
	if len(secret) < minSecret || len(secret) > maxSecret {
		return nil, fmt.Errorf("want %d to %d bytes, not %d", minSecret, maxSecret, len(secret))
	}
	return secret, nil
}

// sign is the signature of one attempt (standardwebhooks.com, symmetric).
func sign(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(mac, id+"."+timestamp+".")
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// A sender sends to one receiver.
type sender struct {
	o        *Options
	receiver Receiver
	name     string // the URL without a password
	client   *http.Client
}

// maxAnswer bounds what is read of an answer, so that its connection can be used
// again.
const maxAnswer = 16 << 10

func newSender(r Receiver, o *Options) (*sender, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("hooks: want a URL that begins with http:// or https://")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return &sender{o: o, receiver: r, name: u.Redacted(), client: &http.Client{
		Transport: transport, Timeout: o.Timeout,
		// A redirect would take the message to where nobody has sent it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (s *sender) close() { s.client.CloseIdleConnections() }

// run does what is in the queue until the context ends.
func (s *sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.receiver.Queue.Run(ctx, s.attempt); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("send messages: again in a second", "to", s.name, "error", err)
		}
		pause(ctx, time.Second)
	}
}

// attempt sends one message once. An error has it sent again.
func (s *sender) attempt(ctx context.Context, job Job) error {
	var e envelope
	if err := json.Unmarshal(job.Data, &e); err != nil {
		s.o.Logger.Error("a message that is none is dropped", "to", s.name, "error", err)
		return nil
	}
	status, err := s.send(ctx, &e)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && status/100 == 2:
		s.o.Count(Sent)
		return nil
	case err == nil && status == http.StatusGone:
		s.o.Count(Gone)
		s.o.Logger.Warn("the receiver wants no such messages any more", "to", s.name, "message", e.ID)
		return nil
	case err == nil:
		err = fmt.Errorf("the receiver answered %d", status)
	}
	if s.o.Now().Sub(job.At) < s.o.GiveUp {
		s.o.Count(Failed)
		s.o.Logger.Warn("a message was not accepted and is sent again", "to", s.name, "message", e.ID, "attempt", job.Attempt, "error", err)
		return err
	}
	return s.giveUp(ctx, job, &e, err)
}

// send sends the message and returns the status of the answer.
func (s *sender) send(ctx context.Context, e *envelope) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.receiver.URL, bytes.NewReader(e.Body))
	if err != nil {
		return 0, err
	}
	now := strconv.FormatInt(s.o.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", s.o.Agent)
	r.Header.Set("webhook-id", e.ID)
	r.Header.Set("webhook-timestamp", now)
	r.Header.Set("webhook-signature", sign(s.o.Secret, e.ID, now, e.Body))
	resp, err := s.client.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the URL may hold a password
		}
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

// giveUp hands the message over to the dead letters.
func (s *sender) giveUp(ctx context.Context, job Job, e *envelope, reason error) error {
	var head struct{ Type Event }
	_ = json.Unmarshal(e.Body, &head) // it is ours
	s.o.Logger.Error("a message is given up", "to", s.name, "message", e.ID, "attempts", job.Attempt, "error", reason)
	if s.o.Dead != nil {
		l := Letter{ID: e.ID, URL: s.name, Event: head.Type, Body: e.Body, At: job.At, Attempts: job.Attempt, Reason: reason.Error()}
		if err := s.o.Dead(ctx, l); err != nil {
			return fmt.Errorf("keep the message %s among the dead letters: %w", e.ID, err)
		}
	}
	s.o.Count(GivenUp)
	return nil
}

// pause waits for d or for the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
