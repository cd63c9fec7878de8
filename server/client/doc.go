// Package client speaks the protocol as a client does: it publishes, fills the
// directory, and follows an inbox over SSE or by polling.
//
// It knows nothing of the server's packages, so that what holds between the two
// is docs/protocol.md alone. A [Client] may be used by many goroutines at once;
// a call to [Client.Tail] does its work in the caller's goroutine.
package client
