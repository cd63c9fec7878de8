package natslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// A Cluster makes an embedded engine one of several that keep the log together.
type Cluster struct {
	// Name is the cluster's, the same on all nodes.
	Name string
	// Node is this node's own name, unlike any other's. It stays with the node's
	// directory, since the others know what it stores by its name.
	Node string
	// Listen is where the other nodes connect, host:port.
	Listen string
	// Peers are where the nodes listen, host:port each, the node's own among them:
	// the same on all nodes. Most of them must be there when the cluster forms.
	Peers []string
	// Secret is what nodes know each other by; the same on all nodes.
	Secret string
	// TLS, unless nil, is for the connections between nodes. Each is a client of
	// some and a server of others.
	TLS *tls.Config
}

// clusterUser is whom nodes log in to each other as.
const clusterUser = "tocsin"

// join completes the engine's configuration.
func (c *Cluster) join(conf *server.Options) error {
	host, port, err := hostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("the address of the cluster: %w", err)
	}
	if c.Name == "" || c.Node == "" || c.Secret == "" {
		return errors.New("a cluster needs a name, a name of the node and a secret")
	}
	hurryElections()
	conf.ServerName = c.Node
	// The engine opens its routes after a port for clients, so it must have one:
	// on the loopback, for those who know this process's secret.
	conf.DontListen, conf.Host, conf.Port = false, "127.0.0.1", server.RANDOM_PORT
	conf.Cluster = server.ClusterOpts{
		Name: c.Name, Host: host, Port: port, Username: clusterUser, Password: c.Secret,
		// Nodes find each other by what is configured, so that an address inside a
		// container is told to nobody.
		NoAdvertise: true,
		// A cut that nobody tells of is found out by these.
		PingInterval: routePing, MaxPingsOut: unheardPings,
	}
	if c.TLS != nil {
		conf.Cluster.TLSConfig = c.TLS
		conf.Cluster.TLSTimeout = clusterTLSTimeout.Seconds()
	}
	if len(c.Peers) < 2 {
		return errors.New("a cluster needs the addresses of all its nodes")
	}
	// The node's own is among them: how many there are is how many the cluster
	// waits for when it first forms.
	for _, peer := range c.Peers {
		if _, _, err := hostPort(peer); err != nil {
			return fmt.Errorf("the address of a peer: %w", err)
		}
		conf.Routes = append(conf.Routes, &url.URL{Scheme: "nats-route", User: url.UserPassword(clusterUser, c.Secret), Host: peer})
	}
	return nil
}

const (
	clusterTLSTimeout = 5 * time.Second
	routePing         = 2 * time.Second
	// formInterval is how often a cluster is asked whether it has formed.
	formInterval = 100 * time.Millisecond
	// formFirst and formTimeout are how long the first attempt waits for an answer and
	// the last ones: elections take a second or two. From formSaid on it is worth a word.
	formFirst   = 250 * time.Millisecond
	formSaid    = time.Second
	formTimeout = 3 * time.Second
)

func hostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, int(n), err
}

// forming are the errors of a cluster whose nodes have not yet found each other, or
// are electing who leads.
var forming = []jetstream.ErrorCode{
	jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount,
	10008, // temporarily unavailable
	10005, // no suitable peers for placement
	10023, // insufficient resources
	10074, // not enough peers for the replicas
}

// awaitCluster repeats what needs a quorum until there is one, or the context ends.
func (l *Log) awaitCluster(ctx context.Context, do func(context.Context) error) error {
	if l.opts.Cluster == nil && l.opts.URL == "" {
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		return do(ctx)
	}
	said := false
	for wait := formFirst; ; wait = min(2*wait, formTimeout) {
		// Where nobody leads, nobody answers.
		try, cancel := context.WithTimeout(ctx, wait)
		err := do(try)
		cancel()
		if err == nil || !unformed(err) {
			return err
		}
		if !said && wait >= formSaid {
			said = true
			l.opts.Logger.Info("waiting for the other nodes of the log", "error", err)
		}
		if !l.pause(ctx, formInterval) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// unformed says whether an error may go by itself.
func unformed(err error) bool {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		return slices.Contains(forming, api.ErrorCode)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoStreamResponse):
		return true
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return true // it was made: who answered has not heard of it yet
	}
	return false
}
