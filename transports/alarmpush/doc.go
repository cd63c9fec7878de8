// Package alarmpush is the conversation of docs/compat/alarm-push.md: alarms
// pushed as protobuf messages to clients that say in their first message who they
// are, and ask the server for everything else.
//
// A [Conversation] knows no carrier: whatever carries binary messages both ways
// and keeps their order can have one. Of an entry a notice is made once, for all
// connections; what differs between them is the cursor, a field that each adds to
// its own frame.
//
// Rules of use: call [Begin] for each connection, then Receive for each message
// and Gone once at the end, one call after the other.
package alarmpush
