package ingest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Whatever comes over MQTT gives items of the device that the topic names,
// each with an id, and at least one unless it is an empty array, so that nothing is
// passed over.
func FuzzMQTT(f *testing.F) {
	f.Add("alarms/d1", []byte(`{"type":"t","severity":"major"}`))
	f.Add("alarms/d1", []byte(` [{"type":"t","severity":"major","id":"x"},{"type":"t","device":"d2"},7,null]`))
	f.Add("alarms/%64%2F1", []byte(`[]`))
	f.Add("alarms/a/b", []byte(`{}`))
	f.Add("alarms/%zz", []byte{})
	f.Add("alarms/d", []byte(`[`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		items := MQTTItems(&MQTTMessage{ID: "m1", Topic: topic, Payload: payload, At: time.Now()})
		var list []json.RawMessage
		empty := json.Unmarshal(payload, &list) == nil && list != nil && len(list) == 0
		if len(items) == 0 && !empty || len(items) > 1+len(payload) {
			t.Errorf("%q %q gives %d items", topic, payload, len(items))
		}
		for i := range items {
			e := &items[i].Event
			if items[i].Err != nil {
				continue
			}
			if device, err := mqttDevice(topic); err != nil || e.Device != device {
				t.Errorf("%q speaks for %q: %v", topic, e.Device, err)
			}
			if !strings.HasPrefix(e.ID, "mq:") {
				t.Errorf("the id is %q", e.ID)
			}
		}
	})
}
