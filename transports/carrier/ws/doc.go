// Package ws carries messages over WebSocket, both ways, and knows no protocol:
// what is said is a [Conversation], which the composer brings.
//
// A connection sends one frame at a time: [Conn.Send] returns when the frame has
// left, or with an error when the connection is over, because the client was too
// slow for instance. Frames from the client come one after the other, and the
// next is read when the conversation is done with the last: a client that floods
// is slowed by its own TCP connection, and nothing queues here.
//
// Rules of use: make one [Carrier] with [New], call [Carrier.Serve] from the
// request's handler with a ResponseWriter whose chain unwraps to net/http's, and
// [Carrier.Close] at the end of the program. Serve returns as soon as the
// handshake is answered, which frees what net/http holds for a request; what a
// conversation needs of the request it takes before that. This package is the
// only importer of melody.
package ws
