package httpd

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// A node without clients goes on answering until others know that it goes, and each
// answer closes its connection.
func TestADrainLingers(t *testing.T) {
	const linger = 500 * time.Millisecond
	w := newWorld(t, func(o *Options) { o.DrainSpread, o.Linger = time.Minute, linger })
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.server.Shutdown(ctx) }() // ends with the drain
	w.until("it says that it goes", w.server.Draining)
	w.do("POST", "/v1/alarms", `{"device":"d","type":"t","severity":"major"}`).want(202)
	w.do("GET", "/v1/inbox?wait=20", "").want(200, `"interval":1`)
	w.do("GET", "/v1/inbox/sse", "").problem(503, "draining")
	resp, err := http.Get(w.ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("ready: %s", resp.Status)
	}
	if resp, err = http.Get(w.url + "/v1/transports"); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%s, and the connection closes: %v", resp.Status, resp.Close)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < linger || took > 10*linger {
		t.Errorf("the drain took %s", took)
	}
}
