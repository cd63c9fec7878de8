// Package hooks tells other systems of what happens here, by HTTP: that a client
// came or went, that an alarm was acknowledged, that a critical one has reached
// nobody (docs/protocol.md §11).
//
// A message is put into a durable queue for each receiver, so that a restart or a
// slow receiver loses none and holds up no other. It is signed as the Standard
// Webhooks convention wants, and sent again until it is accepted or 24 hours old.
// Acknowledgements follow the log: [Hooks.FollowAcks] reads it from where it stood.
//
// Rules of use: the methods of [Hooks] may be called by many goroutines at once.
// Run is called once; FollowAcks on one node at a time, though two do no harm, since
// a message's id follows from its cause.
package hooks
