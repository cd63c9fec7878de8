package httpd

// sessionCount is how many sessions run.
func (s *Server) sessionCount() int {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return len(s.sessions.inside)
}
