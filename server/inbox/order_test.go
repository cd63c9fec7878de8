package inbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOrderEqualsASortedSlice fills and empties an order at random, in waves.
func TestOrderEqualsASortedSlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var o order
	var want []place
	records := make([]*record, 3000)
	for i := range records {
		records[i] = &record{subject: fmt.Sprint(i)}
	}
	check := func() {
		t.Helper()
		got := slices.Concat(o.chunks...)
		if !slices.Equal(got, want) {
			t.Fatalf("%d places, want %d, or in another order", len(got), len(want))
		}
		total := 0
		for _, c := range o.chunks {
			if len(c) == 0 || len(c) > chunkPlaces {
				t.Fatalf("a chunk of %d", len(c))
			}
		}
		for _, n := range o.counts {
			total += int(n)
		}
		if total != len(want) {
			t.Fatalf("%d are counted, want %d", total, len(want))
		}
	}
	for i := range 60_000 {
		filling := i/10_000%2 == 0
		if len(want) > 0 && rng.IntN(10) < map[bool]int{true: 3, false: 7}[filling] {
			at := rng.IntN(len(want))
			o.remove(want[at])
			want = slices.Delete(want, at, at+1)
		} else {
			p := place{key: uint64(1+rng.IntN(20))<<rankShift | uint64(rng.IntN(500)), rec: records[rng.IntN(len(records))]}
			at, twice := slices.BinarySearchFunc(want, p, comparePlaces)
			if twice {
				continue
			}
			o.insert(p)
			want = slices.Insert(want, at, p)
		}
		if i%1000 == 0 {
			check()
		}
	}
	check()
	if most := 4*len(want)/chunkPlaces + 8; len(o.chunks) > most {
		t.Errorf("%d places are in %d chunks, more than %d", len(want), len(o.chunks), most)
	}
	o.remove(place{1, records[0]}) // is not there
	shuffled := slices.Clone(want)
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	o.build(shuffled)
	check()
	for _, p := range slices.Clone(want) {
		o.remove(p)
	}
	if want = nil; len(o.chunks) != 0 {
		t.Errorf("%d chunks of nothing", len(o.chunks))
	}
	check()
}

// TestNewAlarmsLeaveChunksMoreThanHalfFull: new alarms come to the same places, each before the
// ones that were there.
func TestNewAlarmsLeaveChunksMoreThanHalfFull(t *testing.T) {
	var o order
	const alarms = 10_000
	for i := range alarms {
		o.insert(place{uint64(1+i%3)<<rankShift | uint64(alarms-i), &record{subject: fmt.Sprint(i)}})
	}
	if most := alarms/chunkPlaces*7/4 + 3; len(o.chunks) > most {
		t.Errorf("%d alarms are in %d chunks, more than %d", alarms, len(o.chunks), most)
	}
}
