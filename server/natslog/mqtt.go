package natslog

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// MQTTIdentity is whom a token speaks for.
type MQTTIdentity struct {
	User string
	// Expires is when the connection ends; zero is never.
	Expires time.Time
	// Revoked, unless nil, is asked twice a second, and ends the connection when
	// it says true. It must not wait.
	Revoked func() bool
	// Gone, unless nil, is called once the connection has ended, half a second later
	// at most while somebody serves. It must not wait.
	Gone func()
}

// MQTTAuthenticate judges a client who has connected from an address, by his password.
// It may be called by many goroutines at once.
type MQTTAuthenticate func(ctx context.Context, from netip.Addr, token string) (MQTTIdentity, error)

const (
	// mqttAccount keeps what MQTT clients do apart from the log: whatever they
	// are allowed, the log's subjects and streams are not there.
	mqttAccount = "MQTT"
	// mqttTopics are the subjects of the topics that may be published to.
	mqttTopics = "alarms.>"
	// authTimeout bounds the judging of a token, and mqttPatience how long a
	// client waits for a gateway that is starting.
	authTimeout  = 5 * time.Second
	mqttPatience = 30 * time.Second
	// mqttSweep is how often connections are looked through for those whose
	// tokens were revoked. A revocation is to be in force within 2 seconds.
	mqttSweep = 500 * time.Millisecond
	// ownConnections are more than this process has to its engine, each of which the
	// engine counts with those of clients.
	ownConnections = 16
)

// The users of this process's own connections.
const userLog, userMQTT = "log", "mqtt"

// mqttGuard decides who may connect to an engine that listens.
type mqttGuard struct {
	log     Options
	secret  string                         // of this process's own connections
	account atomic.Pointer[server.Account] // of all MQTT clients
	// full says that free space is below the reserve.
	full atomic.Pointer[func() bool]

	mu       sync.Mutex
	judge    MQTTAuthenticate        // nil while nobody serves
	serving  chan struct{}           // closed while somebody does
	sessions map[uint64]MQTTIdentity // by the connection's number
}

var _ server.Authentication = (*mqttGuard)(nil)

// guardMQTT completes the engine's configuration.
func guardMQTT(conf *server.Options, o Options, secret string) (*mqttGuard, error) {
	host, port, err := net.SplitHostPort(o.MQTT)
	if err != nil {
		return nil, fmt.Errorf("the address of MQTT: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the port of MQTT: %w", err)
	}
	conf.MQTT.Host, conf.MQTT.Port, conf.MQTT.TLSConfig = host, int(n), o.MQTTTLS
	if o.MQTTConnections > 0 {
		conf.MaxConn = o.MQTTConnections + ownConnections
	}
	if n == 0 {
		conf.MQTT.Port = server.RANDOM_PORT
	}
	g := &mqttGuard{log: o, secret: secret, serving: make(chan struct{}), sessions: map[uint64]MQTTIdentity{}}
	conf.CustomClientAuthentication = g
	return g, nil
}

// Check implements server.Authentication. It is called by the goroutine of the
// connection, which may wait.
func (g *mqttGuard) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	// Once the client has gone, which may be at any moment, there is no address.
	from, network := c.RemoteAddress().(*net.TCPAddr)
	if !network {
		if subtle.ConstantTimeCompare([]byte(o.Password), []byte(g.secret)) != 1 {
			return false
		}
		if o.Username == userMQTT {
			c.RegisterUser(&server.User{Username: userMQTT, Account: g.account.Load()})
		}
		return true
	}
	id, err := g.authenticate(from.AddrPort().Addr().Unmap(), o.Password)
	if err != nil {
		g.log.Logger.Warn("an MQTT client is refused", "address", from.String(), "error", err)
		return false
	}
	// It is entered first, so that a revocation from now on finds it.
	g.mu.Lock()
	g.sessions[c.GetID()] = id
	g.mu.Unlock()
	if id.Revoked != nil && id.Revoked() {
		return false
	}
	c.RegisterUser(&server.User{
		Username: id.User, Account: g.account.Load(), ConnectionDeadline: id.Expires,
		Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{mqttTopics}},
			Subscribe: &server.SubjectPermission{Deny: []string{">"}},
		},
	})
	return true
}

// authenticate waits until somebody serves, and has the token judged.
func (g *mqttGuard) authenticate(from netip.Addr, token string) (MQTTIdentity, error) {
	if token == "" {
		return MQTTIdentity{}, errors.New("no password")
	}
	g.mu.Lock()
	serving := g.serving
	g.mu.Unlock()
	late := time.NewTimer(mqttPatience)
	defer late.Stop()
	select {
	case <-serving:
	case <-late.C:
		return MQTTIdentity{}, errors.New("the gateway is not ready")
	}
	if full := g.full.Load(); full != nil && (*full)() {
		return MQTTIdentity{}, errors.New("free space is below the reserve")
	}
	g.mu.Lock()
	judge := g.judge
	g.mu.Unlock()
	if judge == nil {
		return MQTTIdentity{}, errors.New("the gateway is stopping")
	}
	ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
	defer cancel()
	return judge(ctx, from, token)
}

// serve lets clients in; with nil it lets no more in.
func (g *mqttGuard) serve(judge MQTTAuthenticate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.judge = judge
	select {
	case <-g.serving:
	default:
		close(g.serving)
	}
}

// sweep lets go of connections that have ended, and ends those whose tokens were
// revoked, and all of them below the reserve: a client that cannot be told of a full
// disk keeps its messages only while it is not connected.
func (g *mqttGuard) sweep(s *server.Server, full bool) {
	g.mu.Lock()
	var end []uint64
	for n, id := range g.sessions {
		switch {
		case s.GetClient(n) == nil:
			delete(g.sessions, n)
			if id.Gone != nil {
				id.Gone()
			}
		case full || id.Revoked != nil && id.Revoked():
			end = append(end, n)
		}
	}
	g.mu.Unlock()
	for _, n := range end {
		// One that is gone by now is what was wanted.
		_ = s.DisconnectClientByID(n)
	}
}

// MQTTAddress is where MQTT clients connect, empty where nothing listens.
func (l *Log) MQTTAddress() string {
	if l.mqtt == nil {
		return ""
	}
	v, err := l.broker.server.Varz(nil)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(v.MQTT.Host, strconv.Itoa(v.MQTT.Port))
}
