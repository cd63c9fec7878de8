package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A poster publishes over one kept-alive connection, a request after the other.
type poster struct {
	http        http.Client
	url, token  string
	contentType string
	per         int // alarms in a request
	// body writes a request with so many alarms.
	body func(b []byte, names *namer, alarms int) []byte
	sent []byte // the last one's memory
}

func newPoster(s *server, path, contentType string, per int, body func([]byte, *namer, int) []byte) (*poster, error) {
	token, err := s.token(publisher, group, "publish")
	return &poster{http: http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1}},
		url: "http://" + s.addr + path, token: token, contentType: contentType, per: per, body: body}, err
}

func (p *poster) close() { p.http.CloseIdleConnections() }

// post sends a body and returns the answer to it.
func (p *poster) post(ctx context.Context, body io.Reader) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", p.contentType)
	resp, err := p.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

func (p *poster) send(ctx context.Context, names namer, until time.Time) (alarms int, err error) {
	ctx, cancel := context.WithDeadline(ctx, until.Add(requestTimeout))
	defer cancel()
	for time.Now().Before(until) {
		if err := p.publish(ctx, &names, p.per); err != nil {
			return alarms, err
		}
		alarms += p.per
	}
	return alarms, nil
}

// publish sends one request, and wants each of its alarms to be raised.
func (p *poster) publish(ctx context.Context, names *namer, alarms int) error {
	p.sent = p.body(p.sent[:0], names, alarms)
	status, answer, err := p.post(ctx, bytes.NewReader(p.sent))
	if err != nil {
		return err
	}
	if n := bytes.Count(answer, []byte(`"status":"raised"`)); status != http.StatusAccepted || n != alarms {
		return fmt.Errorf("%d of %d alarms were raised: %d %.500s", n, alarms, status, answer)
	}
	return nil
}

func openNative(per int) func(context.Context, *server, string) (sender, error) {
	return func(_ context.Context, s *server, _ string) (sender, error) {
		return newPoster(s, "/v1/alarms", "application/x-ndjson", per, nativeLines)
	}
}

func nativeLines(b []byte, names *namer, alarms int) []byte {
	for range alarms {
		b = append(alarmOf(b, names.next()), '\n')
	}
	return b
}

func openCloudEvents(_ context.Context, s *server, _ string) (sender, error) {
	return newPoster(s, "/v1/ingest/cloudevents", "application/cloudevents-batch+json", doorBatch, func(b []byte, names *namer, alarms int) []byte {
		for i := range alarms {
			name := names.next()
			b = fmt.Appendf(append(b, "[,"[min(i, 1)]), `{"specversion":"1.0","id":"%s","source":"/bench","type":"overspeed","subject":"%s","data":`, name, name)
			b = append(alarmOf(b, name), '}')
		}
		return append(b, ']')
	})
}

func openAlertmanager(_ context.Context, s *server, _ string) (sender, error) {
	return newPoster(s, "/v1/ingest/alertmanager", "application/json", doorAlerts, func(b []byte, names *namer, alarms int) []byte {
		b = fmt.Appendf(b, `{"version":"4","groupKey":"{}:{}","status":"firing","receiver":"tocsin","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://bench","alerts":`)
		for i := range alarms {
			b = fmt.Appendf(append(b, "[,"[min(i, 1)]), `{"status":"firing","fingerprint":"c57d8a52f41b4b7e","startsAt":"2026-11-21T02:00:00Z","endsAt":"0001-01-01T00:00:00Z",`+
				`"labels":{"alertname":"overspeed","device":"%s","severity":"error","zone":"a"},"annotations":{"summary":"92 km/h in an 80 km/h zone"}}`, names.next())
		}
		return append(b, "]}"...)
	})
}

// An uploader sends one body for as long as it may.
type uploader struct{ *poster }

func openUpload(_ context.Context, s *server, _ string) (sender, error) {
	p, err := newPoster(s, "/v1/ingest/lines?results=rejected", "application/x-ndjson", doorBatch, nativeLines)
	return uploader{p}, err
}

func (u uploader) send(ctx context.Context, names namer, until time.Time) (alarms int, err error) {
	ctx, cancel := context.WithDeadline(ctx, until.Add(requestTimeout))
	defer cancel()
	body, in := io.Pipe()
	// Ends when the time is over, or with the request, which closes the pipe.
	go func() {
		var lines []byte
		for err := error(nil); err == nil && time.Now().Before(until); {
			lines = nativeLines(lines[:0], &names, doorBatch)
			_, err = in.Write(lines)
		}
		_ = in.Close()
	}()
	status, answer, err := u.post(ctx, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return 0, err
	}
	var end struct {
		End    bool
		Lines  int
		Counts map[string]int
	}
	if err := json.Unmarshal(answer, &end); err != nil || status != http.StatusOK || !end.End || end.Counts["raised"] != end.Lines {
		return 0, fmt.Errorf("the upload ended with %d %.500s: %w", status, answer, err)
	}
	return end.Lines, nil
}
