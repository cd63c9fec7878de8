package httpd

// AppPush are the settings of protocol C, app push with the token in the path (docs/compat).
type AppPush struct {
	// Path is where it is served: /push by default.
	Path string
}

func (s *Server) serveAppPush(o *Compat) error {
	if o.AppPush == nil {
		return nil
	}
	return nil
}
