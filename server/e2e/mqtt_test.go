package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"tocsin/server/auth"
	"tocsin/server/ingest"
	"tocsin/server/internal/streamtest"
)

// mosquitto publishes with Debian's client, and returns when that has ended: with
// a quality of service of 1, once the server has acknowledged.
func (s *server) mosquitto(token string, args ...string) (string, error) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.mqtt)
	if err != nil {
		s.t.Fatalf("MQTT is %q: %v", s.mqtt, err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	common := []string{"-h", host, "-p", port, "-V", "mqttv311", "-u", "device", "-P", token}
	out, err := exec.CommandContext(ctx, "mosquitto_pub", append(common, args...)...).CombinedOutput()
	return string(out), err
}

// outcome is how many events that came by MQTT had the outcome, since the server's start.
func (s *server) outcome(status string) int {
	s.t.Helper()
	a, err := request(s.t.Context(), "GET", "http://"+s.ops+"/metrics", "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(a.body) {
		name, count, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && name == `tocsin_events_total{door="mqtt",status="`+status+`"}` {
			n, err := strconv.ParseFloat(count, 64)
			if err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			return int(n)
		}
	}
	return 0
}

// awaitOutcome waits for the outcome to have been so many times.
func (s *server) awaitOutcome(status string, n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	waitFor(ctx, nil, func() bool { return s.outcome(status) >= n })
	if got := s.outcome(status); got != n {
		s.t.Fatalf("%d events were %s, want %d\n%s", got, status, n, s.log)
	}
}

func TestMQTTPublishes(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--mqtt", "127.0.0.1:0", "--fold", "0")
	token := s.token("gateway", "publish")
	for qos := range 3 {
		topic := "alarms/" + url.PathEscape(fmt.Sprint("rack 1/unit.", qos))
		payload := fmt.Sprintf(`{"type":"overheat","severity":"major","message":"quality %d"}`, qos)
		if out, err := s.mosquitto(token, "-q", fmt.Sprint(qos), "-t", topic, "-m", payload); err != nil {
			t.Fatalf("quality %d: %v: %s", qos, err, out)
		}
	}
	s.awaitOutcome("raised", 3)
	several := `[{"device":"d","type":"a","severity":"minor","id":"1"},{"type":"b","severity":"minor"},
		{"type":"a","severity":"minor","id":"1"}]`
	if out, err := s.mosquitto(token, "-q", "1", "-t", "alarms/d", "-m", several); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.awaitOutcome("raised", 6) // the repeat of an id has the first one's outcome
	devices := map[string]int{}
	for _, e := range everything(t, s) {
		devices[e.Alarm.Device]++
	}
	if fmt.Sprint(devices) != "map[d:2 rack 1/unit.0:1 rack 1/unit.1:1 rack 1/unit.2:1]" {
		t.Errorf("got %v", devices)
	}
}

// What is wrong and acknowledged all the same, since MQTT has no other answer, is
// not lost without a trace.
func TestMQTTKeepsWhatItRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--mqtt", "127.0.0.1:0")
	token := s.token("gateway", "publish")
	wrong := [][2]string{
		{"alarms/d", "not JSON"},
		{"alarms/d", `{"type":"t"`},
		{"alarms/d", `[{"type":"t"},]`},
		{"alarms/d", `{"type":"not a type","severity":"major"}`},
		{"alarms/d", `{"device":"another","type":"t","severity":"major"}`},
		{"alarms/a/b", `{"type":"t","severity":"major"}`},
		{"alarms/100%", `{"type":"t","severity":"major"}`},
		{"alarms/" + strings.Repeat("x", 65), `{"type":"t","severity":"major"}`},
	}
	for _, c := range wrong {
		if out, err := s.mosquitto(token, "-q", "1", "-t", c[0], "-m", c[1]); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
	s.awaitOutcome("rejected", len(wrong))
	var kept struct{ Letters []ingest.Letter }
	s.want(s.request("GET", "/v1/deadletters", s.root(), ""), 200).json(t, &kept)
	if len(kept.Letters) != len(wrong) {
		t.Fatalf("%d letters, want %d", len(kept.Letters), len(wrong))
	}
	for i, l := range kept.Letters {
		sent := wrong[len(wrong)-1-i]
		if l.Door != "mqtt" || l.Problem == "" || string(l.Body) != sent[1] || (l.Device == "d") != (sent[0] == "alarms/d") {
			t.Errorf("%s became %+v", sent, l)
		}
		t.Log(l.Problem)
	}
	for name, token := range map[string]string{
		"a token of nobody": "x.y.z", "no scope publish": s.token("ann", "inbox admin"), "an expired token": s.expired("gateway"),
	} {
		if out, err := s.mosquitto(token, "-q", "1", "-t", "alarms/d", "-m", `{"type":"t","severity":"major"}`); err == nil {
			t.Errorf("%s was let in: %s", name, out)
		}
	}
	if out, err := s.mosquitto(token, "-q", "1", "-t", "alarm/d", "-m", `{"type":"t","severity":"major"}`); err != nil {
		t.Log("another topic: ", out) // MQTT lets a server acknowledge or hang up
	}
	if all := everything(t, s); len(all) != 0 {
		t.Errorf("published all the same: %+v", all)
	}
	s.awaitOutcome("rejected", len(wrong))
}

// expired is a token that was good once.
func (s *server) expired(user string) string {
	s.t.Helper()
	token, err := auth.Sign(s.secret, auth.Issue{User: user, Scope: "publish", TTL: time.Hour}, time.Now().Add(-2*time.Hour))
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// What was acknowledged is there after a kill -9 at that moment, once.
func TestMQTTAcknowledgedSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--mqtt", "127.0.0.1:0", "--fold", "0")
	const rounds = 8
	for n := range rounds {
		payload := fmt.Sprintf(`{"type":"t","qualifier":"%d","severity":"major"}`, n)
		if out, err := s.mosquitto(s.token("gateway", "publish"), "-q", "1", "-t", "alarms/d", "-m", payload); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, s.log)
		}
		s.kill()
		s.start()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []entry
	waitFor(ctx, nil, func() bool { all = everything(t, s); return len(all) >= rounds })
	if len(all) != rounds {
		t.Fatalf("%d entries, want %d", len(all), rounds)
	}
	for _, e := range all {
		if e.Alarm.Rev != 1 {
			t.Errorf("an alarm was told %d times", e.Alarm.Rev)
		}
	}
}

func TestMQTTEndsWithARevocation(t *testing.T) {
	s := newServer(t, "--mqtt", "127.0.0.1:0")
	lost := make(chan error, 1)
	c := s.paho("gateway", func(o *mqtt.ClientOptions) {
		o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	})
	defer c.Disconnect(0)
	publishMQTT(t, c, "alarms/d", `{"type":"t","severity":"major"}`)
	began := time.Now()
	s.want(s.request("POST", "/v1/revocations", s.root(), `{"sub":"gateway"}`), 204)
	select {
	case <-lost:
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("ended after %v", took)
		}
	case <-time.After(patience):
		t.Error("the connection goes on")
	}
}

// Where the server has a certificate devices speak TLS, too, and no other way, and a
// certificate that is replaced is the new ones' from then on.
func TestMQTTOverTLS(t *testing.T) {
	t.Parallel()
	s := newSecured(t, "--mqtt", "127.0.0.1:0")
	token := s.token("gateway", "publish")
	ca := filepath.Join(s.dir, "ca.pem")
	writeFile(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
	for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
		if out, err := s.mosquitto(token, "--cafile", ca, "--tls-version", version, "-q", "1", "-t", "alarms/"+version, "-m", `{"type":"t","severity":"major"}`); err != nil {
			t.Fatalf("%s: %v: %s", version, err, out)
		}
	}
	s.awaitOutcome("raised", 2)
	if out, err := s.mosquitto(token, "-q", "1", "-t", "alarms/plain", "-m", `{"type":"t","severity":"major"}`); err == nil {
		t.Errorf("without TLS: %s", out)
	}
	number := func() int64 {
		conn, err := tls.Dial("tcp", s.mqtt, &tls.Config{RootCAs: s.pool})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := number(); n != 100 {
		t.Errorf("certificate %d", n)
	}
	s.files(s.dir, 101)
	for end := time.Now().Add(patience); number() != 101; pause(t.Context(), 50*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new certificate is not shown")
		}
	}
}

// MQTT clients are counted by address, and those that have gone no more.
func TestMQTTConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--mqtt", "127.0.0.1:0", "--unlimited-from", "", "--connections-per-address", "3")
	var all []mqtt.Client
	for n := range 3 {
		all = append(all, s.paho(fmt.Sprint("gateway-", n), nil))
	}
	enter := func() error {
		c := mqtt.NewClient(s.pahoOptions("late"))
		token := c.Connect()
		if !token.WaitTimeout(patience) {
			t.Fatal("no answer")
		}
		if token.Error() == nil {
			c.Disconnect(0)
		}
		return token.Error()
	}
	if enter() == nil {
		t.Error("one too many was let in")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	waitFor(ctx, nil, func() bool { return strings.Contains(s.log.String(), "connections-per-address: at most 3") })
	if ctx.Err() != nil {
		t.Errorf("the log does not say why\n%s", s.log)
	}
	all[0].Disconnect(0)
	defer all[1].Disconnect(0)
	defer all[2].Disconnect(0)
	for end := time.Now().Add(patience); enter() != nil; pause(t.Context(), 50*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("who has gone is counted still")
		}
	}
}

func (s *server) pahoOptions(user string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("tcp://" + s.mqtt).SetClientID(user).SetUsername(user).
		SetPassword(s.token(user, "publish")).SetAutoReconnect(false).SetProtocolVersion(4)
}

// paho is a connected client that does not connect again by itself.
func (s *server) paho(user string, more func(*mqtt.ClientOptions)) mqtt.Client {
	s.t.Helper()
	o := s.pahoOptions(user)
	if more != nil {
		more(o)
	}
	c := mqtt.NewClient(o)
	settled(s.t, c.Connect())
	return c
}

// settled wants what was asked of a client to have come about.
func settled(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("MQTT: %v", token.Error())
	}
}

func publishMQTT(t *testing.T, c mqtt.Client, topic, payload string) {
	t.Helper()
	settled(t, c.Publish(topic, 1, false, payload))
}

func TestMQTTNobodySubscribes(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--mqtt", "127.0.0.1:0")
	c := s.paho("gateway", nil)
	defer c.Disconnect(0)
	for _, filter := range []string{"alarms/d", "#", "$SYS/#", "+/+"} {
		token := c.Subscribe(filter, 0, nil)
		if !token.WaitTimeout(patience) {
			t.Fatal("no answer")
		}
		sub, ok := token.(*mqtt.SubscribeToken)
		if !ok || token.Error() == nil && sub.Result()[filter] != 0x80 {
			t.Errorf("%s was granted", filter)
		}
		if !c.IsConnected() {
			c = s.paho("gateway", nil)
		}
	}
}

// The streams over MQTT, an event a message, give the figures, whether repeats are
// folded or not.
func TestMQTTGivesTheFigures(t *testing.T) {
	t.Parallel()
	for _, stream := range streamtest.Streams(t) {
		for _, fold := range []string{"0", "1m"} {
			t.Run(stream.Name+" fold "+fold, func(t *testing.T) { overMQTT(t, stream, fold) })
		}
	}
}

func overMQTT(t *testing.T, stream streamtest.Stream, fold string) {
	s := newServer(t, "--device-time", "trust", "--mqtt", "127.0.0.1:0", "--fold", fold)
	c := s.paho("gateway", nil)
	defer c.Disconnect(0)
	began := time.Now()
	tokens := make([]mqtt.Token, len(stream.Lines))
	for i := range stream.Lines {
		tokens[i] = send(t, c, stream, i)
	}
	for _, token := range tokens {
		settled(t, token)
	}
	acknowledged := time.Since(began)
	w := stream.Want
	s.awaitOutcome("cleared", w.Clears)
	s.awaitOutcome("raised", w.Occurrences)
	s.awaitOutcome("repeated", w.Repeats)
	s.awaitOutcome("orphan", w.Orphans)
	took := time.Since(began)
	t.Logf("%d events: acknowledged after %v, published after %v (%.0f/s)", w.Events,
		acknowledged, took, float64(w.Events)/took.Seconds())
	if n := s.outcome("rejected") + s.outcome("late"); n != 0 {
		t.Errorf("%d were rejected or late", n)
	}
	if n := activeAt(t, s); n != w.Active {
		t.Errorf("%d active, want %d", n, w.Active)
	}
}

// send publishes event i of the stream, and does not wait.
func send(t *testing.T, c mqtt.Client, stream streamtest.Stream, i int) mqtt.Token {
	t.Helper()
	l := stream.Lines[i]
	payload, err := json.Marshal(map[string]any{"time": l.Time, "severity": l.Severity, "type": l.Type,
		"state": l.State, "message": l.Message, "id": fmt.Sprint(i)})
	if err != nil {
		t.Fatal(err)
	}
	return c.Publish("alarms/"+url.PathEscape(l.Device), 1, false, payload)
}

// active is how many alarms are.
func (s *server) active() (n int) {
	s.t.Helper()
	var page struct{ Active map[string]int }
	s.want(s.request("GET", "/v1/inbox?cursor=latest", s.root(), ""), 200).json(s.t, &page)
	for _, of := range page.Active {
		n += of
	}
	return n
}

// A stream with three kills -9 on the way, sent on from the first message that was
// not acknowledged: what was acknowledged is there, and nothing is counted twice.
func TestMQTTThroughKillsGivesTheFigures(t *testing.T) {
	t.Parallel()
	for _, stream := range streamtest.Streams(t) {
		if stream.Name != "microwave" && stream.Name != "made" {
			continue
		}
		t.Run(stream.Name, func(t *testing.T) {
			s := newServer(t, "--device-time", "trust", "--mqtt", "127.0.0.1:0", "--fold", "0")
			const flight = 1000 // messages without a PUBACK
			kills := []int{len(stream.Lines) / 4, len(stream.Lines) / 2, len(stream.Lines) * 3 / 4}
			for first := 0; first < len(stream.Lines); {
				c := s.paho("gateway", nil)
				var tokens []mqtt.Token // of the messages from first on
				for ; first < len(stream.Lines); first, tokens = first+1, tokens[1:] {
					for next := first + len(tokens); next < len(stream.Lines) && len(tokens) < flight; next++ {
						tokens = append(tokens, send(t, c, stream, next))
					}
					if len(kills) > 0 && first >= kills[0] {
						kills = kills[1:]
						s.kill()
						s.start()
						break
					}
					settled(t, tokens[0])
				}
				c.Disconnect(0)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			want := told(wanted(stream))
			waitFor(ctx, nil, func() bool { return len(everything(t, s)) >= want })
			if got := len(everything(t, s)); got != want || len(kills) > 0 {
				t.Errorf("%d entries are shown, want %d; %d kills are left", got, want, len(kills))
			}
			if n := s.active(); n != stream.Want.Active {
				t.Errorf("%d active, want %d", n, stream.Want.Active)
			}
		})
	}
}

// A message of 1 MiB is taken, its topic and some bytes of MQTT's own among them, and
// what is longer ends the connection.
func TestMQTTPayloadAtItsLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--mqtt", "127.0.0.1:0")
	sized := func(typ string, size int) string {
		text := `[{"type":"` + typ + `","severity":"major"}]`
		return text[:len(text)-1] + strings.Repeat(" ", size-len(text)) + "]"
	}
	lost := make(chan error, 1)
	c := s.paho("gateway", func(o *mqtt.ClientOptions) {
		o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	})
	defer c.Disconnect(0)
	publishMQTT(t, c, "alarms/d", sized("most", 1<<20-64))
	s.awaitOutcome("raised", 1)
	c.Publish("alarms/d", 1, false, sized("more", 1<<20))
	select {
	case <-lost:
	case <-time.After(patience):
		t.Error("the connection goes on")
	}
	if n := s.active(); n != 1 {
		t.Errorf("%d alarms are active", n)
	}
}
