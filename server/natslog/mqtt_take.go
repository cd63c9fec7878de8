package natslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// MQTTMessage is one message that a client published.
type MQTTMessage struct {
	// ID names the message, also when it comes again; it is of
	// [A-Za-z0-9.] and at most 48 characters.
	ID      string
	Topic   string
	Payload []byte
	At      time.Time // when it came
}

// MQTTTake takes messages, in the order in which they came. nil says that they
// are done with; after an error those of quality of service 1 and 2 come again,
// the same ones first. It is called by two goroutines, one for quality 0.
type MQTTTake func(ctx context.Context, messages []MQTTMessage) error

const (
	// mqttBatch and mqttBatchBytes bound what is given at once.
	mqttBatch      = 512
	mqttBatchBytes = 4 << 20
	// mqttBuffer is how many messages of quality 0 may wait; more are dropped.
	mqttBuffer = 8192
	// mqttRetry is the pause before messages come again.
	mqttRetry = 500 * time.Millisecond
)

// Names that are the engine's own (nats-server, mqtt.go).
const (
	mqttStream      = "$MQTT_msgs"
	mqttStreamTopic = "$MQTT.msgs."
	mqttQoSHeader   = "Nmqtt-Pub"
)

// mqttStreams are what the engine keeps of MQTT, each bounded: together they stay
// far below the usual reserve. The engine makes those that it does not find,
// without bounds. What has been acknowledged is in $MQTT_msgs until it was taken;
// for the engine alone it would have gone at once, since nobody may subscribe.
var mqttStreams = []jetstream.StreamConfig{
	{Name: mqttStream, Subjects: []string{mqttStreamTopic + ">"}, Discard: jetstream.DiscardNew, MaxBytes: 128 << 20},
	{Name: "$MQTT_qos2in", Subjects: []string{"$MQTT.qos2.in.>"}, Discard: jetstream.DiscardNew, MaxBytes: 32 << 20,
		MaxMsgsPerSubject: 1, DiscardNewPerSubject: true},
	{Name: "$MQTT_sess", Subjects: []string{"$MQTT.sess.>"}, MaxBytes: 32 << 20, MaxMsgsPerSubject: 1},
	{Name: "$MQTT_rmsgs", Subjects: []string{"$MQTT.rmsgs.>"}, MaxBytes: 4 << 20, MaxMsgsPerSubject: 1},
	{Name: "$MQTT_out", Subjects: []string{"$MQTT.out.>"}, MaxBytes: 1 << 20, Retention: jetstream.InterestPolicy},
}

// mqttDoor is what takes the messages over from the engine.
type mqttDoor struct {
	log    *Log
	nc     *nats.Conn // in the account of the clients
	js     jetstream.JetStream
	stream jetstream.Stream
	born   string // tells this stream's ids from those of one before it
}

// openMQTT makes the account and the streams of MQTT. Until then nobody gets in. A node
// of a cluster keeps what its clients publish to itself until it is in the log, in an
// engine of its own: a client is answered whether or not the others are there.
func (l *Log) openMQTT(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	l.broker = l.engine
	var err error
	if l.opts.Cluster != nil {
		own := l.opts
		own.Cluster, own.Dir = nil, filepath.Join(l.opts.Dir, "mqtt")
		if l.broker, err = startEngine(ctx, own); err != nil {
			return err
		}
	}
	account, _ := l.broker.server.LookupOrRegisterAccount(mqttAccount)
	err = account.EnableJetStream(nil, nil)
	if err != nil {
		return fmt.Errorf("give the account streams: %w", err)
	}
	l.broker.guard.account.Store(account)
	full := l.Full
	l.broker.guard.full.Store(&full)
	m := &mqttDoor{log: l}
	connect := append(l.broker.connect(userMQTT), nats.Name("tocsin mqtt"), nats.MaxReconnects(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			l.opts.Logger.Warn("messages of MQTT", "error", err)
		}))
	if m.nc, err = nats.Connect("", connect...); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	l.mqtt = m
	if m.js, err = jetstream.New(m.nc, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		return fmt.Errorf("speak JetStream: %w", err)
	}
	for _, c := range mqttStreams {
		c.Storage, c.Replicas = jetstream.FileStorage, 1
		stream, err := m.js.CreateOrUpdateStream(ctx, c)
		if err != nil {
			return fmt.Errorf("make the stream %s: %w", c.Name, err)
		}
		if c.Name == mqttStream {
			m.stream = stream
		}
	}
	m.born = strconv.FormatInt(m.stream.CachedInfo().Created.UnixMicro(), 36)
	if l.opts.Cluster != nil { // whose nodes may have been made in the same moment
		m.born += strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(l.opts.Cluster.Node))), 36)
	}
	return nil
}

// ServeMQTT lets clients in whom judge knows, and gives take what they publish to
// alarms/…, until the context ends, whose error it returns, or the log is closed.
// It may run once at a time.
//
// What was published with quality of service 1 or 2 is stored before the client
// is told so, and is given until take has taken it, also after a restart. What
// came with quality 0 is given once, from memory.
//
// Below the reserve of free space connections end and none is let in; what is
// stored already waits.
func (l *Log) ServeMQTT(ctx context.Context, judge MQTTAuthenticate, take MQTTTake) error {
	if l.mqtt == nil {
		return errors.New("serve MQTT: the log was opened without an address")
	}
	guard := l.broker.guard
	guard.serve(judge)
	defer guard.serve(nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	// All end with the context, or with the log.
	all.Go(func() { l.mqtt.stored(ctx, take) })
	all.Go(func() { l.mqtt.passing(ctx, take) })
	all.Go(func() {
		for l.pause(ctx, mqttSweep) {
			guard.sweep(l.broker.server, l.Full())
		}
	})
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable("serve MQTT", errClosed)
}

// stored gives what is in the stream, from its beginning, and removes it when it
// was taken: what is there is what is left to do.
func (m *mqttDoor) stored(ctx context.Context, take MQTTTake) {
	for {
		err := m.session(ctx, take)
		if ctx.Err() != nil {
			return
		}
		m.log.opts.Logger.Warn("messages of MQTT: begin again with what was not taken", "error", err)
		if !m.log.pause(ctx, mqttRetry) {
			return
		}
	}
}

func (m *mqttDoor) session(ctx context.Context, take MQTTTake) error {
	create, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	consumer, err := m.js.OrderedConsumer(create, mqttStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: consumerLinger, MaxResetAttempts: 1,
	})
	if err != nil {
		return fmt.Errorf("create a consumer: %w", err)
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(2*mqttBatch, pullBytes), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("read from a consumer: %w", err)
	}
	defer messages.Stop()
	for {
		batch, last, err := m.gather(ctx, messages)
		if err != nil {
			return err
		}
		for take(ctx, batch) != nil {
			if !m.log.pause(ctx, mqttRetry) {
				return errors.Join(ctx.Err(), errClosed)
			}
		}
		// What is removed late comes again after a kill, with the same ids.
		purge, cancel := context.WithTimeout(ctx, purgeTimeout)
		err = m.stream.Purge(purge, jetstream.WithPurgeSequence(last+1))
		cancel()
		if err != nil {
			return fmt.Errorf("remove what was taken: %w", err)
		}
	}
}

// gather waits for a message, and takes with it those behind it that are there.
func (m *mqttDoor) gather(ctx context.Context, messages jetstream.MessagesContext) (batch []MQTTMessage, last uint64, err error) {
	for size := 0; ; {
		next, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, 0, fmt.Errorf("read the next message: %w", err)
		}
		meta, err := next.Metadata()
		if err != nil {
			return nil, 0, fmt.Errorf("read a message's sequence: %w", err)
		}
		last = meta.Sequence.Stream
		batch = append(batch, MQTTMessage{
			ID:    m.born + "." + strconv.FormatUint(last, 36),
			Topic: mqttTopic(next.Subject()[len(mqttStreamTopic):]), Payload: next.Data(), At: meta.Timestamp,
		})
		size += len(next.Data())
		if meta.NumPending == 0 || len(batch) == mqttBatch || size >= mqttBatchBytes {
			return batch, last, nil
		}
	}
}

// passing gives what came with quality 0. The others pass here too, and are left
// to the stream.
func (m *mqttDoor) passing(ctx context.Context, take MQTTTake) {
	arrived := make(chan *nats.Msg, mqttBuffer)
	sub, err := m.nc.ChanSubscribe(mqttTopics, arrived)
	if err != nil {
		m.log.opts.Logger.Error("listen for messages of MQTT", "error", err)
		return
	}
	defer func() { _ = sub.Unsubscribe() }() // with the connection at the latest
	id := nuid.New()
	for {
		var batch []MQTTMessage
		select {
		case msg := <-arrived:
			for more := true; more && len(batch) < mqttBatch; {
				if msg.Header.Get(mqttQoSHeader) == "0" {
					batch = append(batch, MQTTMessage{
						ID: id.Next(), Topic: mqttTopic(msg.Subject), Payload: msg.Data, At: time.Now(),
					})
				}
				select {
				case msg = <-arrived:
				default:
					more = false
				}
			}
		case <-ctx.Done():
			return
		case <-m.log.closed:
			return
		}
		if len(batch) == 0 {
			continue
		}
		if err := take(ctx, batch); err != nil && ctx.Err() == nil {
			m.log.opts.Logger.Warn("messages of MQTT with quality of service 0 are lost", "count", len(batch), "error", err)
		}
	}
}

// mqttTopic is the topic that the engine made a subject of: there / became ., and
// . became //; a / that no name stands on one side of is a token of its own.
func mqttTopic(subject string) string {
	var b bytes.Buffer
	for i := 0; i < len(subject); i++ {
		switch c := subject[i]; {
		case c == '.':
			b.WriteByte('/')
		case c != '/':
			b.WriteByte(c)
		case i+1 < len(subject) && subject[i+1] == '/':
			b.WriteByte('.')
			i++
		case i+1 < len(subject) && subject[i+1] == '.':
			b.WriteByte('/')
			i++
		}
	}
	return b.String()
}
