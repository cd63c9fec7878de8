package httpd

// gateCount is how many sessions run.
func (s *Server) gateCount() int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return s.gate.inside
}
