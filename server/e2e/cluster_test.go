package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// A cluster is three running servers whose logs are one.
type cluster struct {
	t     *testing.T
	nodes []*server
	front string // nginx before all of them
}

// newCluster starts three nodes that know each other, behind nginx.
func newCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c := prepareCluster(t, flags...)
	c.start(c.nodes...)
	var addresses []string
	for _, s := range c.nodes {
		addresses = append(addresses, s.http)
	}
	c.front = transporttest.Nginx(t, addresses)
	return c
}

// prepareCluster is newCluster but for the start.
func prepareCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var peers []string
	for range 3 {
		peers = append(peers, transporttest.FreeAddress(t))
	}
	for i, peer := range peers {
		s := prepareServer(t, append([]string{"--cluster-node", fmt.Sprint("n", i), "--cluster-listen", peer,
			"--cluster-peers", strings.Join(peers, ",")}, flags...)...)
		s.flags = append(s.flags, "--cluster-secret-file", s.secretFile())
		c.nodes = append(c.nodes, s)
	}
	return c
}

// start starts these nodes at once: none comes up before most of them do.
func (c *cluster) start(nodes ...*server) {
	c.t.Helper()
	startAll(c.t, nodes...)
}

// others are the nodes besides one.
func (c *cluster) others(one *server) (list []*server) {
	for _, s := range c.nodes {
		if s != one {
			list = append(list, s)
		}
	}
	return list
}

// leader is the node that leads the log, as the others see it.
func (c *cluster) leader() *server {
	c.t.Helper()
	var found *server
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	waitFor(ctx, nil, func() bool {
		for _, s := range c.nodes {
			a, err := request(ctx, "GET", "http://"+s.ops+"/metrics", "", "")
			if err == nil && strings.Contains(a.body, "\ntocsin_log_leader 1\n") {
				found = s
				return true
			}
		}
		return false
	})
	if found == nil {
		c.t.Fatal("nobody leads the log")
	}
	return found
}

// publishUntil sends one alarm with one id over the nodes in turn until it is
// stored, and says how often it took and how long.
func publishUntil(ctx context.Context, nodes []*server, id string) (time.Duration, error) {
	began := time.Now()
	body := fmt.Sprintf(`{"id":%q,"device":"d-%s","type":"t","severity":"major"}`, id, id)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := 0; ctx.Err() == nil; i++ {
		s := nodes[i%len(nodes)]
		r, err := http.NewRequestWithContext(ctx, "POST", s.url()+"/v1/alarms", strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		r.Header.Set("Authorization", "Bearer "+s.root())
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		if err == nil {
			var got struct {
				Results []struct{ Status string }
			}
			stored := resp.StatusCode == 202 && json.NewDecoder(resp.Body).Decode(&got) == nil &&
				len(got.Results) == 1 && got.Results[0].Status == "raised"
			resp.Body.Close()
			if stored {
				return time.Since(began), nil
			}
		}
		pause(ctx, 20*time.Millisecond)
	}
	return 0, ctx.Err()
}

// The leader of the log is killed: alarms flow again within five seconds.
func TestTheLeaderOfTheLogDiesAndAlarmsFlowAgain(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range 2 {
		dead := c.leader()
		if _, err := publishUntil(ctx, c.nodes, fmt.Sprint("before-", round)); err != nil {
			t.Fatal(err)
		}
		dead.kill()
		took, err := publishUntil(ctx, c.others(dead), fmt.Sprint("after-", round))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %v", round, took)
		if took > 5*time.Second {
			t.Errorf("round %d: alarms flow again after %v", round, took)
		}
		c.start(dead)
	}
}
