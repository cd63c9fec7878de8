// Package poll serves an inbox in single answers (docs/protocol.md §4): a short
// poll answers at once, a long one waits for something to tell.
//
// Nothing is kept between two polls, so any node can answer the next one. Rules
// of use: call [Serve] from the request's handler, authenticated. It either
// writes the whole answer or returns an error and has written nothing.
package poll
