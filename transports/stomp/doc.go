// Package stomp is the conversation of STOMP 1.0, 1.1 and 1.2 (docs/compat/stomp.md):
// a client connects with a token, subscribes to its inbox and to topics, and sends
// to topics.
//
// A [Conversation] knows no carrier: whatever carries text both ways and keeps its
// order can have one. A message of the carrier may hold a part of a frame, or
// several frames: what comes is read as one stream. What goes out is one frame a
// message, as clients expect.
//
// Three sides share it. The carrier's calls [Conversation.Receive], which does what
// frames ask for, one after the other. The delivery's, a [transports.Stream], pulls
// from the inbox. And topics, which are live only, go through a queue of bounded
// size, as nothing keeps them for a client that does not take them.
//
// Rules of use: call [Begin] for each connection, then Receive for each message and
// [Conversation.Gone] once at the end, one call after the other. All conversations
// share their [Options], which hold what users have acknowledged until it is stored.
package stomp
