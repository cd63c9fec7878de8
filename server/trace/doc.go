// Package trace tells what happens to one user, while it happens, to whoever asks for
// it: what he connects with, what is delivered to him, refused and done in his name, at
// whichever node.
//
// Rules of use: who has something to tell asks Wanted first, which is one atomic load,
// and tells nothing while nobody follows anybody. A Line must hold no secret: no token,
// ticket or cookie, and URLs as they are logged. Nothing is kept, and nobody is waited
// for: a follower who is slow misses lines, and is told how many.
package trace
