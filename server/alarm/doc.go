// Package alarm is the alarm model: what a device's report does to the alarm it
// names, and what a user's command does.
//
// An [Engine] decides against the newest entry of the alarm's subject and
// appends what comes of it, once, under compare-and-set; the loser of a race
// reads the log's leader and decides again (docs/architecture.md). All methods
// of an Engine may be called by many goroutines at once.
package alarm
