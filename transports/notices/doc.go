// Package notices is the conversation of docs/compat/notices.md: a client gets what
// was stored for its user, the oldest first, then what comes, and may send notices to
// other users. Each is a text frame with one JSON object.
//
// Its clients keep no cursor. A [Keeper] keeps one a user, on all nodes: a [Place],
// which moves when a client has shown that it got what was sent. Beside it stands
// what was sent last, so that what is sent again is marked as read.
//
// Rules of use: one Keeper a node, which all conversations share and which is closed
// after them; call [Begin] for each connection with a Place of its own, then Receive
// for each message and [Conversation.Gone] once at the end, one call after the other.
package notices
