package httpd

// Oplink are the settings of protocol B, JSON operations (docs/compat).
type Oplink struct {
	// Path is where it is served: /message-center by default.
	Path string
}

func (s *Server) serveOplink(o *Compat) error {
	if o.Oplink == nil {
		return nil
	}
	return nil
}
