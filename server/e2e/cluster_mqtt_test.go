package e2e

import (
	"context"
	"fmt"
	"testing"
)

// MQTT clients publish at whichever node they are connected to, of any quality of
// service. What they have published is an alarm of everybody's once, also when the
// node does not lead the log. What was acknowledged is so too when nodes are lost.
func TestMQTTAtEachNodeOfACluster(t *testing.T) {
	t.Parallel() // it mostly waits
	m := &mqttNodes{cluster: newCluster(t, "--mqtt", "127.0.0.1:0", "--fold", "0")}
	m.publish("whole", m.nodes, 0, 1, 2)
	for _, when := range []string{"one-down", "another-down"} {
		dead := m.leader()
		dead.kill()
		m.publish(when, m.others(dead), 1, 2)
		m.start(dead)
		within(t, patience, "the log is whole again", func() bool { return wholeLog(t.Context(), dead, 3) })
	}
	m.publish("whole-again", m.nodes, 0, 1, 2)
}

// mqttNodes is a cluster with doors for MQTT.
type mqttNodes struct {
	*cluster
	want int // entries
}

// publish publishes an alarm of each quality at each of the nodes, and wants them to be
// known there.
func (m *mqttNodes) publish(when string, nodes []*server, qualities ...int) {
	t := m.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	token := nodes[0].token("gateway", "publish")
	for i, s := range nodes {
		waitFor(ctx, nil, func() bool { return s.ready(ctx) })
		for _, quality := range qualities {
			payload := fmt.Sprintf(`{"type":"%s-%d-%d","severity":"critical"}`, when, i, quality)
			var out string
			waitFor(ctx, nil, func() bool { // a node may be electing whom to ask
				var err error
				out, err = s.mosquitto(token, "-q", fmt.Sprint(quality), "-t", fmt.Sprint("alarms/rack-", i), "-m", payload)
				return err == nil
			})
			if m.want++; ctx.Err() != nil {
				t.Fatalf("%s, node %d, quality %d: %s", when, i, quality, out)
			}
		}
	}
	for i, s := range nodes {
		var got []entry
		waitFor(ctx, nil, func() bool {
			got = everything(t, s)
			return len(got) >= m.want
		})
		if len(got) != m.want {
			t.Errorf("%s, node %d has %d entries, want %d: %+v", when, i, len(got), m.want, got)
		}
	}
}
