// Package explain answers why somebody got an alarm, or did not, and whom it has
// reached. It decides nothing: it looks at what the directory, the view and the
// evidence of deliveries say, in the order in which an alarm goes its way, and puts
// that into words (docs/protocol.md §9).
//
// Rules of use: an [Explainer]'s methods may be called by many goroutines at once.
// Who may ask what is the caller's to decide, but for [Question.Self].
package explain
