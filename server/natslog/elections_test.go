package natslog_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// The names in elections.go are the engine's own variables: each has the engine's
// default before we set it, which one of ours would not. A process of its own looks,
// as others of these tests set them.
func TestTheTimesOfElectionsAreTheEngines(t *testing.T) {
	const child = "TOCSIN_TEST_ELECTIONS"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTheTimesOfElectionsAreTheEngines$")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	defaults := []time.Duration{4 * time.Second, 9 * time.Second, time.Second, 10 * time.Second, 10 * time.Second}
	if got := natslog.EngineElections(); !slices.Equal(got, defaults) {
		t.Errorf("the engine has %v, want its defaults %v", got, defaults)
	}
	natslog.HurryElections()
	if got := natslog.EngineElections(); slices.Contains(got, 0) || got[0] >= defaults[0] {
		t.Errorf("then it has %v", got)
	}
}

// certified is TLS for a node on the loopback, signed by one authority.
func certified(t *testing.T, n int) []*tls.Config {
	t.Helper()
	make := func(c *x509.Certificate, by *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			by, key = c, own
		}
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, by, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made, own
	}
	ca, key := make(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	var all []*tls.Config
	for i := range n {
		c, own := make(&x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, ca, key)
		all = append(all, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
			Certificates: []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: own}}})
	}
	return all
}

// Nodes with certificates of one authority and one secret are a cluster; one with
// another secret, or a certificate of nobody they know, is not let in.
func TestStrangersAreNoNodesOfACluster(t *testing.T) {
	good := certified(t, 3)
	for name, change := range map[string]func(c *natslog.Cluster){
		"secret":      func(c *natslog.Cluster) { c.Secret = "guessed" },
		"certificate": func(c *natslog.Cluster) { c.TLS = certified(t, 1)[0] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			c := newNodes(t)
			for i := range c.options {
				c.options[i].Cluster.TLS = good[i]
			}
			c.start(t)
			shut(t, c.logs[2])
			c.logs[2] = nil
			own := c.options[2]
			other := *own.Cluster
			change(&other)
			stranger := own
			stranger.Dir, stranger.Cluster = t.TempDir(), &other
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if l, err := natslog.Open(ctx, stranger); err == nil {
				_ = l.Close(context.Background())
				t.Error("a stranger was let in")
			}
			began := time.Now()
			c.start(t) // the one whose place it wanted to take
			t.Logf("the node itself came in within %v", time.Since(began))
			if r := c.logs[2].Append(t.Context(), inbox.Proposal{Subject: "alarm.d.t._", Data: []byte("{}")}); r[0].Err != nil {
				t.Error(r[0].Err)
			}
		})
	}
}
