// Package filestore looks into the files in which the engine keeps its streams, while
// no engine runs: whether every message is whole, whether some are missing, and what
// is left when the damaged ones are taken out.
//
// The engine itself drops what it finds damaged, and with it everything that follows
// in the same file, and says no more than a warning. So its files are looked through
// before it gets to see them (docs/safety.md).
//
// Rules of use: whoever calls holds the lock of the directory. [Examine] changes
// nothing; [Mend] moves what it takes out aside, and deletes nothing. Both belong to
// one goroutine.
package filestore
