package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tocsin/server/natslog"
)

// clusterSettings are those of a log that several machines keep: their own engines,
// or servers elsewhere.
type clusterSettings struct {
	ClusterName, ClusterNode  string
	ClusterListen             string
	ClusterPeers              []string
	ClusterSecretFile         string
	ClusterCAFile             string
	ClusterCertFile           string
	ClusterKeyFile            string
	NATSURL                   string
	NATSCredsFile             string
	NATSUser                  string
	NATSPasswordFile          string
	NATSTokenFile             string
	NATSCAFile                string
	NATSCertFile, NATSKeyFile string
	Replicas                  int
}

// defaultReplicas is how many nodes of a larger cluster store everything.
const defaultReplicas = 3

// severalMachines are the settings of a log on more than one machine.
func (s *settings) severalMachines() []setting {
	c := &s.clusterSettings
	return []setting{
		{name: "cluster-name", value: nodeName{&c.ClusterName}, help: "the cluster's name, the same on all nodes"},
		{name: "cluster-node", value: nodeName{&c.ClusterNode}, help: "this node's name, unlike any other's"},
		{name: "cluster-listen", value: addressValue{&c.ClusterListen, true}, help: "where the other nodes connect; empty for a log of one node"},
		{name: "cluster-peers", value: listValue{p: &c.ClusterPeers, kind: "addresses", fits: isHostPort, want: "addresses, such as 10.0.0.1:6222"}, help: "where all nodes listen, the same on all of them"},
		{name: "cluster-secret-file", value: textOf(&c.ClusterSecretFile, "file"), help: "what nodes know each other by; the same on all of them"},
		{name: "cluster-ca-file", value: textOf(&c.ClusterCAFile, "file"), help: "who signs the nodes' certificates, as PEM"},
		{name: "cluster-cert-file", value: textOf(&c.ClusterCertFile, "file"), help: "this node's certificate, as PEM"},
		{name: "cluster-key-file", value: textOf(&c.ClusterKeyFile, "file"), help: "its key, as PEM"},
		{name: "nats-url", value: urlValue{&c.NATSURL, []string{"nats", "tls", "ws", "wss"}, true}, help: "external NATS servers in place of the embedded log"},
		{name: "nats-creds-file", value: textOf(&c.NATSCredsFile, "file"), help: "credentials for them, as nsc makes them"},
		{name: "nats-user", value: textOf(&c.NATSUser, "name"), help: "user there"},
		{name: "nats-password-file", value: textOf(&c.NATSPasswordFile, "file"), help: "the user's password"},
		{name: "nats-token-file", value: textOf(&c.NATSTokenFile, "file"), help: "token for them"},
		{name: "nats-ca-file", value: textOf(&c.NATSCAFile, "file"), help: "who signs their certificates, as PEM; empty for the system's"},
		{name: "nats-cert-file", value: textOf(&c.NATSCertFile, "file"), help: "our certificate for them, as PEM"},
		{name: "nats-key-file", value: textOf(&c.NATSKeyFile, "file"), help: "its key, as PEM"},
		{name: "replicas", value: count(&c.Replicas, 0, 5), help: "how many servers of a cluster store everything; 0 for 3 in a cluster"},
	}
}

// A nodeName is the name of a cluster or a node; empty for none.
type nodeName struct{ p *string }

var isNodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

func (v nodeName) Set(s string) error {
	if s != "" && !isNodeName.MatchString(s) {
		return errors.New("want a name of letters, digits, - and _")
	}
	*v.p = s
	return nil
}
func (v nodeName) String() string { return *v.p }
func (v nodeName) Type() string   { return "name" }

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, wrong := strconv.ParseUint(port, 10, 16)
	return err == nil && wrong == nil && host != "" && n > 0
}

// checkLog is check for the settings of where the log is.
func (s *settings) checkLog() error {
	var errs []error
	wrong := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New(text))
		}
	}
	wrong(s.Data == "" && s.NATSURL == "", "data: want a directory, or nats-url for an external log")
	s.checkCluster(wrong)
	s.checkElsewhere(wrong)
	return errors.Join(errs...)
}

// checkCluster adds what is wrong with the settings of the cluster together.
func (s *settings) checkCluster(wrong func(bad bool, text string)) {
	c := &s.clusterSettings
	told := cmp.Or(c.ClusterNode, c.ClusterSecretFile, c.ClusterCAFile, c.ClusterCertFile, c.ClusterKeyFile)
	if c.ClusterListen == "" {
		wrong(told != "" || len(c.ClusterPeers) > 0, "cluster-listen: want an address with the other settings of the cluster, such as :6222")
		wrong(c.NATSURL == "" && c.Replicas > 1, "replicas: want 1 without cluster-listen or nats-url, the log is on one server")
	} else {
		wrong(c.NATSURL != "", "cluster-listen: want this or nats-url, not both: with nats-url the servers there are the cluster")
		wrong(c.ClusterName == "", "cluster-name: want a name, the same on all nodes")
		wrong(c.ClusterNode == "", "cluster-node: want this node's own name, which stays with its data directory")
		wrong(len(c.ClusterPeers) < 3, "cluster-peers: want the addresses of all nodes, this one among them, at least three: of two none may fail")
		wrong(len(slices.Compact(slices.Sorted(slices.Values(c.ClusterPeers)))) < len(c.ClusterPeers), "cluster-peers: want each address once")
		wrong(c.ClusterSecretFile == "", "cluster-secret-file: want a secret, the same on all nodes: make one with 'tocsin secret FILE'")
		wrong(c.Replicas > len(c.ClusterPeers), "replicas: want at most as many as there are cluster-peers")
		wrong((c.ClusterCAFile == "") != (c.ClusterCertFile == "") || (c.ClusterCertFile == "") != (c.ClusterKeyFile == ""),
			"cluster-ca-file: want cluster-ca-file, cluster-cert-file and cluster-key-file together, or none of them")
	}
}

// checkElsewhere adds what is wrong with those of servers elsewhere together.
func (s *settings) checkElsewhere(wrong func(bad bool, text string)) {
	c := &s.clusterSettings
	given := 0
	for _, one := range []string{c.NATSCredsFile, c.NATSUser, c.NATSTokenFile} {
		if one != "" {
			given++
		}
	}
	wrong(given > 1, "nats-creds-file: want one of nats-creds-file, nats-user and nats-token-file")
	wrong((c.NATSUser == "") != (c.NATSPasswordFile == ""), "nats-user: want nats-user and nats-password-file together")
	wrong((c.NATSCertFile == "") != (c.NATSKeyFile == ""), "nats-cert-file: want nats-cert-file and nats-key-file together")
	wrong(c.NATSURL == "" && cmp.Or(c.NATSCredsFile, c.NATSUser, c.NATSPasswordFile, c.NATSTokenFile, c.NATSCAFile, c.NATSCertFile) != "",
		"nats-url: want the servers that the other settings of nats are for")
}

// shared says whether the log is on other machines too.
func (c *clusterSettings) shared() bool { return c.ClusterListen != "" || c.NATSURL != "" }

// copies is how many servers store everything.
func (c *clusterSettings) copies() int {
	switch {
	case c.Replicas > 0:
		return c.Replicas
	case c.ClusterListen != "":
		return min(defaultReplicas, len(c.ClusterPeers))
	}
	return 1
}

// cluster is what makes this node one of several; nil for a node alone.
func (c *clusterSettings) cluster() (*natslog.Cluster, error) {
	if c.ClusterListen == "" {
		return nil, nil
	}
	secret, err := wordOf("cluster-secret-file", c.ClusterSecretFile)
	if err != nil {
		return nil, err
	}
	known, err := tlsOf("cluster", c.ClusterCAFile, c.ClusterCertFile, c.ClusterKeyFile)
	if err != nil {
		return nil, err
	}
	if known != nil {
		// Each node shows its certificate to every other, whoever connects.
		known.ClientAuth, known.ClientCAs = tls.RequireAndVerifyClientCert, known.RootCAs
	}
	return &natslog.Cluster{
		Name: c.ClusterName, Node: c.ClusterNode, Listen: c.ClusterListen, Peers: c.ClusterPeers, Secret: secret, TLS: known,
	}, nil
}

// credentials are what the servers elsewhere want to see.
func (c *clusterSettings) credentials() (natslog.Credentials, error) {
	o := natslog.Credentials{File: c.NATSCredsFile, User: c.NATSUser}
	var err error
	if c.NATSCredsFile != "" {
		if _, err := os.Stat(c.NATSCredsFile); err != nil {
			return o, fmt.Errorf("nats-creds-file: %w", err)
		}
	}
	if c.NATSPasswordFile != "" {
		if o.Password, err = wordOf("nats-password-file", c.NATSPasswordFile); err != nil {
			return o, err
		}
	}
	if c.NATSTokenFile != "" {
		if o.Token, err = wordOf("nats-token-file", c.NATSTokenFile); err != nil {
			return o, err
		}
	}
	o.TLS, err = tlsOf("nats", c.NATSCAFile, c.NATSCertFile, c.NATSKeyFile)
	return o, err
}

// wordOf is the secret that a file holds.
func wordOf(name, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	word := strings.TrimSpace(string(text))
	if word == "" {
		return "", fmt.Errorf("%s: want a secret in %s, which is empty", name, file)
	}
	return word, nil
}

// tlsOf reads the files that settings of this prefix name; nil where none is named.
func tlsOf(prefix, ca, cert, key string) (*tls.Config, error) {
	if ca == "" && cert == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("%s-ca-file: %w", prefix, err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s-ca-file: want certificates as PEM in %s", prefix, ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s-cert-file, %s-key-file: %w", prefix, prefix, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}
