package natslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

const goodToken = "a.good.token"

// judgeMQTT knows one token.
func judgeMQTT(_ context.Context, _ netip.Addr, token string) (natslog.MQTTIdentity, error) {
	if token != goodToken {
		return natslog.MQTTIdentity{}, errors.New("unknown")
	}
	return natslog.MQTTIdentity{User: "gateway-7"}, nil
}

// serveMQTT runs the listener's side until stop is called; messages are sent.
func serveMQTT(t *testing.T, l *natslog.Log, judge natslog.MQTTAuthenticate) (messages <-chan natslog.MQTTMessage, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	taken, done := make(chan natslog.MQTTMessage, 10000), make(chan error, 1)
	go func() { // ends with ctx
		done <- l.ServeMQTT(ctx, judge, func(_ context.Context, all []natslog.MQTTMessage) error {
			for _, m := range all {
				taken <- m
			}
			return nil
		})
	}()
	return taken, func() {
		cancel()
		if err := wait(t, done); !errors.Is(err, context.Canceled) {
			t.Errorf("ServeMQTT said %v", err)
		}
	}
}

// mosquitto runs Debian's client against the log until it ends by itself.
func mosquitto(t *testing.T, address string, args ...string) (output string, err error) {
	t.Helper()
	out, err := mosquittoCommand(t, address, args...).CombinedOutput()
	return string(out), err
}

func mosquittoCommand(t *testing.T, address string, args ...string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	common := []string{"-h", host, "-p", port, "-V", "mqttv311", "-u", "whoever"}
	return exec.CommandContext(ctx, "mosquitto_pub", append(common, args...)...)
}

func openMQTT(t *testing.T, o natslog.Options) *natslog.Log {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.MQTT = "127.0.0.1:0"
	return open(t, o)
}

func TestMQTTTakesEveryQualityOfService(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	taken, stop := serveMQTT(t, l, judgeMQTT)
	defer stop()
	ids := map[string]bool{}
	for _, qos := range []string{"0", "1", "2"} {
		for range 2 {
			if out, err := mosquitto(t, l.MQTTAddress(), "-P", goodToken, "-t", "alarms/d7", "-m", "hello "+qos, "-q", qos); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			m := wait(t, taken)
			if m.Topic != "alarms/d7" || string(m.Payload) != "hello "+qos || m.ID == "" || ids[m.ID] || time.Since(m.At) > time.Minute {
				t.Errorf("quality %s: %+v", qos, m)
			}
			ids[m.ID] = true
		}
	}
	if len(taken) != 0 {
		t.Errorf("more came: %+v", <-taken)
	}
}

func TestMQTTTopics(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	taken, stop := serveMQTT(t, l, judgeMQTT)
	defer stop()
	for _, topic := range []string{
		"alarms/10.0.0.1", "alarms/a%20b%2Fc", "alarms/..", "alarms/a/b", "alarms/a/", "alarms//a", "alarms//",
		"alarms/.a.", "alarms/é$~!@&=;'()[]{}<>|^", "alarms/" + strings.Repeat("long", 64),
	} {
		if out, err := mosquitto(t, l.MQTTAddress(), "-P", goodToken, "-t", topic, "-m", "x", "-q", "1"); err != nil {
			t.Errorf("%q: %v: %s", topic, err, out)
			continue
		}
		if m := wait(t, taken); m.Topic != topic {
			t.Errorf("%q came as %q", topic, m.Topic)
		}
	}
}

// What is not allowed leaves no trace; what follows comes.
func TestMQTTRefuses(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	taken, stop := serveMQTT(t, l, judgeMQTT)
	defer stop()
	for name, args := range map[string][]string{
		"a bad token": {"-P", "another", "-t", "alarms/d", "-m", "bad", "-q", "1"},
		"white space": {"-P", goodToken, "-t", "alarms/a b", "-m", "bad", "-q", "1"},
	} {
		if out, err := mosquitto(t, l.MQTTAddress(), args...); err == nil {
			t.Errorf("%s was taken: %s", name, out)
		}
	}
	for _, topic := range []string{"alarm/d", "alarms", "other", "$MQTT/msgs/alarms/d", "$JS/API/STREAM/LIST"} {
		if out, err := mosquitto(t, l.MQTTAddress(), "-P", goodToken, "-t", topic, "-m", "bad", "-q", "1"); err != nil {
			t.Logf("%s: %v: %s", topic, err, out) // it may also end the connection
		}
	}
	before, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A subject of the log is none here: the account is another.
	if out, err := mosquitto(t, l.MQTTAddress(), "-P", goodToken, "-t", "alarm/d/t/_", "-m", "bad", "-q", "1"); err != nil {
		t.Log(out)
	}
	if out, err := mosquitto(t, l.MQTTAddress(), "-P", goodToken, "-t", "alarms/d", "-m", "good", "-q", "1", "--retain",
		"--will-topic", "alarms/d", "--will-payload", "will"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if m := wait(t, taken); string(m.Payload) != "good" {
		t.Errorf("%q came", m.Payload)
	}
	if after, err := l.Bounds(t.Context()); err != nil || after != before {
		t.Errorf("the log moved from %+v to %+v, %v", before, after, err)
	}
}

// A client that is being judged when the log is closed harms nobody.
func TestMQTTClientsAreJudgedWhileTheLogCloses(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	judging, gone, judged := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // ends with the log
		_ = l.ServeMQTT(t.Context(), func(context.Context, netip.Addr, string) (natslog.MQTTIdentity, error) {
			close(judging)
			<-gone
			defer close(judged)
			return natslog.MQTTIdentity{}, errors.New("unknown")
		}, func(context.Context, []natslog.MQTTMessage) error { return nil })
	}()
	conn, err := net.Dial("tcp", l.MQTTAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connect := "\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01c\x00\x01u\x00\x01p"
	if _, err := fmt.Fprintf(conn, "\x10%c%s", len(connect), connect); err != nil {
		t.Fatal(err)
	}
	wait(t, judging)
	closed := make(chan error, 1)
	go func() { closed <- l.Close(t.Context()) }() // ends when the client has been judged
	_ = conn.SetReadDeadline(time.Now().Add(limit))
	_, _ = io.Copy(io.Discard, conn) // until the engine lets go of it
	close(gone)
	wait(t, judged)
	if err := wait(t, closed); err != nil {
		t.Error(err)
	}
}

// A connected is a client whose connection stays open.
type connected struct {
	in  io.WriteCloser
	out bytes.Buffer
	end chan error
}

func connectMQTT(t *testing.T, l *natslog.Log) *connected {
	t.Helper()
	cmd := mosquittoCommand(t, l.MQTTAddress(), "-P", goodToken, "-t", "alarms/d", "-q", "1", "-l")
	c := &connected{end: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &c.out, &c.out
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.end <- cmd.Wait() }() // ends with the process, which the test's end kills
	return c
}

// Expired and revoked tokens end what they opened, within 2 seconds.
func TestMQTTEndsWithTheToken(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	var revoked atomic.Bool
	var expires, refuse atomic.Int64
	judged := make(chan struct{}, 1000)
	taken, stop := serveMQTT(t, l, func(context.Context, netip.Addr, string) (natslog.MQTTIdentity, error) {
		id := natslog.MQTTIdentity{User: "u", Revoked: revoked.Load}
		if at := expires.Load(); at != 0 {
			id.Expires = time.UnixMilli(at)
		}
		judged <- struct{}{}
		if refuse.Load() != 0 {
			return id, errors.New("not any more")
		}
		return id, nil
	})
	defer stop()
	for name, end := range map[string]func(){
		"revoked": func() { revoked.Store(true) },
		"expired": func() {},
	} {
		revoked.Store(false)
		expires.Store(0)
		refuse.Store(0)
		if name == "expired" {
			expires.Store(time.Now().Add(1500 * time.Millisecond).UnixMilli())
		}
		c := connectMQTT(t, l)
		fmt.Fprintln(c.in, "while it lasts")
		wait(t, taken)
		for len(judged) > 0 {
			<-judged
		}
		refuse.Store(1)
		began := time.Now()
		end()
		wait(t, judged) // the client connects again: it was sent away
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: the connection ended after %v", name, took)
		}
		c.in.Close()
	}
}

func TestMQTTListensAndNothingElseDoes(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	_, port, err := net.SplitHostPort(l.MQTTAddress())
	if err != nil || port == "0" {
		t.Fatalf("%q: %v", l.MQTTAddress(), err)
	}
	if ports := listening(t); !slices.Equal(ports, []string{port}) {
		t.Errorf("this process listens on %v, MQTT is %s", ports, port)
	}
	_, err = natslog.Open(t.Context(), natslog.Options{Dir: t.TempDir(), MQTT: "127.0.0.1:" + port})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second one on the port: %v", err)
	}
	_, err = natslog.Open(t.Context(), natslog.Options{URL: "nats://127.0.0.1:1", MQTT: "127.0.0.1:0"})
	if err == nil {
		t.Error("an external engine cannot listen for us")
	}
}

// Who connects while the gateway is starting waits, and holds up no end.
func TestMQTTClientsWaitToBeServed(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	c := connectMQTT(t, l)
	fmt.Fprintln(c.in, "early")
	taken, stop := serveMQTT(t, l, judgeMQTT)
	if m := wait(t, taken); string(m.Payload) != "early" {
		t.Errorf("got %q", m.Payload)
	}
	stop()

	early := openMQTT(t, natslog.Options{})
	conn, err := net.Dial("tcp", early.MQTTAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connect := "\x00\x04MQTT\x04\xc2\x00\x3c" + "\x00\x01c" + "\x00\x01u" + "\x00\x01p"
	if _, err := fmt.Fprintf(conn, "\x10%c%s", len(connect), connect); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	shut(t, early)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestMQTTEndsWithTheLog(t *testing.T) {
	l := openMQTT(t, natslog.Options{})
	done := make(chan error, 1)
	go func() { // ends when the log is closed
		done <- l.ServeMQTT(context.Background(), judgeMQTT, func(context.Context, []natslog.MQTTMessage) error { return nil })
	}()
	if out, err := mosquitto(t, l.MQTTAddress(), "-P", goodToken, "-t", "alarms/d", "-m", "x", "-q", "1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	shut(t, l)
	if err := wait(t, done); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("ServeMQTT said %v", err)
	}
}

func TestMQTTEndsBelowTheReserve(t *testing.T) {
	var free atomic.Uint64
	free.Store(100)
	l := openMQTT(t, natslog.Options{Reserve: 50, ReserveInterval: time.Millisecond,
		FreeSpace: func(string) (uint64, error) { return free.Load(), nil }})
	taken, stop := serveMQTT(t, l, judgeMQTT)
	defer stop()
	c := connectMQTT(t, l)
	fmt.Fprintln(c.in, "while there is space")
	wait(t, taken)
	free.Store(49)
	for until := time.Now().Add(limit); !l.Full(); {
		if time.Now().After(until) {
			t.Fatal("the log is never full")
		}
	}
	if out, err := mosquitto(t, l.MQTTAddress(), "-P", goodToken, "-t", "alarms/d", "-m", "x", "-q", "1"); err == nil {
		t.Errorf("let in: %s", out)
	}
	free.Store(100)
	// The client that was sent away comes back by itself.
	fmt.Fprintln(c.in, "again")
	if m := wait(t, taken); string(m.Payload) != "again" {
		t.Errorf("got %q", m.Payload)
	}
}

// What was acknowledged is there when the process is killed before anybody took
// it, in order, and comes until it is taken.
func TestMQTTKilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	cmd, out := child(t, "mqtt", dir)
	if !out.Scan() {
		t.Fatal("the child said nothing")
	}
	address := out.Text()
	const messages = 50
	for n := range messages {
		if out, err := mosquitto(t, address, "-P", goodToken, "-t", "alarms/d", "-m", fmt.Sprint(n), "-q", "1"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed: an error is what it should give
	l := openMQTT(t, natslog.Options{Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got, done := make(chan natslog.MQTTMessage, messages), make(chan error, 1)
	var refused []string
	go func() { // ends with ctx
		done <- l.ServeMQTT(ctx, judgeMQTT, func(_ context.Context, all []natslog.MQTTMessage) error {
			if len(refused) < 2 {
				refused = append(refused, all[0].ID)
				return inbox.ErrFull
			}
			for _, m := range all {
				got <- m
			}
			return nil
		})
	}()
	first := ""
	for n := range messages {
		m := wait(t, got)
		if n == 0 {
			first = m.ID
		}
		if string(m.Payload) != fmt.Sprint(n) {
			t.Fatalf("message %d is %q", n, m.Payload)
		}
	}
	cancel()
	wait(t, done)
	if !slices.Equal(refused, []string{first, first}) {
		t.Errorf("what was refused was %v, what came again %s", refused, first)
	}
}

// mqttForever lets clients in and takes nothing.
func mqttForever(dir string) error {
	l, err := natslog.Open(context.Background(), natslog.Options{Dir: dir, MQTT: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	fmt.Println(l.MQTTAddress())
	return l.ServeMQTT(context.Background(), judgeMQTT, func(ctx context.Context, _ []natslog.MQTTMessage) error {
		<-ctx.Done()
		return ctx.Err()
	})
}
