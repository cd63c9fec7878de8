// Package apppush is the conversation of docs/compat/app-push.md: messages pushed
// to apps that keep no cursor, and send nothing but a sign of life.
//
// What such a client has got is known from the answers to the carrier's pings:
// what was sent before a ping has arrived when it is answered. So each connection
// holds a place, behind which everything is delivered once more to the user's next
// one, and moves it as the answers come. A message that comes again has the same
// id.
//
// A [Conversation] knows no carrier: whatever carries text both ways, keeps its
// order and calls Mark and Arrived around its pings can have one.
//
// Rules of use: call [Begin] or [Refuse] for each connection, then Receive for each
// message and Gone once at the end, one call after the other.
package apppush
