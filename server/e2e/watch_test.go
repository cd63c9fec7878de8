package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A watcher is a real browser that looks at the live page.
type watcher struct {
	ctx   context.Context
	group string
}

// watch opens the live page in headless Chromium, for one who sees the group.
func watch(t *testing.T, s *server, base, group string) *watcher {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: 'make setup' installs it")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	w := &watcher{ctx: ctx, group: group}
	if err := chromedp.Do(ctx, chromedp.Navigate(base+"/#token="+s.token("watcher", "inbox", w.group))); err != nil {
		t.Fatalf("open the live page: %v", err)
	}
	const live = `document.querySelector("tocsin-inbox")?.inbox?.state.name ?? ""`
	state := ""
	soon, end := contextUntil(t, func() bool {
		if state, err = chromedp.Run(ctx, chromedp.Evaluate[string](live)); err != nil {
			t.Errorf("read the live page: %v", err)
			return true
		}
		return state == "live"
	})
	defer end()
	<-soon.Done()
	if state != "live" {
		t.Fatalf("the live page is %q", state)
	}
	return w
}

// rows reads what is open for the browser: device, type and how often; and last how
// many it says that it shows. The document itself has only the lines in sight.
func (w *watcher) rows() (rows []string, err error) {
	const read = `(() => {
		const element = document.querySelector("tocsin-inbox");
		const open = element.inbox.alarms().filter((alarm) => alarm.active || !alarm.acked);
		const shown = element.shadowRoot.querySelector(".foot").textContent.split(" ")[0];
		return [...open.map(({ device, type, count }) => [device, type, count].join(" ")), "shown " + shown];
	})()`
	rows, err = chromedp.Run(w.ctx, chromedp.Evaluate[[]string](read))
	slices.Sort(rows)
	return rows, err
}

// check wants the browser's list to be what GET /v1/inbox gives, soon.
func (w *watcher) check(t *testing.T, s *server) {
	t.Helper()
	var page struct {
		Entries []struct {
			Alarm struct {
				Device, Type string
				Count        int
			}
		}
	}
	a := s.want(s.request("GET", "/v1/inbox?snapshot=active&limit=1000", s.token("watcher", "inbox", w.group), ""), 200)
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range page.Entries {
		want = append(want, fmt.Sprint(e.Alarm.Device, " ", e.Alarm.Type, " ", e.Alarm.Count))
	}
	want = append(want, fmt.Sprint("shown ", len(want)))
	slices.Sort(want)
	var got []string
	ctx, cancel := contextUntil(t, func() bool {
		var err error
		if got, err = w.rows(); err != nil {
			t.Errorf("read the live page: %v", err)
			return true
		}
		return slices.Equal(got, want)
	})
	defer cancel()
	<-ctx.Done()
	if !slices.Equal(got, want) || len(want) == 1 {
		t.Errorf("the browser shows %d rows, the inbox has %d:\n%s\n\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
