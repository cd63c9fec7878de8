package page_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"tocsin/server/alarm"
	"tocsin/transports/page"
)

// forms are those below the element, by what they do.
func (a *answer) forms(n *html.Node) map[string]url.Values {
	a.t.Helper()
	found := map[string]url.Values{}
	for _, f := range all(n, "form", "") {
		fields := url.Values{}
		for _, in := range all(f, "input", "") {
			if name := attribute(in, "name"); name != "" && attribute(in, "type") != "checkbox" {
				fields.Add(name, attribute(in, "value"))
			}
		}
		for _, list := range all(f, "select", "") {
			fields.Set(attribute(list, "name"), attribute(all(list, "option", "")[0], "value"))
		}
		switch op := fields.Get("op"); {
		case attribute(f, "action") == page.PathDo:
			found[op] = fields
		case attribute(f, "action") == page.PathAck:
			found["ack"] = fields
		}
	}
	return found
}

func names(forms map[string]url.Values) string {
	var list []string
	for _, op := range []string{"ack", "unack", "shelve", "unshelve", "comment", "clear"} {
		if forms[op] != nil {
			list = append(list, op)
		}
	}
	return strings.Join(list, " ")
}

func TestEveryOperationByForm(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "major")
	a := w.enter()
	if got := names(a.forms(a.root)); got != "ack" {
		t.Errorf("a page that refreshes itself has forms to %s, want ack alone", got)
	}
	paused := a.link("Pause")
	for _, step := range []struct{ has, op, note, state string }{
		{"ack shelve comment clear", "ack", "mine", "active acknowledged by ada 12:00:01 (mine)"},
		{"unack shelve comment clear", "unack", "", "active unacknowledged"},
		{"ack shelve comment clear", "shelve", "", "active shelved until 13:00:01 by ada unacknowledged"},
		{"ack shelve unshelve comment clear", "unshelve", "", "active unacknowledged"},
		{"ack shelve comment clear", "comment", "hm", "active unacknowledged 1 comment"},
		{"ack shelve comment clear", "comment", "hm again", "active unacknowledged 2 comments"},
		{"ack shelve comment clear", "clear", "replaced", "cleared 12:00:01 (forced) unacknowledged 2 comments"},
		{"ack shelve comment", "ack", "", "cleared 12:00:01 (forced) acknowledged by ada 12:00:01 2 comments"},
	} {
		a = w.get(paused)
		forms := a.forms(a.rows()[0].node)
		if got := names(forms); got != step.has {
			t.Errorf("before %s there are forms to %s, want %s", step.op, got, step.has)
		}
		if step.note != "" {
			forms[step.op].Set("note", step.note)
		}
		path := page.PathDo
		if step.op == "ack" {
			path = page.PathAck
		}
		b := w.post(path, forms[step.op])
		if b.StatusCode != http.StatusSeeOther || !strings.Contains(b.Header.Get("Location"), "pause=1") {
			t.Fatalf("%s: %s to %s", step.op, b.Status, b.Header.Get("Location"))
		}
		paused = b.Header.Get("Location")
		state, _, _ := strings.Cut(w.get(paused).rows()[0].state, " History")
		if state != step.state {
			t.Errorf("after %s: %q, want %q", step.op, state, step.state)
		}
	}
}

func TestFormsInBounds(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "major")
	a := w.get(w.enter().link("Pause"))
	forms := a.forms(a.root)
	if got := forms["shelve"].Get("for"); got != "1h" {
		t.Errorf("to shelve: %q first", got)
	}
	for _, hours := range []string{"1h", "8h", "24h"} {
		forms["shelve"].Set("for", hours)
		if b := w.post(page.PathDo, forms["shelve"]); b.StatusCode != http.StatusSeeOther {
			t.Errorf("shelve for %s: %s", hours, b.Status)
		}
	}
	for _, bad := range []struct {
		op, field, value string
		status           int
	}{
		{"shelve", "for", "720h", 400}, {"shelve", "for", "", 400}, {"shelve", "id", "", 400}, {"shelve", "op", "dance", 422},
		{"shelve", "csrf", "x", 403}, {"shelve", "id", "none", 404}, {"clear", "note", "", 422}, {"comment", "note", " ", 422},
		{"comment", "note", strings.Repeat("x", alarm.MaxNoteBytes+1), 422},
	} {
		form := url.Values{}
		for name, values := range forms[bad.op] {
			form[name] = values
		}
		form.Set(bad.field, bad.value)
		if b := w.post(page.PathDo, form); b.StatusCode != bad.status {
			t.Errorf("%s with %s=%.20q: %s, want %d", bad.op, bad.field, bad.value, b.Status, bad.status)
		}
	}
	if b := w.do("POST", page.PathDo, forms["comment"], "Origin", "http://elsewhere.example"); b.StatusCode != http.StatusForbidden {
		t.Errorf("from elsewhere: %s", b.Status)
	}
}

func TestAcknowledgeWhatIsTicked(t *testing.T) {
	w := newWorld(t, 0)
	for _, device := range []string{"d1", "d2", "d3", "d4"} {
		w.raise(device, "major")
	}
	w.ack(w.raise("d5", "minor").ID)
	a := w.get(w.enter().link("Select"))
	if next, _ := a.refresh(); next != "" {
		t.Error("the page would refresh itself and forget what is ticked")
	}
	if n := len(all(a.root, "form", "")); n != 3 { // this, read, logout
		t.Errorf("%d forms: one would stand in another", n)
	}
	var boxes []string
	for _, in := range all(a.root, "input", "") {
		if attribute(in, "type") == "checkbox" {
			boxes = append(boxes, attribute(in, "value"))
		}
	}
	if len(boxes) != 4 {
		t.Fatalf("%d boxes, want 4", len(boxes))
	}
	form := a.forms(a.root)["ack"]
	button := form.Get("all")
	form.Del("all")
	if b := w.post(page.PathAck, form); b.StatusCode != http.StatusBadRequest {
		t.Errorf("with nothing ticked: %s", b.Status)
	}
	form["id"] = slices.Repeat(boxes[:1], alarm.MaxCommands+1)
	if b := w.post(page.PathAck, form); b.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("with %d ids: %s", len(form["id"]), b.Status)
	}
	form["id"] = append([]string{boxes[1]}, slices.Repeat(boxes[:1], alarm.MaxCommands-1)...)
	form.Set("note", "seen")
	b := w.post(page.PathAck, form)
	a = w.get(b.Header.Get("Location"))
	if got := strings.Count(text(a.root), "(seen)"); got != 2 || b.StatusCode != http.StatusSeeOther {
		t.Errorf("%s, %d acknowledged, want 2", b.Status, got)
	}
	if button != "Acknowledge all shown" {
		t.Fatalf("the button to acknowledge all: %q", button)
	}
	form.Set("all", button)
	form.Del("id")
	a = w.get(w.post(page.PathAck, form).Header.Get("Location"))
	if strings.Contains(text(a.root), "unacknowledged") || strings.Count(text(a.root), "(seen)") != 4 {
		t.Errorf("after all: %s", text(a.root))
	}
	for _, link := range a.texts("a") {
		if link == "Select" {
			t.Error("there is nothing to select any more")
		}
	}
}

// texts are what the elements of this name say.
func (a *answer) texts(name string) (texts []string) {
	for _, n := range all(a.root, name, "") {
		texts = append(texts, text(n))
	}
	return texts
}

func TestAPageTellsWhatHappenedToAnAlarm(t *testing.T) {
	w := newWorld(t, 0)
	id := w.raise("d1", "minor").ID
	w.publish(alarm.Event{Device: "d1", Type: "t", Severity: "critical"})
	w.ack(id)
	a := w.enter()
	b := w.get(a.link("History"))
	if !strings.Contains(text(b.root), "Inbox of ada") || names(b.forms(b.root)) != "unack shelve comment clear" {
		t.Errorf("forms to %s on %s", names(b.forms(b.root)), text(b.root))
	}
	form := b.forms(b.root)["comment"]
	form.Set("note", "on my way")
	c := w.post(page.PathDo, form)
	if c.Header.Get("Location") != a.link("History") {
		t.Fatalf("%s leads to %q", c.Status, c.Header.Get("Location"))
	}
	form = b.forms(b.root)["clear"]
	form.Set("note", "replaced")
	w.post(page.PathDo, form)
	w.publish(alarm.Event{Device: "d1", Type: "t", State: "cleared"})
	b = w.get(c.Header.Get("Location"))
	var said []string
	for _, tr := range all(b.one(b.root, "table", "history"), "tr", "") {
		said = append(said, text(tr))
	}
	want := []string{"When Who What", "12:00:01 ingest ◆ minor raised", "12:00:02 ingest ■ critical raised again, 2 times",
		"12:00:02 chief ■ critical acknowledged, 2 times", "12:00:02 ada ■ critical commented, 2 times on my way",
		"12:00:02 ada ■ critical cleared, 2 times replaced"}
	if got := strings.Join(said, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("history:\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	d := w.get(b.link("What happened later"))
	if !strings.Contains(text(d.root), "reported clear, which it was: nothing changed") || d.link("From the beginning") != a.link("History") {
		t.Errorf("the rest: %s", text(d.root))
	}
	if d.link("Back to the inbox") != a.next() {
		t.Errorf("back to %s, want %s", d.link("Back to the inbox"), a.next())
	}
}

func TestAPageOfAFormerOccurrence(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "minor")
	a := w.enter()
	old := a.link("History")
	w.clear("d1")
	w.raise("d1", "minor")
	b := w.get(old)
	if !strings.Contains(text(b.root), "former occurrence") || len(b.forms(b.root)) != 0 {
		t.Errorf("%s", text(b.root))
	}
	w.groups("ada", "elsewhere")
	for _, path := range []string{old, page.PathAlarm + "?id=none"} {
		if b := w.do("GET", path, nil); b.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, b.Status)
		}
	}
	if b := w.do("GET", page.PathAlarm, nil); b.StatusCode != http.StatusBadRequest {
		t.Errorf("of no alarm: %s", b.Status)
	}
}
