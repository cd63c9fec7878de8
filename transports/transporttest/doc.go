// Package transporttest holds the scenarios that every transport must pass, on a
// whole node behind real sockets, with or without a proxy in front of it.
//
// A new transport is a line in [Transports] and a [Reader] that understands what
// it says. A scenario that makes no sense for a transport is left out only by
// that line, with the reason.
package transporttest
