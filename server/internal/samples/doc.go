// Package samples makes up alarms for demonstrations: a small fleet, a wind park,
// a mobile network and a room of servers, with the people who look after them.
//
// Everything in it is invented. The trackers have IMEIs of the range that is
// reserved for tests. What comes is settled by the seed alone.
//
// Rules of use: give [Directory] to the directory first, then publish what
// [Source.Next] returns, each after its pause. A Source belongs to one goroutine.
package samples
