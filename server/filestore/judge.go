package filestore

import (
	"cmp"
	"slices"
)

// judge sets what is wrong within the stream apart from what is wrong at its end, once
// all of it was read.
func (x *examiner) judge() {
	for x.isLog && x.First > 0 && x.First < x.Last && x.gone[x.First] {
		x.First++ // purged, but for the file
	}
	var known []Range
	if x.isLog && x.o.Known != nil {
		known = x.o.Known()
	}
	for _, h := range x.holes {
		if h.Before == 0 {
			continue // nothing follows
		}
		missing := without(x.missing(h), known)
		x.Missing = append(x.Missing, missing...)
		// Missing messages without a damaged span are a fault of their own.
		if len(missing) > 0 && !slices.ContainsFunc(x.Faults, func(f Fault) bool { return f.After == h.After && f.Before == h.Before }) {
			x.Faults = append(x.Faults, h)
		}
	}
	slices.SortStableFunc(x.Faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.block, b.block), cmp.Compare(a.Offset, b.Offset))
	})
	for i := range x.Faults {
		if f := x.Faults[i]; x.isEnd(f) {
			x.endAt(&f)
			x.Faults = x.Faults[:i]
			return
		}
	}
}

// missing are the sequences between the messages around a hole that no record says
// are deleted.
func (x *examiner) missing(h Fault) (list []Range) {
	switch {
	case x.gone[h.Before]:
		return nil // purges go from the beginning, and came further than here
	case h.After == 0 && h.Before > 1:
		// What stood before the first whole message may have been purged, or not.
		return []Range{{h.Before - 1, h.Before - 1}}
	case h.After == 0:
		return nil
	}
	for seq := h.After + 1; seq < h.Before; seq++ {
		switch n := len(list); {
		case x.gone[seq]:
		case n > 0 && list[n-1].Last == seq-1:
			list[n-1].Last = seq
		default:
			list = append(list, Range{seq, seq})
		}
	}
	return list
}

// without leaves out the ranges that lie in known ones.
func without(list, known []Range) []Range {
	return slices.DeleteFunc(list, func(r Range) bool {
		return slices.ContainsFunc(known, func(k Range) bool { return k.First <= r.First && r.Last <= k.Last })
	})
}

// isEnd says whether a fault is where a power failure may have cut the stream.
func (x *examiner) isEnd(f Fault) bool {
	if f.Before == 0 {
		return true
	}
	since := x.LastTime.Sub(f.Time)
	return f.After > 0 && x.o.Recent > 0 && since >= 0 && since <= x.o.Recent
}

// endAt has the stream end before the fault.
func (x *examiner) endAt(f *Fault) {
	x.End = f
	if f.Before > 0 {
		x.Beyond = x.Last - f.Before + 1
		x.Messages -= min(x.Messages, x.Beyond)
	}
	x.Last, x.LastTime = f.After, f.Time
	x.Missing = slices.DeleteFunc(x.Missing, func(r Range) bool { return r.First > f.After })
}
