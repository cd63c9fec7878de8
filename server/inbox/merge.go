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
