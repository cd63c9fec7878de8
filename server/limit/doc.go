// Package limit bounds what clients may do: how many connections they have, and
// how often they connect, ask and publish; in all, by address and by user
// (docs/limits.md).
//
// A rate is a meter that each action moves ahead of the clock by its share of a
// second. While it is less than five seconds ahead, whatever comes is taken whole,
// a batch of thousands among it, and paid for afterwards: so a batch is never cut
// in two, and the average holds all the same. The libraries at hand refuse what is
// larger than a burst, and keep ten times the memory for a key.
//
// What is kept of addresses and users is bounded: those who owe nothing are
// forgotten, and where that does not do, any. Somebody who is forgotten may do more
// than he should for five seconds, and nobody less.
//
// Rules of use: make one [Limiter] with [New], wrap the listener with
// [Limiter.Listener], give the server [Limiter.ConnContext] and
// [Limiter.ConnState], ask [Limiter.Arrived] about each request first, and
// [Limiter.Admit] about what it is for. All methods may be called by many
// goroutines at once. The package imports the standard library only.
package limit
