package httpd

// Stomp are the settings of protocol E, STOMP and SockJS (docs/compat).
type Stomp struct {
	// Path is where it is served: /stomp by default.
	Path string
	// SockJSPath is the endpoint of SockJS: /endpoint-websocket by default.
	SockJSPath string
}

func (s *Server) serveStomp(o *Compat) error {
	if o.Stomp == nil {
		return nil
	}
	return nil
}
