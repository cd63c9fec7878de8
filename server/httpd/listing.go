package httpd

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
)

// A Route is a method and a path, with the router's parameters in it, that the
// public listener answers.
type Route struct {
	Method string `json:"method"`
	Path   string `json:"path"`
}

// Routes are all there are, by path.
func (s *Server) Routes() []Route {
	var all []Route
	for _, r := range s.echo.Routes() {
		all = append(all, Route{r.Method, r.Path})
	}
	slices.SortFunc(all, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return slices.Compact(all)
}

// listRoutes answers operators who want to know what a node offers, and to whom.
func (s *Server) listRoutes(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(struct { // who is gone hears nothing
		Public []Route `json:"public"`
	}{s.Routes()})
}
