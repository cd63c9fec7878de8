package page_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports/page"
)

func TestListsWhatIsOpenNewestFirst(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "minor")
	w.raise("d2", "critical")
	acked := w.raise("d3", "warning")
	w.ack(acked.ID)
	w.clear("d3") // nobody waits for it any more
	w.clear("d1")
	a := w.enter()
	rows := a.rows()
	if a.devices() != "d2 d1" {
		t.Fatalf("devices: %s", a.devices())
	}
	if rows[0].severity != "■ critical" || rows[0].said != "of d2" || !strings.Contains(rows[0].state, "active unacknowledged") {
		t.Errorf("first row: %+v", rows[0])
	}
	if rows[1].severity != "◆ minor" || !strings.Contains(rows[1].state, "cleared 12:00:05 unacknowledged") {
		t.Errorf("second row: %+v", rows[1])
	}
	if a.marked() != "" {
		t.Errorf("on the first visit, marked: %s", a.marked())
	}
	when := all(rows[0].node, "time", "")[0]
	if text(when) != "12:00:02" || attribute(when, "datetime") != "2026-11-21T12:00:02.000Z" || attribute(when, "title") != "2026-11-21 12:00:02.000 UTC" {
		t.Errorf("time: %q %v", text(when), when.Attr)
	}
	counters := text(a.one(a.root, "ul", "counters"))
	for _, want := range []string{"1 ■ critical", "1 ◆ minor", "0 ● warning", "3 unread"} {
		if !strings.Contains(counters, want) {
			t.Errorf("counters %q: want %q", counters, want)
		}
	}
}

func TestWhatIsNewIsMarkedOnce(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "minor")
	second := w.raise("d2", "major")
	next, seconds := w.enter().refresh()
	if seconds != 5 {
		t.Errorf("the first refresh comes after %d s", seconds)
	}
	w.raise("d3", "major")
	w.clear("d1")
	w.ack(second.ID)
	w.publish(alarm.Event{Device: "d4", Type: "t", Severity: "minor"}, alarm.Event{Device: "d4", Type: "t", State: "cleared"})
	a := w.get(next)
	if got, want := a.marked(), "d4 new, d3 new, d2 acknowledged, d1 cleared"; got != want {
		t.Errorf("marked: %s, want %s", got, want)
	}
	if got := text(a.one(a.root, "p", "since")); got != "Since the last refresh: 2 new, 1 cleared, 1 acknowledged." {
		t.Errorf("summary: %q", got)
	}
	after, seconds := a.refresh()
	if after == next || seconds != 5 {
		t.Errorf("the refresh leads to %s after %d s", after, seconds)
	}
	a = w.get(after)
	if _, seconds := a.refresh(); a.marked() != "" || seconds != 30 {
		t.Errorf("on the refresh after that, marked: %q; and the next one comes after %d s", a.marked(), seconds)
	}
	if len(a.rows()) != 4 {
		t.Errorf("rows: %s", a.devices())
	}
	if again := w.get(next); again.marked() == "" {
		t.Error("the same URL does not mark the same")
	}
}

func TestWhatEndedIsShownOnceMore(t *testing.T) {
	w := newWorld(t, 0)
	r := w.raise("d1", "major")
	next := w.enter().next()
	w.clear("d1")
	w.ack(r.ID)
	a := w.get(next)
	if rows := a.rows(); len(rows) != 1 || !rows[0].done || !strings.Contains(rows[0].state, "cleared") || !strings.Contains(rows[0].state, "acknowledged by chief") {
		t.Fatalf("rows: %+v", rows)
	}
	if a = w.get(a.next()); len(a.rows()) != 0 || !strings.Contains(text(a.root), "Nothing is open") {
		t.Errorf("after that: %s", text(a.root))
	}
}

func TestANewOccurrenceTakesTheRowOfTheOld(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "major")
	next := w.enter().next()
	w.clear("d1")
	w.raise("d1", "critical")
	a := w.get(next)
	if rows := a.rows(); len(rows) != 1 || rows[0].severity != "■ critical" || rows[0].mark != "new" || !strings.Contains(rows[0].state, "1 earlier unacknowledged") {
		t.Errorf("rows: %+v", rows)
	}
}

func TestWhatIsTakenAwayLeavesTheList(t *testing.T) {
	w := newWorld(t, 0)
	w.groups("ada", "crew", "north")
	if err := w.dir.PutDevice(t.Context(), "d1", []string{"north"}); err != nil {
		t.Fatal(err)
	}
	w.raise("d1", "major")
	w.raise("d2", "major")
	next := w.enter().next()
	reader := inboxtest.Open(t, w.view, "ada", inbox.Start{})
	if _, err := reader.Read(t.Context(), 1); err != nil { // so that it begins here
		t.Fatal(err)
	}
	if err := w.dir.PutDevice(t.Context(), "d1", []string{"south"}); err != nil {
		t.Fatal(err)
	}
	go w.engine.Work(t.Context()) // ends with the test
	if _, err := reader.Next(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	a := w.get(next)
	if a.devices() != "d2" || !strings.Contains(text(a.one(a.root, "p", "since")), "1 no longer yours") {
		t.Errorf("devices %s; %s", a.devices(), text(a.one(a.root, "p", "since")))
	}
}

func TestTheNewestOfMany(t *testing.T) {
	w := newWorld(t, 0)
	for i := range page.DefaultRows + 50 {
		w.raise(fmt.Sprintf("d%03d", i), "minor")
	}
	a := w.enter()
	rows := a.rows()
	if len(rows) != page.DefaultRows || rows[0].device != "d149" || rows[len(rows)-1].device != "d050" {
		t.Fatalf("%d rows: %s", len(rows), a.devices())
	}
	if caption := text(all(a.root, "caption", "")[0]); !strings.Contains(caption, "100 listed") || !strings.Contains(caption, "150 open") {
		t.Errorf("caption: %s", caption)
	}
	w.raise("d000", "critical") // an escalation of one that is not listed
	if a = w.get(a.next()); a.marked() != "d000 updated" || len(a.rows()) != page.DefaultRows {
		t.Errorf("%d rows, marked: %s", len(a.rows()), a.marked())
	}
}

func TestPause(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "minor")
	next := w.enter().next()
	w.raise("d2", "minor")
	a := w.get(next)
	paused := w.get(a.link("Pause"))
	if next, _ := paused.refresh(); next != "" || paused.marked() != "d2 new" || !strings.Contains(text(paused.root), "paused") {
		t.Errorf("paused: refresh %q, marked %q", next, paused.marked())
	}
	w.raise("d3", "minor")
	resumed := w.get(paused.link("Resume"))
	if resumed.marked() != "d3 new" || resumed.next() == "" {
		t.Errorf("resumed: marked %q", resumed.marked())
	}
	first := w.get(w.get(page.Path).link("Pause"))
	if next, _ := first.refresh(); next != "" || first.marked() != "" {
		t.Errorf("paused on the first visit: refresh %q, marked %q", next, first.marked())
	}
}

func TestNoticesAndReading(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "minor")
	if _, err := w.engine.Notify(t.Context(), "hannah", alarm.Notice{Users: []string{"ada"}, Title: "Tonight", Body: "one\ntwo"}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	a := w.enter()
	rows := a.rows()
	if len(rows) != 2 || rows[1].severity != "□ notice" && rows[0].severity != "□ notice" {
		t.Fatalf("rows: %+v", rows)
	}
	if !strings.Contains(text(a.root), "Tonight from hannah one two") || !strings.Contains(text(a.root), "2 unread") {
		t.Errorf("page: %s", text(a.root))
	}
	b := w.post(page.PathRead, a.form(a.root, page.PathRead))
	if b.StatusCode != http.StatusSeeOther {
		t.Fatalf("reading: %s", b.Status)
	}
	a = w.get(b.Header.Get("Location"))
	if a.devices() != "d1" || !strings.Contains(text(a.root), "0 unread") || a.form(a.root, page.PathRead) != nil {
		t.Errorf("after reading: %s", text(a.root))
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t, 0)
	w.browse()
	before := w.do("GET", page.Path, nil)
	for name, a := range map[string]*answer{"login": before, "inbox": w.enter(), "asset": w.do("GET", page.PathScript, nil)} {
		for key, want := range map[string]string{
			"Content-Security-Policy": page.CSP,
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin", // or browsers send forms with Origin: null
		} {
			if got := a.Header.Get(key); got != want {
				t.Errorf("%s: %s: %q, want %q", name, key, got, want)
			}
		}
		if got := a.Header.Get("Cache-Control"); name != "asset" && got != "no-store" {
			t.Errorf("%s: Cache-Control: %q", name, got)
		}
	}
	a := w.get(page.Path)
	for at, typ := range map[string]string{
		attribute(all(a.root, "link", "")[0], "href"): "text/css", attribute(all(a.root, "script", "")[0], "src"): "text/javascript",
	} {
		if b := w.do("GET", at, nil); b.StatusCode != 200 || !strings.Contains(b.Header.Get("Cache-Control"), "immutable") || !strings.HasPrefix(b.Header.Get("Content-Type"), typ) {
			t.Errorf("%s: %s %v", at, b.Status, b.Header)
		}
	}
	for _, n := range all(a.root, "", "") {
		for _, at := range n.Attr {
			if (at.Key == "src" || at.Key == "href" || at.Key == "action") && !strings.HasPrefix(at.Val, "/inbox") {
				t.Errorf("<%s %s=%q> leads elsewhere", n.Data, at.Key, at.Val)
			}
			if at.Key == "style" || strings.HasPrefix(at.Key, "on") {
				t.Errorf("<%s %s=%q> is not allowed by our own policy", n.Data, at.Key, at.Val)
			}
		}
	}
}

// Who has script gets its refresh from script.js, and no other.
func TestTheRefreshIsForThoseWithoutScript(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "major")
	a := w.enter()
	for _, n := range all(a.root, "meta", "") {
		if attribute(n, "http-equiv") != "" && n.Parent.Data != "noscript" {
			t.Errorf("<%s %v> in <%s>", n.Data, n.Attr, n.Parent.Data)
		}
	}
	var again *html.Node
	for _, n := range all(a.root, "a", "") {
		if attribute(n, "id") == "refresh" {
			again = n
		}
	}
	next, seconds := a.refresh()
	if again == nil || attribute(again, "href") != next || attribute(again, "data-seconds") != strconv.Itoa(seconds) || attribute(again, "data-hidden") != "30" {
		t.Errorf("the link that script goes by: %+v, want %s after %d s", again, next, seconds)
	}
	if b := w.do("GET", attribute(again, "data-alive")+"&at=1", nil); b.StatusCode != 200 || strings.Contains(b.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("whether the server is there: %s %v", b.Status, b.Header)
	}
	if got := w.get(a.link("Pause")); all(got.root, "noscript", "") != nil {
		t.Error("a paused page refreshes itself")
	}
}

func TestTheIconShowsTheWorst(t *testing.T) {
	w := newWorld(t, 0)
	icon := func(a *answer) string {
		for _, n := range all(a.root, "link", "") {
			if attribute(n, "rel") == "icon" {
				return attribute(n, "href")
			}
		}
		return ""
	}
	if got := icon(w.enter()); got != page.PathIcon {
		t.Errorf("of nothing: %s", got)
	}
	seen := map[string]bool{}
	for _, severity := range []string{"warning", "minor", "major", "critical"} {
		w.raise("d-"+severity, severity)
		at := icon(w.get(page.Path))
		b := w.do("GET", at, nil)
		if at != page.PathIcon+"?worst="+severity || b.StatusCode != 200 || b.Header.Get("Content-Type") != "image/svg+xml" {
			t.Errorf("of %s: %s: %s %v", severity, at, b.Status, b.Header)
		}
		seen[b.Header.Get("Content-Length")] = true
	}
	if b := w.do("GET", page.PathIcon+"?worst=<script>", nil); strings.Contains(text(b.root), "script") || len(seen) < 3 {
		t.Errorf("icons: %v, %s", seen, text(b.root))
	}
}

func TestTheExpiredAreSentToLogIn(t *testing.T) {
	w := newWorld(t, 0)
	next := w.enter().next()
	w.browse() // the cookie is gone
	a := w.do("GET", next, nil)
	if a.StatusCode != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" {
		t.Fatalf("without a session: %s", a.Status)
	}
	w.pass(time.Second)
	w.raise("d1", "major")
	form := a.form(a.root, page.PathLogin)
	form.Set("token", "token-of-ada")
	b := w.post(page.PathLogin, form)
	if got := b.Header.Get("Location"); got != next {
		t.Fatalf("the login leads to %s, not back to %s", got, next)
	}
	if a = w.get(next); a.marked() != "d1 new" {
		t.Errorf("marked: %s", a.marked())
	}
}
