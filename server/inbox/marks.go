package inbox

import "context"

// MaxReadIDs is how many alarms and notices a user may have read one by one
// above his mark.
const MaxReadIDs = 1000

// A Mark is what a user has read: everything announced up to Upto, and what
// Read names. It only rises.
type Mark struct {
	// Rev rises by one with each change.
	Rev uint64 `json:"rev"`
	// Epoch names the stretch of the log that Upto lies in, as in a Cursor.
	Epoch string `json:"epoch"`
	Upto  uint64 `json:"upto"`
	// Read gives, for a subject read by itself, the Announced that was read. It
	// is never changed in place.
	Read map[string]uint64 `json:"read,omitempty"`
}

// Marks keeps the read marks of all users. Its methods may be called by many
// goroutines at once. Errors are those of a Log.
type Marks interface {
	// Update replaces the user's mark by what change makes of the newest one
	// (the zero Mark where there is none), under compare-and-set: change is
	// called again when another writer was first. An error of change is returned
	// as it is and nothing is stored.
	Update(ctx context.Context, user string, change func(Mark) (Mark, error)) (Mark, error)
	// Watch calls each with every mark there is, then with every change, from
	// one goroutine, until the context ends. present is called once when all
	// that there was has been given.
	Watch(ctx context.Context, present func(), each func(user string, m Mark)) error
}
