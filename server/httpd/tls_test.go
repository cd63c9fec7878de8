package httpd_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tocsin/server/httpd"
)

const patience = 20 * time.Second

// certificate is one for the loopback, in files, and a client that trusts it.
func certificate(t *testing.T) (cert, key string, client *http.Client) {
	t.Helper()
	made := httptest.NewUnstartedServer(http.NotFoundHandler())
	made.StartTLS()
	t.Cleanup(made.Close)
	pair := made.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, made.Client()
}

// Who waits for a node that is starting is told so over TLS, too, and the listener is
// given back though nobody connects.
func TestAStartingNodeGivesBackAListenerOfTLS(t *testing.T) {
	cert, key, client := certificate(t)
	c, err := httpd.LoadCertificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	public := c.Listen(plain)
	t.Cleanup(func() { _ = public.Close() })
	get := func() int {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", "https://"+public.Addr().String()+"/v1/inbox", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	var p httpd.Porch
	p.Public(public)
	if got := get(); got != 503 {
		t.Errorf("while it starts: %d", got)
	}
	closed := make(chan struct{})
	go func() { // ends when the listener is free
		p.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the listener is not given back")
	}
	client.CloseIdleConnections()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}
	defer s.Close()
	go s.Serve(public) // ends with Close
	if got := get(); got != http.StatusTeapot {
		t.Errorf("then: %d", got)
	}
}

func TestCertificatesThatAreNone(t *testing.T) {
	cert, key, _ := certificate(t)
	for name, files := range map[string][2]string{"no file": {cert + "x", key}, "no key": {cert, cert}, "nothing": {os.DevNull, os.DevNull}} {
		if _, err := httpd.LoadCertificate(files[0], files[1]); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
