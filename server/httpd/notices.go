package httpd

// Notices are the settings of protocol D, notices with an offline store (docs/compat).
type Notices struct {
	// Path is where it is served: /notice by default.
	Path string
}

func (s *Server) serveNotices(o *Compat) error {
	if o.Notices == nil {
		return nil
	}
	return nil
}
