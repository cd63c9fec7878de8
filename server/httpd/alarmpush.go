package httpd

// AlarmPush are the settings of protocol A, alarm push in protobuf (docs/compat).
type AlarmPush struct {
	// Path is where it is served: /ws/alarm by default.
	Path string
}

func (s *Server) serveAlarmPush(o *Compat) error {
	if o.AlarmPush == nil {
		return nil
	}
	return nil
}
