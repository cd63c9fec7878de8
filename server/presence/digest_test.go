package presence

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"
)

func TestDigestsAreReadAsWritten(t *testing.T) {
	sent := time.Now()
	came := sent.Add(3 * time.Hour) // by a clock that is ahead
	ago := func(d time.Duration) time.Time { return sent.Add(-d) }
	here := func(at time.Time) time.Time { return at.Add(came.Sub(sent)) }
	d := digest{run: "e1", node: "gw1", seq: 300, kind: kindChanges,
		went: []uint64{9, 300}, touched: []touch{{id: 4, away: true, seen: ago(time.Second)}, {id: 5}},
		came: []arrival{
			{id: 1 << 40, user: "ada", transport: "websocket", since: ago(time.Hour)},
			{id: 2, user: "ädä\x00", transport: "poll", since: ago(0), poll: true, touch: touch{id: 2, away: true, seen: ago(0)}},
			{id: 3, user: "", transport: "poll", since: ago(0), poll: true, touch: touch{id: 3}},
		}}
	got, err := parseDigest(d.append(nil, sent), came)
	if err != nil {
		t.Fatal(err)
	}
	want := d
	want.came, want.touched = nil, nil
	for _, a := range d.came {
		a.since = here(a.since)
		if a.touch.away {
			a.touch.seen = here(a.touch.seen)
		}
		want.came = append(want.came, a)
	}
	for _, one := range d.touched {
		if one.away {
			one.seen = here(one.seen)
		}
		want.touched = append(want.touched, one)
	}
	if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
	for _, d := range []digest{
		{kind: kindBeat, seq: 1}, {kind: kindLeave}, {kind: kindWant, to: "e2"}, {kind: kindSnapshot, part: 3, last: true},
		{kind: kindKick, ask: 7, user: "ada"}, {kind: kindAsk, ask: 1 << 50}, {kind: kindKicked, to: "e2", ask: 7, count: 3},
		{kind: kindPlaces, to: "e2", ask: 8, last: true, places: []place{{1, true, 1 << 60}, {2, false, 0}}},
	} {
		d.run, d.node = "e1", "gw1"
		got, err := parseDigest(d.append(nil, sent), came)
		if err != nil || !reflect.DeepEqual(*got, d) {
			t.Errorf("got %+v, %v, want %+v", got, err, d)
		}
	}
}

func FuzzDigest(f *testing.F) {
	now := time.Now()
	for kind := kindChanges; kind <= kindPlaces; kind++ {
		d := digest{kind: kind, run: "e1", node: "gw1", seq: 3, to: "e2", user: "ada", went: []uint64{1}, touched: []touch{{id: 2, away: true, seen: now}},
			came: []arrival{{id: 1, user: "ada", transport: "sse", since: now}}, places: []place{{1, true, 9}}}
		f.Add(d.append(nil, now))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDigest(data, now)
		if err != nil {
			return
		}
		// What was read is written in one way only.
		once := d.append(nil, now)
		again, err := parseDigest(once, now)
		if err != nil || !bytes.Equal(again.append(nil, now), once) {
			t.Errorf("%+v is read back as %+v, %v", d, again, err)
		}
		// And no node stumbles over it.
		NewCluster(ClusterOptions{Registry: New(Options{Run: "here"}), Bus: &MemoryBus{}, Streams: 1}).hear(data)
	})
}

// What a storm costs: each of 10,000 connections that come and go within a second
// at one node, and what another node makes of it.
func BenchmarkStorm(b *testing.B) {
	const storm = 10_000
	here := NewCluster(ClusterOptions{Registry: New(Options{Run: "here"}), Bus: &MemoryBus{}, Streams: 20})
	heard := 0
	there := NewCluster(ClusterOptions{Registry: New(Options{Run: "there"}), Bus: tap{func(data []byte) {
		heard += len(data)
		here.hear(data)
	}}, Streams: 20})
	for b.Loop() {
		var all []*Connection
		for i := range storm {
			all = append(all, there.o.Registry.Connect(fmt.Sprint("user-", i), "websocket"))
			if i%(storm/5) == 0 {
				there.sender.turn(time.Now())
			}
		}
		there.sender.turn(time.Now())
		for _, c := range all {
			c.Close()
		}
		there.sender.turn(time.Now())
	}
	if len(here.users) != 0 {
		b.Errorf("%d users are left", len(here.users))
	}
	b.ReportMetric(float64(heard)/float64(b.N), "bytes/storm")
}

// A tap hands each message on at once.
type tap struct{ to func(data []byte) }

func (tap) Listen(context.Context, func([]byte)) (func(), error) { return func() {}, nil }

func (t tap) Publish(data []byte) error {
	t.to(data)
	return nil
}

// What the connections of other nodes cost a node: 100,000 of as many users.
func TestCostOfOthersConnections(t *testing.T) {
	const many = 100_000
	here := NewCluster(ClusterOptions{Registry: New(Options{Run: "here"}), Bus: &MemoryBus{}, Streams: 20})
	bytes, longest := 0, 0
	there := NewCluster(ClusterOptions{Registry: New(Options{Run: "there"}), Bus: tap{func(data []byte) {
		bytes, longest = bytes+len(data), max(longest, len(data))
		here.hear(data)
	}}, Streams: 20})
	for i := range many {
		there.o.Registry.Connect(fmt.Sprintf("user-%09d", i), "websocket")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	there.sender.turn(time.Now())
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(here.users) != many {
		t.Fatalf("%d users are known", len(here.users))
	}
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many
	t.Logf("%d bytes of memory each, %d on the bus; %s to tell and take all; the longest message has %d bytes", each, bytes/many, took, longest)
	if each > 500 || longest > 640<<10 {
		t.Error("that is too much")
	}
	began = time.Now()
	here.People(Look{Limit: 100})
	t.Logf("%s to list the first 100 of them", time.Since(began))
	there.sender.wanted = true
	there.sender.turn(time.Now().Add(time.Hour))
	runtime.KeepAlive(there)
}
