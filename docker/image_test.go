package docker

import (
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTheImageWorks runs the Dockerfile's steps, and what comes of them, without a
// container engine.
func TestTheImageWorks(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "./try.sh").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "it works in its image") {
		t.Fatalf("try.sh: %v\n%s", err, out)
	}
	size := regexp.MustCompile(`the image is (\d+) KiB`).FindStringSubmatch(string(out))
	if kib, err := strconv.Atoi(size[1]); err != nil || kib > 60_000 {
		t.Errorf("the image has grown to %s KiB", size[1])
	}
}

// freeAddress is one on the loopback that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestTheComposedClusterIsOne serves with the settings of compose.cluster.yml, but on
// the loopback, and sees that the nodes are one.
func TestTheComposedClusterIsOne(t *testing.T) {
	var c compose
	document(t, "compose.cluster.yml", &c)
	here := map[string]string{} // by the name in the file
	var names []string
	for name, s := range c.Services {
		if s.Image == "tocsin" {
			here[name+":6222"] = freeAddress(t)
			names = append(names, name)
		}
	}
	nodes := make([]*node, len(names))
	began := make(chan int, len(names))
	for i, name := range names {
		var flags []string
		for key, value := range c.Services[name].Environment {
			switch {
			case strings.HasSuffix(key, "_LISTEN"):
				value = here[name+value]
			case strings.HasSuffix(key, "_PEERS"):
				for there, address := range here {
					value = strings.ReplaceAll(value, there, address)
				}
			case strings.HasSuffix(key, "_FILE"):
				value = secret
			}
			flags = append(flags, "--"+strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(key, "TOCSIN_"), "_", "-")), value)
		}
		nodes[i] = launch(t, flags...)
		go func() { nodes[i].await(); began <- i }() // ends when the node serves or has ended
	}
	for range nodes {
		<-began
	}
	if t.Failed() {
		return
	}
	if got := nodes[0].do("POST", nodes[0].http+"/v1/alarms", `{"device":"d","type":"t","severity":"critical"}`); !strings.Contains(got, `"raised"`) {
		t.Fatal(got)
	}
	for _, want := range []string{"tocsin_log_servers 3", "tocsin_log_servers_current 3", `tocsin_view_open_alarms{severity="critical"} 1`, "tocsin_ready 1"} {
		for i, n := range nodes {
			deadline := time.Now().Add(patience)
			for tick := time.NewTicker(50 * time.Millisecond); !strings.Contains(n.do("GET", n.ops+"/metrics", ""), "\n"+want+"\n"); <-tick.C {
				if time.Now().After(deadline) {
					t.Fatalf("%s has not %s", names[i], want)
				}
			}
		}
	}
	var leaders, workers int
	for _, n := range nodes {
		text := n.do("GET", n.ops+"/metrics", "")
		leaders += strings.Count(text, "\ntocsin_log_leader 1\n")
		workers += strings.Count(text, "\n"+`tocsin_lease_held{lease="worker"} 1`+"\n")
	}
	if leaders != 1 || workers != 1 {
		t.Errorf("%d nodes lead the log, %d do what needs a clock", leaders, workers)
	}
}
