// Package sse serves an inbox as server-sent events (docs/protocol.md §5), for
// EventSource in browsers and for every client that can read a response while it
// grows.
//
// Rules of use: call [Serve] from the request's handler, authenticated, with a
// ResponseWriter whose chain unwraps to net/http's: writes are bounded by its
// deadlines. Nothing between may buffer or compress. An error that comes before
// anything was written is the handler's to answer.
package sse
