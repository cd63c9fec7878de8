package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// check says whether an answer is one that the document declares for the request.
// path is the one that was asked for, without its query. What is at no path of the
// document is for others to judge, unless it pretends to be there.
func (a *api) check(method, path string, got answer) error {
	o, known := a.find(method, path)
	switch {
	case o != nil && o.ops:
		return nil // of another listener
	case o != nil:
	case method == http.MethodOptions, method == http.MethodHead:
		return nil // of the edge, and of web
	case known && got.status != http.StatusMethodNotAllowed && got.status != http.StatusNotFound && got.status != http.StatusForbidden:
		return fmt.Errorf("%s %s: %d, and the document has no such method", method, path, got.status)
	default:
		return nil
	}
	d, ok := o.answers[got.status]
	if !ok {
		return fmt.Errorf("%s (%s): %d is none of %v: %.300s", o, path, got.status, o.statuses(), got.body)
	}
	if err := a.checkHeader(got); err != nil {
		return fmt.Errorf("%s (%s): %d: %w", o, path, got.status, err)
	}
	if err := a.checkBody(d, got); err != nil {
		return fmt.Errorf("%s (%s): %d: %w in %.600s", o, path, got.status, err, got.body)
	}
	return nil
}

func (a *api) checkHeader(got answer) error {
	wanted := map[int]string{http.StatusTooManyRequests: "Retry-After", http.StatusServiceUnavailable: "Retry-After", http.StatusUnauthorized: "WWW-Authenticate"}
	if name := wanted[got.status]; name != "" && got.header.Get(name) == "" && !strings.HasPrefix(got.header.Get("Content-Type"), "text/") {
		return fmt.Errorf("no %s", name)
	}
	if got.header.Get("X-Request-Id") == "" && got.header.Get("Upgrade") == "" {
		return fmt.Errorf("no X-Request-Id")
	}
	return nil
}

func (a *api) checkBody(d declared, got answer) error {
	if len(d.schemas) == 0 || got.body == "" {
		if got.body != "" {
			return fmt.Errorf("a body that is not declared")
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the content type %q: %w", got.header.Get("Content-Type"), err)
	}
	pointer, ok := d.schemas[media]
	switch {
	case !ok:
		return fmt.Errorf("the content type %s is not declared", media)
	case d.line != "":
		for line := range bytes.Lines([]byte(got.body)) {
			if err := a.fits(d.line, line); err != nil {
				return err
			}
		}
		return nil
	case !strings.HasSuffix(media, "json"):
		return nil
	}
	if err := a.fits(pointer, []byte(got.body)); err != nil {
		return err
	}
	if media != "application/problem+json" {
		return nil
	}
	return checkProblem(d, got)
}

// checkProblem says whether a problem is one of those that are declared, and says the
// same as the status.
func checkProblem(d declared, got answer) error {
	var p struct {
		Type   string
		Status int
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		return err
	}
	if p.Status != got.status {
		return fmt.Errorf("the problem says %d", p.Status)
	}
	if name := strings.TrimPrefix(p.Type, "/problems/"); d.problems != nil && !slices.Contains(d.problems, name) {
		return fmt.Errorf("%s is none of %v", name, d.problems)
	}
	return nil
}
