// Package topics broadcasts: what is published to a topic reaches whoever listens
// to it at that moment, on every node (docs/compat/stomp.md).
//
// A message is an entry of the log like any other, under the subject topic.<name>,
// so all nodes hear of it in one order. It belongs to no inbox and no counter, and
// nobody gets it later: who was away has missed it.
//
// Rules of use: the methods of [Topics] may be called by many goroutines at once.
// [Topics.Heard] and [Topics.Missed] are for the view, which they never keep
// waiting; Run, which is called once, tells the listeners.
package topics
