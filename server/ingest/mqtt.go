package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// MQTTPublisher is the publisher of all that comes over MQTT: the engine does not
// tell whose connection a message came from. The ids of events are therefore taken
// for those of their device.
const MQTTPublisher = "mqtt"

// doorMQTT is the door in letters.
const doorMQTT = "mqtt"

// MQTTMessage is one message that a client published.
type MQTTMessage struct {
	ID      string // names the message, also when it comes again
	Topic   string
	Payload []byte
	At      time.Time // when it came
}

// MQTT publishes what comes over MQTT. Its fields are not to be changed once it is
// used; Take may be called by many goroutines at once.
type MQTT struct {
	// Publish is the alarm engine's.
	Publish func(ctx context.Context, publisher string, events []alarm.Event) []alarm.Result
	// Letters keep what is refused.
	Letters DeadLetters
	// Published, unless nil, counts the outcomes.
	Published func(status string, n int)
}

// Take publishes the events of the messages, all of them at once, and keeps what is
// refused as letters. An error says that the storage did not take everything: then
// the same messages are to be given again, which changes nothing about those that
// were stored.
func (d *MQTT) Take(ctx context.Context, messages []MQTTMessage) error {
	var items []Item
	from := make([]int, 0, len(messages)) // the message of each item
	for i := range messages {
		for _, item := range MQTTItems(&messages[i]) {
			items, from = append(items, item), append(from, i)
		}
	}
	events := make([]alarm.Event, 0, len(items))
	for i := range items {
		if items[i].Err == nil {
			events = append(events, items[i].Event)
		}
	}
	results := d.Publish(ctx, MQTTPublisher, events)
	for i := range results {
		if again(results[i].Err) {
			return fmt.Errorf("publish what came over MQTT: %w", results[i].Err)
		}
	}
	counts := map[string]int{}
	for i, next := 0, 0; i < len(items); i++ {
		item, status := &items[i], alarm.StatusRejected
		if item.Err == nil {
			item.Err, status = results[next].Err, results[next].Status
			next++
		}
		counts[status]++
		if item.Err == nil {
			continue
		}
		if err := d.Letters.Add(ctx, Letter{
			Time: messages[from[i]].At, Door: doorMQTT, Publisher: MQTTPublisher,
			Device: item.Event.Device, Problem: item.Err.Error(), Body: item.Raw,
		}); err != nil {
			return err
		}
	}
	if d.Published != nil {
		for status, n := range counts {
			d.Published(status, n)
		}
	}
	return nil
}

// again says whether an event may yet be stored, as it is.
func again(err error) bool {
	for _, storage := range [...]error{inbox.ErrFull, inbox.ErrUnavailable, inbox.ErrStale, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, storage) {
			return true
		}
	}
	return false
}

// topicAlarms begins the topics of alarms.
const topicAlarms = "alarms/"

// MQTTItems reads a message: one event or an array of them, of the device that the
// topic names (docs/protocol.md §9). Of all but an empty array there is an item, that
// says what is wrong with the message where nothing of it can be used.
func MQTTItems(m *MQTTMessage) []Item {
	device, err := mqttDevice(m.Topic)
	if err != nil {
		return []Item{{Err: err, Raw: m.Payload}}
	}
	elements := []json.RawMessage{m.Payload}
	if text := bytes.TrimSpace(m.Payload); len(text) > 0 && text[0] == '[' {
		elements = nil
		if err := json.Unmarshal(m.Payload, &elements); err != nil {
			err = fmt.Errorf("%w: not JSON: %w", alarm.ErrMalformed, err)
			return []Item{{Event: alarm.Event{Device: device}, Err: err, Raw: m.Payload}}
		}
	}
	items := make([]Item, len(elements))
	for i, text := range elements {
		items[i] = mqttItem(device, text)
		// An id must not meet that of another device, nor that of a message.
		if e := &items[i].Event; e.ID != "" {
			e.ID = "mq:" + digest(device, e.ID)
		} else {
			e.ID = "mq:" + digest("", m.ID, strconv.Itoa(i))
		}
	}
	return items
}

// mqttItem reads one event of the device.
func mqttItem(device string, text []byte) Item {
	e, err := alarm.ReadEvent(text)
	if err == nil && e.Device != "" && e.Device != device {
		err = inbox.Fieldf("device", "want the one in the topic, %q, or none, not %.80q", device, e.Device)
	}
	e.Device = device
	if err != nil {
		return Item{Event: e, Err: err, Raw: text}
	}
	return checked(e, text)
}

// mqttDevice is the device that a topic names.
func mqttDevice(topic string) (string, error) {
	name, ok := strings.CutPrefix(topic, topicAlarms)
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", inbox.Fieldf("topic", "want alarms/ and the device, with a / in its name written %%2F, not %.200q", topic)
	}
	device, err := url.PathUnescape(name)
	if err != nil {
		return "", inbox.Fieldf("topic", "want %% and two hexadecimal digits, as in a URL, for what may not stand in a topic, not %.200q", topic)
	}
	if err := inbox.CheckText("topic", device, 1, inbox.MaxDeviceChars); err != nil {
		return "", err
	}
	return device, nil
}
