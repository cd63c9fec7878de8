package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// disturb does all that is not publishing and reading: clerks who acknowledge, an
// administrator who kicks, readers who do not read, and clients that know nothing.
func (k *soak) disturb(ctx context.Context, all *sync.WaitGroup, hoppers []*hopper) {
	all.Go(func() { k.clerk(ctx) }) // ends with the load
	all.Go(func() {                 // ends with the load
		for n := k.turn; ctx.Err() == nil; n++ {
			pause(ctx, k.long/5)
			if ctx.Err() == nil {
				k.kicked++
				k.status(ctx, "DELETE", "/v1/users/"+hoppers[n%len(hoppers)].user+"/connections", k.s.root(), "", 200, 204)
			}
		}
	})
	for i := range soakSlow {
		all.Go(func() { k.dawdle(ctx, i) }) // ends with the load
	}
	all.Go(func() { k.strangers(ctx) }) // ends with the load
	all.Go(func() {                     // ends with the load
		for i := range 3 {
			out, err := k.s.mosquitto(k.s.token("meter", "publish", "*"), "-q", "1", "-t", fmt.Sprint("alarms/device-", i),
				"-m", `{"type":"t0","severity":"minor"}`)
			if err != nil {
				k.t.Errorf("turn %d: over MQTT: %s %v", k.turn, out, err)
			}
			pause(ctx, k.long/4)
		}
	})
}

// clerk acknowledges, shelves, comments, reads and looks things up.
func (k *soak) clerk(ctx context.Context) {
	token := k.s.token("clerk", "inbox admin", "*")
	for ctx.Err() == nil {
		var list struct{ Alarms []struct{ ID string } }
		if body := k.status(ctx, "GET", "/v1/alarms?state=unacked&limit=12", token, "", 200); body == "" {
			continue
		} else if err := json.Unmarshal([]byte(body), &list); err != nil {
			k.t.Error(err)
			return
		}
		for i, a := range list.Alarms {
			at := "/v1/alarms/" + a.ID
			switch i % 4 {
			case 0, 1:
				k.status(ctx, "POST", at+"/ack", token, `{"note":"seen"}`, 200, 409)
			case 2:
				k.status(ctx, "POST", at+"/shelve", token, shelf("shelve", time.Now().Add(time.Second)), 200, 409)
			default:
				k.status(ctx, "POST", at+"/comment", token, `{"note":"hm"}`, 200, 409)
				k.status(ctx, "GET", at+"/history?limit=10", token, "", 200, 404)
			}
		}
		k.status(ctx, "POST", "/v1/inbox/read", token, `{"upto":"latest"}`, 200)
		k.status(ctx, "GET", "/v1/presence", token, "", 200)
		k.status(ctx, "GET", "/v1/transports", token, "", 200)
		pause(ctx, 300*time.Millisecond)
	}
}

// dawdle opens a stream and does not read it, and then another one.
func (k *soak) dawdle(ctx context.Context, i int) {
	token := k.s.token(fmt.Sprint("slow-", i), "inbox", "*")
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", strings.TrimPrefix(k.s.url(), "http://"))
		if err != nil {
			return
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(2 << 10)
		_, _ = fmt.Fprintf(conn, "GET /v1/inbox/sse?cursor=earliest&pad=8192 HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer %s\r\n\r\n", token)
		pause(ctx, 4*time.Second)
		_ = conn.Close()
	}
}

// strangers come with what is not good: no token, a ticket that was used, half a
// request, a handshake that is none.
func (k *soak) strangers(ctx context.Context) {
	token := k.s.token("stranger", "inbox", "g0")
	for ctx.Err() == nil {
		k.status(ctx, "GET", "/v1/inbox", "", "", 401)
		k.status(ctx, "GET", "/v1/inbox/sse", "nonsense", "", 401)
		var answer struct{ Ticket string }
		if body := k.status(ctx, "POST", "/v1/ticket", token, "", 200); body != "" && json.Unmarshal([]byte(body), &answer) == nil {
			k.status(ctx, "GET", "/v1/inbox?ticket="+answer.Ticket, "", "", 200)
			k.status(ctx, "GET", "/v1/inbox?ticket="+answer.Ticket, "", "", 401)
		}
		for _, half := range []string{"", "GET /v1/inb", "POST /v1/alarms HTTP/1.1\r\nHost: gw\r\nContent-Length: 99\r\n\r\n{",
			"GET /v1/inbox/ws HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n\x81"} {
			if conn, err := net.Dial("tcp", strings.TrimPrefix(k.s.url(), "http://")); err == nil {
				_, _ = io.WriteString(conn, half)
				pause(ctx, 100*time.Millisecond)
				_ = conn.Close()
			}
		}
		pause(ctx, 500*time.Millisecond)
	}
}

// Standing is what a server has at rest.
type standing struct {
	goroutines, files int
	heap, resident    int // bytes; heap is what lives after a collection
	entries           int // that the log has ever had
}

func (f standing) String() string {
	return fmt.Sprintf("%d goroutines, %d files, heap %.1f MiB, resident %.1f MiB, %d entries", f.goroutines, f.files,
		float64(f.heap)/(1<<20), float64(f.resident)/(1<<20), f.entries)
}

// What a server at rest may have more than at first. A turn has some 60 clients, who
// connect some 300 times, so that whatever each of them left behind would be many
// times as much. Goroutines and files: the log's own come and go with its parts and
// timers. The heap: alarms that are open, and the newest part of the log, differ by
// chance; and lists remember the newest changes (docs/architecture.md §5). Resident:
// what the runtime has given back differs, and pieces stay.
const (
	changeBytes, changesKept = 40, 131_072

	moreGoroutines = 12
	moreFiles      = 12
	moreHeap       = 4 << 20
	moreResident   = 24 << 20
)

// beyond tells what has grown by more than it may.
func (f standing) beyond(base standing) (wrong []string) {
	changes := changeBytes * min(f.entries-base.entries, changesKept)
	for _, one := range []struct {
		what            string
		now, then, more int
	}{
		{"goroutines", f.goroutines, base.goroutines, moreGoroutines},
		{"files", f.files, base.files, moreFiles},
		{"bytes of heap", f.heap, base.heap, base.heap/10 + moreHeap + changes},
		{"bytes resident", f.resident, base.resident, base.resident/10 + moreResident + changes},
	} {
		if one.now > one.then+one.more {
			wrong = append(wrong, fmt.Sprintf("%d %s have become %d, at most %d more are expected", one.then, one.what, one.now, one.more))
		}
	}
	return wrong
}

// restTime is how long a server may take to come to rest. The log keeps what it has
// read and written last, up to 8 MiB, for ten seconds; and then the node gives memory
// back within four.
const restTime = 16 * time.Second

// measure waits until everybody has gone, and then for the least that the server has
// while it comes to rest.
func (k *soak) measure() (least standing) {
	k.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	n := k.connections()
	for ; n != 0 && ctx.Err() == nil; n = k.connections() {
		pause(ctx, 200*time.Millisecond)
	}
	if n != 0 {
		k.t.Errorf("turn %d: %d connections have not gone", k.turn, n)
	}
	least = k.look()
	for rested := time.Now().Add(restTime); time.Now().Before(rested); pause(k.t.Context(), time.Second) {
		one := k.look()
		least = standing{min(least.goroutines, one.goroutines), min(least.files, one.files), min(least.heap, one.heap), min(least.resident, one.resident), one.entries}
	}
	return least
}

// connections are those of all transports that the server counts.
func (k *soak) connections() (n int) {
	for name, value := range k.metrics() {
		if strings.HasPrefix(name, "tocsin_connections{") {
			n += int(value)
		}
	}
	return n
}

// Where profiles say how much there is.
var (
	heapAlloc  = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	goroutines = regexp.MustCompile(`^goroutine profile: total (\d+)`)
)

// look is what the server has now, after a collection. It does not ask for metrics:
// they look at the oldest entry, for which the log keeps a part of itself in memory.
func (k *soak) look() standing {
	k.t.Helper()
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(k.s.cmd.Process.Pid), "fd"))
	if err != nil {
		k.t.Fatal(err)
	}
	var stats struct{ Head int }
	k.s.want(k.s.request("GET", "/v1/stats", k.s.root(), ""), 200).json(k.t, &stats)
	return standing{entries: stats.Head, goroutines: k.profile("goroutine?debug=1", goroutines), files: len(files),
		heap: k.profile("heap?gc=1&debug=1", heapAlloc), resident: k.s.resident()}
}

// profile is a number that a profile of the server's begins or ends with.
func (k *soak) profile(name string, number *regexp.Regexp) int {
	k.t.Helper()
	a, err := request(k.t.Context(), "GET", "http://"+k.s.ops+"/debug/pprof/"+name, "", "")
	if err != nil {
		k.t.Fatal(err)
	}
	found := number.FindStringSubmatch(a.body)
	if found == nil {
		k.t.Fatalf("the profile %s has no %v", name, number)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		k.t.Fatal(err)
	}
	return n
}

// metrics are the server's, by name and labels.
func (k *soak) metrics() map[string]float64 {
	k.t.Helper()
	a, err := request(k.t.Context(), "GET", "http://"+k.s.ops+"/metrics", "", "")
	if err != nil {
		k.t.Fatal(err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(a.body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			all[name], _ = strconv.ParseFloat(value, 64) // a help line has no number
		}
	}
	return all
}

// The soak would notice: what leaves something behind for every connection is
// beyond what is expected, what differs by chance is not.
func TestTheSoakNoticesWhatGrows(t *testing.T) {
	base := standing{goroutines: 120, files: 40, heap: 20 << 20, resident: 70 << 20}
	for _, grown := range []standing{{goroutines: 300}, {files: 300}, {heap: 10 << 20}, {resident: 40 << 20}} {
		now := standing{base.goroutines + grown.goroutines, base.files + grown.files, base.heap + grown.heap, base.resident + grown.resident, 3000}
		if wrong := now.beyond(base); len(wrong) != 1 {
			t.Errorf("%v is found %q", now, wrong)
		}
	}
	if wrong := (standing{125, 44, 22 << 20, 80 << 20, 3000}).beyond(base); len(wrong) > 0 {
		t.Errorf("found %q", wrong)
	}
	k := &soak{t: t, s: newServer(t)}
	if got := k.look(); got.goroutines < runtime.NumCPU() || got.files < 5 || got.heap < 1<<20 || got.resident < got.heap {
		t.Errorf("a server has %v", got)
	}
}
