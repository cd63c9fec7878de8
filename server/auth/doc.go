// Package auth answers who is asking: it finds the token in a request, verifies
// it, asks whether it has been taken back, and gives the [Identity] behind it. A
// [Gate] does all of that; its parts serve whoever needs one.
//
// A token is a JWT in compact form, signed with HS256, RS256, ES256 or EdDSA
// (docs/protocol.md §1). What is accepted is fixed by configuration, never by
// the token: each key belongs to one algorithm from the moment it is read, and a
// token's header is only compared with it. Nothing in a header is ever used as a
// key or fetched.
//
// Keys come from a secret, from PEM, from a JWKS document, or from the URL of
// one. Such a URL is the issuer's word: https, or http on the loopback. It may be
// unreachable when the server starts and at any time after; the keys known so
// far go on working, and what cannot be judged without it fails with
// [ErrUnavailable] instead of [ErrInvalid].
//
// [Tickets] open one connection each, for clients that cannot send headers, and
// [Revocations] take tokens back. Both are kept in a store that all nodes share,
// whose contract is [TicketStore] and [RevocationStore]. A session is a cookie
// that holds the token itself: nothing is kept for it, but what it changes needs
// [SameOrigin], and as a form [CheckCSRF].
//
// Rules of use: make one [Verifier] with [New], and one of each of the others,
// and share them; what is exported here may be called by many goroutines at once.
// The context given to New ends the one background goroutine. Serve only when
// [Revocations.Loaded] is closed. An Identity is shared between callers and is not
// to be changed. Errors never contain the token or the ticket, so they can be
// logged; token, ticket, cookie and the query with them must not be. This package
// is the only importer of golang-jwt and reads no environment.
package auth
