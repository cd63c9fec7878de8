package inbox

// A merge walks several slices that each rise by the key in one rising order. It
// is a heap of the slices, by their first element.
type merge[T any] struct {
	key  func(T) uint64
	runs [][]T
}

func (m *merge[T]) add(run []T) {
	if len(run) == 0 {
		return
	}
	m.runs = append(m.runs, run)
	for i := len(m.runs) - 1; i > 0; {
		up := (i - 1) / 2
		if m.first(up) <= m.first(i) {
			break
		}
		m.runs[up], m.runs[i] = m.runs[i], m.runs[up]
		i = up
	}
}

func (m *merge[T]) first(i int) uint64 { return m.key(m.runs[i][0]) }

// next returns the lowest element; ok is false at the end.
func (m *merge[T]) next() (t T, ok bool) {
	if len(m.runs) == 0 {
		return t, false
	}
	t = m.runs[0][0]
	if m.runs[0] = m.runs[0][1:]; len(m.runs[0]) == 0 {
		last := len(m.runs) - 1
		m.runs[0] = m.runs[last]
		m.runs = m.runs[:last]
	}
	for i := 0; ; {
		low := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(m.runs); c++ {
			if m.first(c) < m.first(low) {
				low = c
			}
		}
		if low == i {
			return t, true
		}
		m.runs[i], m.runs[low] = m.runs[low], m.runs[i]
		i = low
	}
}

// A run is the rest of an order: of one chunk, and the chunks after it. At its end
// the chunk is nil.
type run struct {
	chunk []place
	rest  [][]place
}

func (r *run) skip() {
	if r.chunk = r.chunk[1:]; len(r.chunk) > 0 {
		return
	}
	if r.chunk = nil; len(r.rest) > 0 {
		r.chunk, r.rest = r.rest[0], r.rest[1:]
	}
}

// A runHeap merges runs: it has the one with the first place on top.
type runHeap []run

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return comparePlaces(h[i].chunk[0], h[j].chunk[0]) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(run)) }
func (h *runHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	*h = (*h)[:last]
	return r
}
