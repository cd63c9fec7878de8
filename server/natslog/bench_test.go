package natslog_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// benchBatch is how many proposals one Append of a benchmark carries.
const benchBatch = 500

// fill appends n entries of 350 bytes, each to a subject of its own.
func fill(tb testing.TB, l *natslog.Log, prefix string, n int) {
	tb.Helper()
	data := make([]byte, 350)
	for from := 0; from < n; from += benchBatch {
		batch := make([]inbox.Proposal, min(benchBatch, n-from))
		for i := range batch {
			id := fmt.Sprintf("%s-%d", prefix, from+i)
			batch[i] = inbox.Proposal{Subject: inbox.AlarmSubject(id, "bench", ""), ID: id, Data: data}
		}
		for _, r := range l.Append(tb.Context(), batch...) {
			if r.Err != nil {
				tb.Fatal(r.Err)
			}
		}
	}
}

// BenchmarkAppend appends under compare-and-set, with ids, in batches from four
// goroutines, while one reader follows.
func BenchmarkAppend(b *testing.B) {
	l := open(b, natslog.Options{Dir: b.TempDir()})
	var followed atomic.Int64
	go l.Scan(b.Context(), inbox.Scan{Follow: true}, func(inbox.Message) error { // ends with the benchmark's context
		followed.Add(1)
		return nil
	})
	b.ReportAllocs()
	b.ResetTimer()
	const writers = 4
	done := make(chan struct{})
	for w := range writers {
		go func() { // ends after its share
			fill(b, l, fmt.Sprint("w", w), (b.N+writers-1)/writers)
			done <- struct{}{}
		}()
	}
	for range writers {
		<-done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(followed.Load())/float64(b.N), "followed/append")
}

// BenchmarkLoad reads the newest entry of 100,000 subjects, as a node does when
// it starts.
func BenchmarkLoad(b *testing.B) {
	const subjects = 100_000
	l := open(b, natslog.Options{Dir: b.TempDir()})
	fill(b, l, "load", subjects)
	for _, newest := range []bool{true, false} {
		b.Run(fmt.Sprintf("newest=%v", newest), func(b *testing.B) {
			n := 0
			for b.Loop() {
				if err := l.Scan(b.Context(), inbox.Scan{Newest: newest}, func(inbox.Message) error { n++; return nil }); err != nil {
					b.Fatal(err)
				}
			}
			if n != subjects*b.N {
				b.Fatalf("read %d messages of %d", n, subjects*b.N)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkAppendOne is the time from one proposal to its receipt.
func BenchmarkAppendOne(b *testing.B) {
	l := open(b, natslog.Options{Dir: b.TempDir()})
	data, expect := make([]byte, 350), uint64(0)
	for n := 0; b.Loop(); n++ {
		r := l.Append(b.Context(), inbox.Proposal{Subject: "alarm.one.bench._", ID: fmt.Sprint(n), Expect: expect, Data: data})[0]
		if r.Err != nil {
			b.Fatal(r.Err)
		}
		expect = r.Seq
	}
}
