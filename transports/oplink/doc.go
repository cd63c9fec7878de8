// Package oplink is the conversation of docs/compat/oplink.md: JSON operations, each
// a text frame, by which a client says who it is and subscribes to its user's inbox;
// and the one of publishers, who send many objects and get an answer for each.
//
// A [Conversation] and a [Publishing] know no carrier: whatever carries text both
// ways and keeps its order can have one. Answers come in the order of operations,
// though nothing in them says which one they are for.
//
// Rules of use: call [Begin] or [BeginPublishing] for each connection, then Receive
// for each message and Gone once at the end, one call after the other.
package oplink
