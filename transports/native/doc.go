// Package native is the conversation of docs/protocol.md §6: a client says who it
// is and where it begins, then gets what an inbox holds, and may send commands.
//
// A [Conversation] knows no carrier: whatever carries text both ways and keeps
// its order can have one. Two sides share it. The carrier's calls
// [Conversation.Receive], which runs the client's commands, one after the other.
// The delivery's, a goroutine that begins with the client's auth or start, pulls
// from the inbox and writes; it owns the reader. Both write through [Conn.Send],
// which puts their frames in line.
//
// Rules of use: call [Begin] for each connection, then Receive for each message
// and [Conversation.Gone] once at the end, one call after the other. What ends a
// conversation is the cause of its context: a [transports.Reason] is told to the
// client as bye, with the close code that belongs to it.
package native
