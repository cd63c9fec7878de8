// Package audit keeps who did what, when and from where: commands to alarms, changes
// of the directory, revocations, kicks and backups. What devices report is not in it,
// so that publishing costs nothing.
//
// Rules of use: one [Trail] for a process, over a [Feed] that all nodes share; Run
// goes on while anything is noted. The trail tells what was done, and what was refused
// is in the server's log. A record that cannot be stored is in that log, too, at the
// level of errors, and what it is about is done all the same: an operator who cannot
// silence an alarm because a disk is full is worse off.
package audit
