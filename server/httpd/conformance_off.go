//go:build !conformance

package httpd

// serveConformance serves nothing: what public suites of protocols want of a
// server is in a build of its own (docs/conformance.md).
func (s *Server) serveConformance() error { return nil }
