package httpd

import (
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"tocsin/docs"
	"tocsin/server/topics"
)

// The document has every route of the router, and no other; that answers fit it is
// shown in package e2e, against the program.
func TestTheDocumentHasEveryRoute(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Compat = &Compat{
			AlarmPush: &AlarmPush{Path: "/ws/alarm"}, Oplink: &Oplink{Path: "/message-center"}, AppPush: &AppPush{Path: "/push"},
			Notices: &Notices{Path: "/notice"}, Stomp: &Stomp{Topics: topics.New(topics.Options{})}, Places: &memoryPlaces{at: map[string]string{}},
		}
	})
	var doc struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal(docs.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for path, item := range doc.Paths {
		_, ops := item["servers"]
		for _, method := range []string{"get", "put", "post", "delete", "options", "patch", "head"} {
			if _, ok := item[method]; ok && !ops {
				said[strings.ToUpper(method)+" "+plain(path)] = true
			}
		}
	}
	routed := map[string]bool{}
	for _, r := range w.server.echo.Routes() {
		// SockJS answers whatever it is asked, and has three methods.
		if w.server.sharing[r.Path] && !slices.Contains([]string{"GET", "POST", "OPTIONS"}, r.Method) {
			continue
		}
		name := r.Method + " " + plain(r.Path)
		routed[name] = true
		if !said[name] {
			t.Errorf("%s is not in docs/openapi.yaml", name)
		}
	}
	for name := range said {
		if !routed[name] {
			t.Errorf("docs/openapi.yaml has %s, which is not routed", name)
		}
	}
	if len(routed) < 70 {
		t.Errorf("only %d routes", len(routed))
	}
}

// plain is a path with * for each of its parameters, however they are written.
func plain(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, ":") || strings.HasPrefix(part, "{") {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

func TestTheDocumentIsServed(t *testing.T) {
	w := newWorld(t, nil)
	a := w.do("GET", "/openapi.yaml", "", "Authorization", "").want(200, "openapi: 3.1.0")
	if got := a.header.Get("Content-Type"); got != "application/yaml" || a.body != string(docs.OpenAPI) {
		t.Errorf("%s, %d bytes", got, len(a.body))
	}
}
