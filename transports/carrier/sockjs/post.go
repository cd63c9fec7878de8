package sockjs

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// xhrSend takes messages as JSON, whatever the request calls it.
func xhrSend(c *Carrier, q *request) error {
	if c.post(q, func(body []byte) ([]byte, error) { return body, nil }) {
		q.w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// jsonpSend takes them from a form, too.
func jsonpSend(c *Carrier, q *request) error {
	kind, _, _ := mime.ParseMediaType(q.r.Header.Get("Content-Type"))
	ok := c.post(q, func(body []byte) ([]byte, error) {
		if kind != "application/x-www-form-urlencoded" {
			return body, nil
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, errBroken
		}
		return []byte(form.Get("d")), nil
	})
	if ok {
		_, _ = io.WriteString(q.w, "ok") // some browsers mind an empty answer
	}
	return nil
}

// post gives the conversation what the client sends, which payload finds in the
// body. What is wrong has been answered. A session that is closed hears nothing;
// its client is told so where it fetches, and would not be if it failed here.
func (c *Carrier) post(q *request, payload func(body []byte) ([]byte, error)) (ok bool) {
	s := c.session(q.session)
	if s == nil {
		http.Error(q.w, "there is no such session", http.StatusNotFound)
		return false
	}
	select {
	case s.posting <- struct{}{}: // one body a session in memory
		defer func() { <-s.posting }()
	case <-s.over:
	}
	messages, err := c.read(q, payload)
	switch {
	case errors.Is(err, errTooLarge):
		http.Error(q.w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.Is(err, errBroken), errors.Is(err, errNoPayload):
		http.Error(q.w, err.Error(), http.StatusInternalServerError) // as the protocol has it
	case err != nil:
		http.Error(q.w, "the body did not arrive", http.StatusBadRequest)
	default:
		s.hear(messages)
		c.cookie(q.w, q.r)
		q.w.Header().Set("Content-Type", textPlain)
		q.w.Header().Set("Cache-Control", noStore)
	}
	return err == nil
}

// read reads the messages of a body, in time.
func (c *Carrier) read(q *request, payload func(body []byte) ([]byte, error)) ([][]byte, error) {
	if err := http.NewResponseController(q.w).SetReadDeadline(time.Now().Add(c.o.BodyTimeout)); err != nil {
		return nil, fmt.Errorf("bound the reading: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, int64(c.o.MaxMessage)*MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if body, err = payload(body); err != nil {
		return nil, err
	}
	return parseMessages(body, false, c.o.MaxMessage)
}
