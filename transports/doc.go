// Package transports holds what every transport of a user's inbox has in common:
// who reads, from where, until when, and the one delivery loop.
//
// A transport is a content type and an [Encoder]. One that stays open calls
// [Stream], one that answers calls [Once]: a short poll is a long poll that does
// not wait. Nothing here queues entries. A client is a cursor that pulls from
// its own [inbox.Reader], so one that is slow costs its cursor and a bit.
//
// Rules of use: the request's goroutine does all the work, and a Session belongs
// to it alone. Everything that ends a session is the cause of its context: a
// [Reason] given to context.WithCancelCause is told to the client. Packages below
// this one import it and server/inbox, and never each other.
package transports
