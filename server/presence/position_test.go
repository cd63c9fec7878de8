package presence

import (
	"slices"
	"testing"

	"tocsin/server/inbox"
)

func TestAPositionCoversWhatWasDeliveredAndNoMore(t *testing.T) {
	crew, night := []string{"crew"}, []string{"crew", "night"}
	plain := func(from, to uint64) inbox.Reach { return inbox.Reach{From: from, To: to, Groups: crew} }
	tests := map[string]struct {
		reaches []inbox.Reach
		has     []target
		hasNot  []target
	}{
		"nothing yet": {nil, nil, []target{{seq: 1}}},
		"a stream from the end": {
			[]inbox.Reach{plain(10, 10), plain(10, 12), plain(12, 15)},
			[]target{{seq: 11}, {seq: 15}}, []target{{seq: 10}, {seq: 16}}},
		"a snapshot in two parts, then what follows": {
			[]inbox.Reach{{From: 0, To: 0, Snapshot: true, Partial: true, Groups: crew}, {From: 20, To: 20, Snapshot: true, Groups: crew}, plain(20, 22)},
			[]target{{seq: 5}, {seq: 5, over: 21}, {seq: 21}, {seq: 22, over: 30}},
			[]target{{seq: 5, over: 19}, {seq: 20, over: 20}, {seq: 23}}},
		"half a snapshot": {
			[]inbox.Reach{{From: 0, To: 0, Snapshot: true, Partial: true, Groups: crew}}, nil, []target{{seq: 5}}},
		"a catch-up counts when it is complete": {
			[]inbox.Reach{{From: 5, To: 5, Partial: true, Groups: crew}, {From: 9, To: 9, Partial: true, Groups: crew}, plain(13, 20)},
			[]target{{seq: 6}, {seq: 20}}, []target{{seq: 5}, {seq: 21}}},
		"half a catch-up": {
			[]inbox.Reach{plain(5, 7), {From: 7, To: 7, Partial: true, Groups: crew}, {From: 9, To: 9, Partial: true, Groups: crew}},
			[]target{{seq: 6}, {seq: 7}}, []target{{seq: 8}, {seq: 9}}},
		"pollers leave a hole": {
			[]inbox.Reach{plain(5, 7), plain(10, 12)}, []target{{seq: 11}}, []target{{seq: 6}, {seq: 9}}},
		"a second poller, further behind, catches up": {
			[]inbox.Reach{plain(10, 12), plain(5, 8), plain(8, 11)}, []target{{seq: 9}, {seq: 12}}, []target{{seq: 8}, {seq: 13}}},
		"other groups begin anew": {
			[]inbox.Reach{plain(5, 9), {From: 12, To: 12, Snapshot: true, Groups: night}},
			[]target{{seq: 8}, {seq: 12}}, []target{{seq: 8, over: 11}, {seq: 13}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var p position
			for _, r := range test.reaches {
				p.add(r)
			}
			at, b := p.load()
			if b == nil {
				b = &base{from: at}
			}
			s := stretch{b.from, b.snapshot, at}
			for _, want := range test.has {
				if !s.has(want) {
					t.Errorf("%+v lacks %+v", s, want)
				}
			}
			for _, not := range test.hasNot {
				if s.has(not) {
					t.Errorf("%+v has %+v", s, not)
				}
			}
		})
	}
	var p position
	p.add(plain(1, 1))
	p.add(inbox.Reach{From: 9, To: 9, Snapshot: true, Groups: night})
	if _, b := p.load(); !slices.Equal(b.groups, night) {
		t.Errorf("the groups are %v", b.groups)
	}
}

func TestAMoveCostsNoMemory(t *testing.T) {
	s := New(Options{}).Connect("ada", "sse").Subscribe()
	r := inbox.Reach{Groups: []string{"crew"}}
	s.Reached(r)
	if n := testing.AllocsPerRun(1000, func() {
		r.From, r.To = r.To, r.To+1
		s.Reached(r)
	}); n != 0 {
		t.Errorf("%v allocations a delivery", n)
	}
}
