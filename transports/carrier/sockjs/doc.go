// Package sockjs carries messages over SockJS (protocol 0.3.3, as the clients of
// 1.x speak it), both ways, and knows no protocol: what is said is a
// [Conversation], which the composer brings. It is for clients whose network lets
// no WebSocket through, and for those that were written for it.
//
// A session is what a WebSocket's connection is elsewhere. It lives in this
// process: the requests of one session must all come to one node. The client
// fetches what it is told with one request at a time, long polls or streams of a
// bounded size, and sends with others. What no request has fetched yet waits in
// a bounded buffer; who tells more than fits waits, too. A session that nobody
// fetches from for [Options.Disconnect] is over, and so is one whose client goes
// away in the middle of a request. No goroutine belongs to a session: requests
// bring their own.
//
// Rules of use: make one [Carrier] an endpoint with [New], and call
// [Carrier.Serve] from the handler of all requests at the endpoint and below it.
// Only WebSocket handshakes are not for it, which [Carrier.Upgrades] knows: they
// are for the carrier of WebSockets, whose connections [Carrier.Frame] gives the
// frames of SockJS. At the end of the program call [Carrier.Close]. The
// ResponseWriter's chain must unwrap to net/http's, and nothing between may buffer
// or compress.
//
// It is written here, and is no library: docs/decisions/0015.
package sockjs
