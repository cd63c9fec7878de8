package transports

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// AnyOrigin among the configured origins admits pages from everywhere.
const AnyOrigin = "*"

// Origins are the web origins, besides the server's own, whose pages may call
// the server.
type Origins map[string]bool

// ParseOrigins reads the configured origins: https://host[:port] each, or
// AnyOrigin.
func ParseOrigins(list []string) (Origins, error) {
	origins := Origins{}
	for _, o := range list {
		u, err := url.Parse(o)
		whole := err == nil && u.Scheme != "" && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.User == nil
		if o != AnyOrigin && !whole {
			return nil, fmt.Errorf("origin %q: want https://host[:port] or *", o)
		}
		origins[strings.ToLower(o)] = true
	}
	return origins, nil
}

// Named says whether the origin is one of the configured ones by name.
func (o Origins) Named(origin string) bool { return o[strings.ToLower(origin)] }

// SameHost says whether the origin is that of the server's own pages. Only hosts
// are compared: behind a proxy that ends TLS the server does not know the scheme
// that its pages see.
func SameHost(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
