package transports

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// Limits are the numbers of delivery. Zero values are the defaults given here.
type Limits struct {
	// Ping is how long a stream may be silent before it says so, ± 10 %; 0 is
	// 20 s. Clients take a stream for dead after 45 s.
	Ping time.Duration
	// Rotate is how long a stream lives, ± 20 %, so that connections spread over
	// the nodes again; 0 is 10 min, negative is for ever.
	Rotate time.Duration
	// WriteTimeout is how long a client may take to accept one flush; 0 is 5 s.
	WriteTimeout time.Duration
	// FlushEntries and FlushBytes bound what a stream writes at once; 0 is 100
	// entries and 64 KiB. A single larger entry goes alone.
	FlushEntries, FlushBytes int
	// PageBytes bounds the entries of one page, beside the number that the client
	// asked for; 0 is 1 MiB. A single larger entry goes alone.
	PageBytes int
	// Retry is about how long a client waits before it connects again; 0 is 2 s.
	// What clients are told is spread around it, so that they do not all come back
	// at once.
	Retry time.Duration
}

// WithDefaults fills in the zero values.
func (l Limits) WithDefaults() Limits {
	l.Ping = cmp.Or(l.Ping, 20*time.Second)
	l.Rotate = cmp.Or(l.Rotate, 10*time.Minute)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 5*time.Second)
	l.FlushEntries = cmp.Or(l.FlushEntries, 100)
	l.FlushBytes = cmp.Or(l.FlushBytes, 64<<10)
	l.PageBytes = cmp.Or(l.PageBytes, 1<<20)
	l.Retry = cmp.Or(l.Retry, 2*time.Second)
	return l
}

// RetryHint is a time to tell a client that may have to connect again some day:
// Retry ± 50 %.
func (l Limits) RetryHint() time.Duration { return around(l.Retry, 0.5) }

// around spreads d evenly over d ± part of it.
func around(d time.Duration, part float64) time.Duration {
	return time.Duration(float64(d) * (1 + part*(2*rand.Float64()-1)))
}
