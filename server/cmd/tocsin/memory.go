package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The runtime gives memory back slowly: after ten thousand clients have come or
// gone it would keep for minutes what their handshakes took. A node that has
// come to rest gives it back at once.

const (
	// trimCheck is how often a node looks whether it has come to rest.
	trimCheck = 2 * time.Second
	// trimLeast is what must be gained, besides a quarter of what is in use.
	trimLeast = 16 << 20
	// trimQuiet is how much may be allocated between two looks of one at rest.
	trimQuiet = 8 << 20
)

// An appraisal is what the runtime says of its memory, in bytes.
type appraisal struct {
	allocated uint64 // ever
	live      uint64 // after the last collection
	held      uint64 // from the system: in use, garbage and kept
}

func appraise() appraisal {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	at := func(i int) uint64 { return samples[i].Value.Uint64() }
	return appraisal{allocated: at(0), live: at(1), held: at(2) + at(3) + at(4)}
}

// worth says whether it is worth a collection to give memory back, now that the
// node has come to rest.
func (a appraisal) worth(before appraisal) bool {
	return a.allocated-before.allocated < trimQuiet && a.held > a.live+a.live/4+trimLeast
}

// trim gives memory back to the system whenever the node comes to rest, until the
// context ends. A collection that gained little is not repeated until much has
// been allocated since.
func trim(ctx context.Context) {
	tick := time.NewTicker(trimCheck)
	defer tick.Stop()
	last := appraise()
	var trimmed uint64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := appraise()
		if now.worth(last) && now.allocated-trimmed > trimLeast {
			debug.FreeOSMemory()
			trimmed = now.allocated
		}
		last = now
	}
}
