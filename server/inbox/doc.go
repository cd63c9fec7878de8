// Package inbox is Tocsin's core: one log, replayed into memory, read by cursors.
//
// Everything that happens is one append to a [Log]. A [View] follows the log and
// keeps the newest entry of every subject, a window of the newest entries and,
// for each [Audience], what its readers may see. A client is a [Cursor] that
// pulls: [View.Open] gives a [Reader], and [Reader.Next] returns what follows.
//
// Rules of use: a View has one goroutine in [View.Run]; all its other methods,
// and all methods of a Log, may be called by many goroutines at once. A Reader
// belongs to one goroutine at a time. The package imports the standard library
// only, and knows neither transports nor what an alarm means.
package inbox
