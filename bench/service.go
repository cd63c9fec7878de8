package main

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// A service is what the load runs against: Tocsin, the floor, or a peer. All get
// the same messages over as many connections.
type service interface {
	measured
	readable
	writable
}

// A measured is a process that can be asked what it uses.
type measured interface {
	cpu() (time.Duration, error)
	memory() (int, error) // resident, in bytes
	stop() error
}

// A readable lets readers connect.
type readable interface {
	// where the next one connects, host:port.
	where() string
	// opening is what reader n of a group says to be connected.
	opening(kind transport, n int, group, cursor string) ([]byte, error)
	// arrive waits until n readers are there who are not greeted.
	arrive(ctx context.Context, n int) error
}

// A writable takes messages over HTTP.
type writable interface {
	// publishAt is where the next publisher connects, host:port.
	publishAt() string
	// post appends the request that publishes a message to a group. The name is one
	// that was not used before.
	post(b []byte, group, name, message string) []byte
	// posted says whether the answer means that it was accepted.
	posted(status int, body []byte) error
}

// A divisible has groups, which are made before anything is published to them.
type divisible interface {
	divide(ctx context.Context, groups int) error
}

// A verifiable counts what it has stored.
type verifiable interface {
	verify(ctx context.Context, published int) error
}

// A starter starts a service on a core, or on any with -1.
type starter func(ctx context.Context, core int) (service, error)

// A stage is a service and the readers' thread. With two cores or more the service
// has the first for itself and the load the second.
type stage struct {
	service
	r     *readers
	leave func()
}

func (b *bench) stage(ctx context.Context, start starter) (*stage, error) {
	serverCore, loadCore := -1, -1
	if runtime.NumCPU() > 1 {
		serverCore, loadCore = 0, 1
	}
	s, err := start(ctx, serverCore)
	if err != nil {
		return nil, err
	}
	restore := func() {}
	if loadCore >= 0 {
		restore, err = moveTo(loadCore)
	}
	var r *readers
	if err == nil {
		r, err = newReaders(loadCore)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return &stage{service: s, r: r, leave: func() {
		_ = r.close()
		restore()
		_ = s.stop()
	}}, nil
}

// on runs a measurement on a stage of its own.
func (b *bench) on(ctx context.Context, start starter, measure func(*stage) error) error {
	g, err := b.stage(ctx, start)
	if err != nil {
		return err
	}
	defer g.leave()
	return measure(g)
}

// settle is how long a service may give back what it does not need any more.
func (b *bench) settle() { time.Sleep(pick(b, 100*time.Millisecond, 3*time.Second)) }
