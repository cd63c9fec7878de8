package transports

import (
	"sync/atomic"

	"tocsin/server/inbox"
)

// sharedSlots bounds what a Shared keeps: the newest entries, which all those read
// who are not far behind.
const sharedSlots = 256

// Shared keeps what a protocol makes of an entry, so that it is made once for all
// of its connections and not once for each. Its zero value is ready; its methods
// may be called by many goroutines at once.
type Shared[T any] struct {
	slots [sharedSlots]atomic.Pointer[sharedSlot[T]]
}

// A sharedSlot has what was made of one body. Bodies in the view's window are the
// same memory for all readers; those that were made for one reader are found by
// nobody else. The pointer keeps the memory from becoming another body's.
type sharedSlot[T any] struct {
	of   *byte
	made T
}

// Of returns what make made of the item, which must not be changed. make may be
// called more than once for an item.
func (s *Shared[T]) Of(i *inbox.Item, make func(*inbox.Item) T) T {
	body := i.Body()
	slot := &s.slots[i.Seq()%sharedSlots]
	if has := slot.Load(); has != nil && has.of == &body[0] {
		return has.made
	}
	made := make(i)
	slot.Store(&sharedSlot[T]{&body[0], made})
	return made
}
