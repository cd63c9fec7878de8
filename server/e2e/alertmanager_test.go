package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// An alertmanager is a running Prometheus Alertmanager that notifies a server.
type alertmanager struct {
	t    *testing.T
	url  string
	seen func() string // what there is instead, for a test that fails
}

// newAlertmanager starts the one that Debian packages, impatient enough for a
// test: it groups for 200 ms and repeats itself every two seconds.
func newAlertmanager(t *testing.T, webhook, token string) *alertmanager {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Fatalf("Alertmanager is needed, .ci/setup installs it: %v", err)
	}
	dir, address := t.TempDir(), transporttest.FreeAddress(t)
	conf := fmt.Sprintf(`
route: {receiver: tocsin, group_by: [job], group_wait: 200ms, group_interval: 500ms, repeat_interval: 2s}
receivers:
  - name: tocsin
    webhook_configs:
      - url: %s
        send_resolved: true
        http_config: {authorization: {credentials: %s}}
`, webhook, token)
	file := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	told := &tailBuffer{}
	run := exec.Command(program, "--config.file="+file, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	run.Stdout, run.Stderr = told, told
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- run.Wait() }() // ends with the process
	t.Cleanup(func() {
		run.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-exited:
			if err != nil || t.Failed() {
				t.Logf("Alertmanager: %v\n%s", err, told)
			}
		case <-time.After(patience):
			run.Process.Kill()
			t.Errorf("Alertmanager does not end:\n%s", told)
		}
	})
	a := &alertmanager{t, "http://" + address, func() string { return "" }}
	a.until("Alertmanager is ready", func() bool {
		got, err := request(t.Context(), "GET", a.url+"/-/ready", "", "")
		return err == nil && got.status == 200
	})
	return a
}

// until waits until it holds.
func (a *alertmanager) until(what string, holds func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); pause(a.t.Context(), 50*time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("not in time: %s%s", what, a.seen())
		}
	}
}

// post tells Alertmanager of alerts of one group, as Prometheus does; a zero end
// is one that fires.
func (a *alertmanager) post(start, end time.Time, names ...string) {
	a.t.Helper()
	var alerts []map[string]any
	for _, name := range names {
		one := map[string]any{
			"labels":      map[string]string{"alertname": name, "instance": "web-1:9100", "job": "node", "severity": "page"},
			"annotations": map[string]string{"summary": name + " is wrong"}, "startsAt": start,
		}
		if !end.IsZero() {
			one["endsAt"] = end
		}
		alerts = append(alerts, one)
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		a.t.Fatal(err)
	}
	if got, err := request(a.t.Context(), "POST", a.url+"/api/v2/alerts", "", string(body)); err != nil || got.status != 200 {
		a.t.Fatalf("Alertmanager answers %d %s, %v", got.status, got.body, err)
	}
}

// metric reads one number of a page of metrics.
func metric(t *testing.T, url, name string) int {
	t.Helper()
	got, err := request(t.Context(), "GET", url+"/metrics", "", "")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(got.body)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// lives writes what readers were told of each alarm, in order: the kind of entry,
// the occurrence and the count.
func lives(t *testing.T, s *server) map[string]string {
	t.Helper()
	told := map[string]string{}
	for cursor, more := "earliest", true; more; {
		a := s.want(s.request("GET", "/v1/inbox?limit=1000&cursor="+cursor, s.root(), ""), 200)
		var page struct {
			Cursor  string
			More    bool
			Entries []struct {
				Type  string
				Alarm struct {
					Type, Device, Severity, Message string
					Occurrence, Count               int
				}
			}
		}
		a.json(t, &page)
		for _, e := range page.Entries {
			told[e.Alarm.Type] += fmt.Sprintf("%s %d/%d ", strings.TrimPrefix(e.Type, "alarm."), e.Alarm.Occurrence, e.Alarm.Count)
			if e.Alarm.Device != "web-1:9100" || e.Alarm.Severity != "critical" || e.Alarm.Message != e.Alarm.Type+" is wrong" {
				t.Errorf("%+v", e.Alarm)
			}
		}
		cursor, more = page.Cursor, page.More
	}
	return told
}

// A real Alertmanager groups, repeats, resolves and fires again; the inbox shows
// each alert once, with its life.
func TestARealAlertmanager(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--fold", "0")
	a := newAlertmanager(t, s.url()+"/v1/ingest/alertmanager", s.token("prometheus", "publish"))
	start := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	ops := "http://" + s.ops
	a.seen = func() string {
		got, err := request(t.Context(), "GET", ops+"/metrics", "", "")
		events := regexp.MustCompile(`(?m)^tocsin_events_total.*$`).FindAllString(got.body, -1)
		return fmt.Sprintf("\n%v\n%v %v", lives(t, s), events, err)
	}
	told := func(name, want string) {
		t.Helper()
		a.until(name+": "+want, func() bool { return lives(t, s)[name] == want })
	}
	repeats := func(n int) {
		t.Helper()
		had := metric(t, ops, `tocsin_events_total{door="alertmanager",status="unchanged"}`)
		a.until("it repeats itself", func() bool {
			return metric(t, ops, `tocsin_events_total{door="alertmanager",status="unchanged"}`) >= had+n
		})
	}
	a.post(start, time.Time{}, "Load", "Disk")
	told("Load", "raised 1/1 ")
	told("Disk", "raised 1/1 ")
	repeats(4)
	a.post(start, time.Time{}, "Memory") // the group changes, so all of it is sent
	told("Memory", "raised 1/1 ")
	repeats(3)
	a.post(start, time.Now(), "Load")
	told("Load", "raised 1/1 cleared 1/1 ")
	repeats(2)
	// While the server is away, Alertmanager keeps trying.
	s.kill()
	a.post(start, time.Now(), "Disk")
	failed := `alertmanager_notifications_failed_total{integration="webhook"}`
	a.until("it fails", func() bool {
		return metric(t, a.url, `alertmanager_notification_requests_failed_total{integration="webhook"}`)+metric(t, a.url, failed) > 0
	})
	s.start()
	told("Disk", "raised 1/1 cleared 1/1 ")
	// It begins again, another time; and once as if it had never ended, as after a
	// silence of Prometheus.
	a.post(time.Now(), time.Time{}, "Disk")
	told("Disk", "raised 1/1 cleared 1/1 raised 2/1 ")
	a.post(start, time.Time{}, "Load")
	told("Load", "raised 1/1 cleared 1/1 raised 2/1 ")
	repeats(3)
	a.post(start, time.Now(), "Load", "Disk", "Memory")
	told("Load", "raised 1/1 cleared 1/1 raised 2/1 cleared 2/1 ")
	told("Disk", "raised 1/1 cleared 1/1 raised 2/1 cleared 2/1 ")
	told("Memory", "raised 1/1 cleared 1/1 ")
	if n := metric(t, ops, `tocsin_events_total{door="alertmanager",status="rejected"}`); n != 0 {
		t.Errorf("%d events were rejected", n)
	}
	// What cannot be taken is put aside, and does not fail what is sent with it.
	before := metric(t, a.url, failed)
	a.post(time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, "Ancient")
	a.post(time.Now(), time.Time{}, "Fan")
	told("Fan", "raised 1/1 ")
	a.until("the dead letter", func() bool {
		out, errs, err := s.tocsin(t.Context(), "deadletters", "--json", "--url", s.url(), "--token", s.root())
		if err != nil {
			t.Fatalf("%v\n%s", err, errs)
		}
		return strings.Contains(out, `"door":"alertmanager","publisher":"prometheus","device":"web-1:9100"`) && strings.Contains(out, "Ancient")
	})
	if after := metric(t, a.url, failed); after != before {
		t.Errorf("%d notifications failed for a bad alert", after-before)
	}
}
