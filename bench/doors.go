package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A door is one way for alarms into the server.
type door struct {
	name  string
	conns int // that publish at once
	open  func(ctx context.Context, s *server, mqtt string) (sender, error)
}

// A sender is one connection of a door. It publishes alarms that nobody published
// before, as it names them, until the time is over and all that it has sent has
// been answered, and says how many were.
type sender interface {
	send(ctx context.Context, names namer, until time.Time) (alarms int, err error)
	close()
}

// Alarms in one message, where a door takes several. 200 fill most of the 64 KiB
// that a message of a WebSocket may have.
const (
	doorBatch   = 500
	doorMessage = 200
	doorAlerts  = 100
)

// doors are measured in this order.
var doors = []door{
	{fmt.Sprintf("native, batches of %d", doorBatch), storeWriters, openNative(doorBatch)},
	{"lines, one upload without end", storeWriters, openUpload},
	{fmt.Sprintf("CloudEvents, batches of %d", doorBatch), storeWriters, openCloudEvents},
	{fmt.Sprintf("Alertmanager, notifications of %d", doorAlerts), storeWriters, openAlertmanager},
	{fmt.Sprintf("publisher's WebSocket, messages of %d", doorMessage), storeWriters, openSocket},
	{fmt.Sprintf("MQTT, quality 1, %d in flight", mqttFlight), storeWriters, openMQTT},
	{"native, one alarm a request", singleConnections, openNative(1)},
}

// measureDoors publishes through each door as fast as it takes it. The time ends
// when a reader's counters have every alarm, which matters where the answer says
// less than that: MQTT's says that the message is kept.
func measureDoors(ctx context.Context, b *bench) error {
	for _, d := range doors {
		if err := b.through(ctx, d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

func (b *bench) through(ctx context.Context, d door) error {
	mqtt, err := freeAddress()
	if err != nil {
		return err
	}
	s, err := b.startServer(ctx, -1, "--mqtt", mqtt)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	senders := make([]sender, d.conns)
	for i := range senders {
		if senders[i], err = d.open(ctx, s, mqtt); err != nil {
			return err
		}
		defer senders[i].close()
	}
	var answered, readable, used []float64
	published := 0
	for round := range pick(b, 2, 4) {
		one, err := oneDoor(ctx, s, senders, round, published, pick(b, 100*time.Millisecond, 2*time.Second))
		if err != nil {
			return err
		}
		published += one.alarms
		if round > 0 { // the first warms up
			n := float64(one.alarms)
			answered = append(answered, n/one.answered.Seconds())
			readable = append(readable, n/one.readable.Seconds())
			used = append(used, one.used.Seconds()*1e6/n)
		}
	}
	b.add(d.name+": answered", "alarms/s", answered...)
	b.add(d.name+": stored and counted", "alarms/s", readable...)
	b.add(d.name+": server, an alarm", "µs", used...)
	return nil
}

// A passage is what came through a door in one round.
type passage struct {
	alarms                   int
	answered, readable, used time.Duration
}

func oneDoor(ctx context.Context, s *server, senders []sender, round, before int, span time.Duration) (o passage, err error) {
	cpu, err := s.cpu()
	if err != nil {
		return o, err
	}
	var all sync.WaitGroup
	sent, errs := make([]int, len(senders)), make([]error, len(senders))
	begin := time.Now()
	for i, c := range senders {
		// Ends when the time is over and all is answered, or with the first error.
		all.Go(func() {
			sent[i], errs[i] = c.send(ctx, namer{of: fmt.Sprintf("door-%d-%d", round, i)}, begin.Add(span))
		})
	}
	all.Wait()
	o.answered = time.Since(begin)
	for _, n := range sent {
		o.alarms += n
	}
	if err := errors.Join(errs...); err != nil {
		return o, err
	}
	err = s.awaitOpen(ctx, before+o.alarms)
	o.readable = time.Since(begin)
	used, failed := s.cpu()
	o.used = used - cpu
	return o, errors.Join(err, failed)
}

// awaitOpen waits until so many alarms are open. Unlike verify it leaves the
// server time to get there.
func (s *server) awaitOpen(ctx context.Context, want int) error {
	for end := time.Now().Add(requestTimeout); ; time.Sleep(5 * time.Millisecond) {
		open, err := s.open(ctx)
		if err != nil || open == want {
			return err
		}
		if open > want || time.Now().After(end) {
			return fmt.Errorf("%d alarms are open of %d published", open, want)
		}
	}
}

// A namer names devices, no two alike.
type namer struct {
	of string
	n  int
}

func (n *namer) next() string {
	n.n++
	return fmt.Sprintf("%s-%d", n.of, n.n)
}

// alarmOf writes an alarm of a device's own.
func alarmOf(b []byte, device string) []byte {
	return fmt.Appendf(b, `{"id":"%s","device":"%s","type":"overspeed","severity":"major","message":"92 km/h in an 80 km/h zone","attrs":{"speed_kmh":"92"}}`,
		device, device)
}
