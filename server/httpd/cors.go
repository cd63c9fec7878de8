package httpd

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"tocsin/transports"
)

// What pages of allowed origins may send and read beyond what they always may.
const (
	allowMethods  = "GET, POST, PUT, DELETE"
	allowHeaders  = "Authorization, Content-Type, Last-Event-ID, If-None-Match, If-Match, Prefer, Idempotency-Key, X-Request-Id"
	exposeHeaders = "ETag, Retry-After, Preference-Applied, X-Request-Id"
)

// cors keeps pages of other origins out, except those that are configured. What
// only reads is answered all the same, but without the headers by which a
// browser would let the page see it.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		origin := r.Header.Get("Origin")
		if origin == "" || s.sharing[c.Path()] {
			return next(c)
		}
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		h := c.Response().Header()
		h.Add("Vary", "Origin")
		switch {
		case s.origins.Named(origin):
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
		case s.origins[transports.AnyOrigin]:
			h.Set("Access-Control-Allow-Origin", transports.AnyOrigin)
		case transports.SameHost(r, origin):
			return next(c)
		case preflight || r.Method != http.MethodGet && r.Method != http.MethodHead:
			return errOrigin
		default:
			return next(c)
		}
		if preflight {
			h.Set("Access-Control-Allow-Methods", allowMethods)
			h.Set("Access-Control-Allow-Headers", allowHeaders)
			h.Set("Access-Control-Max-Age", "600")
			return c.NoContent(http.StatusNoContent)
		}
		h.Set("Access-Control-Expose-Headers", exposeHeaders)
		return next(c)
	}
}
