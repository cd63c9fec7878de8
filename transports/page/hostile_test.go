package page_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"tocsin/server/alarm"
	"tocsin/transports/page"
)

// hostile texts want to become markup, leave an attribute or a URL, steer a
// terminal, or turn what follows them around.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`</td></tr></table><h1>owned</h1>`,
	`javascript:alert(1)`,
	`&lt;b&gt;&#60;i&#62;`,
	`<!--`,
	"]]>\x00\x1b[31m\x07\u009b31m",
	"\u202eevil\u2066deep\u202d",
	"𝄞😀 שלום مرحبا",
	`{{.CSRF}}`,
}

// allowed are the elements that the page consists of.
var allowed = map[string]bool{}

func init() {
	for name := range strings.FieldsSeq(`html head meta link script noscript title body header h1 p b bdi time form input a strong small
		main div ul li span mark table caption thead tbody tr th td br details summary select option`) {
		allowed[name] = true
	}
}

func TestHostileTextsAreHarmlessEverywhere(t *testing.T) {
	for _, evil := range hostile {
		w := newWorld(t, 0)
		if err := w.dir.PutDevice(t.Context(), "d1", []string{"crew", evil}); err != nil {
			t.Fatal(err)
		}
		noted := w.publish(
			alarm.Event{Device: evil, Type: "t", Severity: "minor"},
			alarm.Event{Device: "d1", Type: "t", Qualifier: evil, Severity: "minor"},
			alarm.Event{Device: "d2", Type: "t", Severity: evil, Message: evil, Attrs: map[string]string{evil: evil, "b": evil, "c": evil, "d": evil, "e": evil, "f": evil, "g": evil, "h": evil}},
			alarm.Event{Device: "d3", Type: "t", Severity: "major"},
		)[3]
		if _, err := w.engine.Do(t.Context(), alarm.Command{Op: alarm.Acknowledge, User: evil, Groups: []string{"*"}, ID: noted.ID, Note: evil}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.engine.Notify(t.Context(), evil, alarm.Notice{Users: []string{"ada"}, Title: evil, Body: evil}); err != nil {
			t.Fatal(err)
		}
		w.settle()
		a := w.enter()
		if len(a.rows()) != 5 {
			t.Errorf("%q: %d rows", evil, len(a.rows()))
		}
		harmless(t, evil, a.root)
		// It is there to be read, all the same.
		for _, part := range []string{"alert(1)", "owned", "evil", "😀", "{{.CSRF}}", "&lt;b&gt;"} {
			if strings.Contains(evil, part) && strings.Count(text(a.root), part) < 10 {
				t.Errorf("%q is shown only %d times", evil, strings.Count(text(a.root), part))
			}
		}
		for _, op := range []alarm.Command{{Op: alarm.Comment, Note: evil + "."}, {Op: alarm.Shelve}} {
			op.User, op.Groups, op.ID = evil, []string{"*"}, noted.ID
			if _, err := w.engine.Do(t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		for _, link := range []string{"Pause", "Select"} {
			harmless(t, evil, w.get(a.link(link)).root)
		}
		for _, n := range all(a.root, "a", "") {
			if text(n) == "History" {
				harmless(t, evil, w.get(attribute(n, "href")).root)
			}
		}
		// The forms name the alarm that they stand beside.
		for _, r := range a.rows() {
			if form := a.form(r.node, page.PathAck); form != nil {
				if b := w.post(page.PathAck, form); b.StatusCode != http.StatusSeeOther {
					t.Errorf("%q: acknowledge %s: %s", evil, r.device, b.Status)
				}
			}
		}
	}
}

func harmless(t *testing.T, evil string, root *html.Node) {
	t.Helper()
	for n := range root.Descendants() {
		switch n.Type {
		case html.ElementNode:
			if !allowed[n.Data] {
				t.Errorf("%q became <%s>", evil, n.Data)
			}
			if n.Data == "script" && !strings.HasPrefix(attribute(n, "src"), page.PathScript+"?") || n.Data == "script" && n.FirstChild != nil {
				t.Errorf("%q became a script of %q", evil, attribute(n, "src"))
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || (a.Key == "href" || a.Key == "action") && !strings.HasPrefix(a.Val, "/inbox") {
					t.Errorf("%q became <%s %s=%q>", evil, n.Data, a.Key, a.Val)
				}
			}
		case html.CommentNode:
			t.Errorf("%q became a comment", evil)
		case html.TextNode:
			if strings.ContainsAny(n.Data, "\x00\x1b\x07\u009b\u202e\u2066\u202d") {
				t.Errorf("%q still has its controls in %q", evil, n.Data)
			}
		}
	}
	if n := len(all(root, "h1", "")); n != 1 {
		t.Errorf("%q: %d headings", evil, n)
	}
}

func TestHostileRequestsAreHarmless(t *testing.T) {
	w := newWorld(t, 0)
	w.enter()
	for _, target := range []string{
		page.Path + `?cursor="><script>alert(1)</script>&pause="><script>`,
		page.Path + `?pause=%22%3E%3Cscript%3E`,
		page.Path + `?cursor=%00&pause=%00`,
	} {
		resp, err := w.client.Get(w.url + strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E").Replace(target))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || strings.Count(string(body), "<script") != 1 || strings.Contains(string(body), "alert(1)") {
			t.Errorf("%s: %v: %s", target, err, body)
		}
	}
}
