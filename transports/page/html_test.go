package page_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// An answer is a page as a browser reads it.
type answer struct {
	*http.Response
	t    testing.TB
	root *html.Node
}

// all finds elements by name and, unless it is empty, by one of their classes.
func all(n *html.Node, name, class string) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && (name == "" || d.Data == name) &&
			(class == "" || slices.Contains(strings.Fields(attribute(d, "class")), class)) {
			found = append(found, d)
		}
	}
	return found
}

// one finds the only such element; nil if there is none.
func (a *answer) one(n *html.Node, name, class string) *html.Node {
	a.t.Helper()
	found := all(n, name, class)
	if len(found) > 1 {
		a.t.Fatalf("%d of <%s class=%s>", len(found), name, class)
	}
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// text is what an element says, with single spaces.
func text(n *html.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// A shown is a row of the list.
type shown struct {
	severity, mark, device, said, state string
	done                                bool
	node                                *html.Node
}

func (a *answer) rows() []shown {
	a.t.Helper()
	var rows []shown
	for _, body := range all(a.root, "tbody", "") {
		for _, tr := range all(body, "tr", "") {
			if tr.Parent != body || slices.Contains(strings.Fields(attribute(tr, "class")), "folded") {
				continue // rows in it come by themselves
			}
			rows = append(rows, shown{
				severity: text(a.one(tr, "span", "severity")), mark: text(a.one(tr, "mark", "")),
				device: text(a.one(tr, "bdi", "device")), said: text(a.one(tr, "", "text")),
				state: text(a.one(tr, "td", "states")),
				done:  slices.Contains(strings.Fields(attribute(tr, "class")), "done"), node: tr,
			})
		}
	}
	return rows
}

// marked lists device and mark of the rows that have one.
func (a *answer) marked() string {
	var list []string
	for _, r := range a.rows() {
		if r.mark != "" {
			list = append(list, r.device+" "+r.mark)
		}
	}
	return strings.Join(list, ", ")
}

func (a *answer) devices() string {
	var list []string
	for _, r := range a.rows() {
		list = append(list, r.device)
	}
	return strings.Join(list, " ")
}

// bars are the gap and what else the page has to say first.
func (a *answer) bars() []string {
	var bars []string
	for _, n := range all(a.root, "", "gap") {
		if attribute(n, "role") != "alert" {
			a.t.Errorf("the bar %q is no alert", text(n))
		}
		bars = append(bars, text(n))
	}
	return bars
}

// refresh is the next URL and the seconds until then; empty while paused.
func (a *answer) refresh() (next string, seconds int) {
	a.t.Helper()
	for _, n := range all(a.root, "meta", "") {
		if attribute(n, "http-equiv") != "refresh" {
			continue
		}
		pause, target, ok := strings.Cut(attribute(n, "content"), "; url=")
		seconds, err := strconv.Atoi(pause)
		if !ok || err != nil {
			a.t.Fatalf("refresh %q", attribute(n, "content"))
		}
		return target, seconds
	}
	return "", 0
}

func (a *answer) next() string {
	a.t.Helper()
	next, _ := a.refresh()
	if next == "" {
		a.t.Fatal("the page does not refresh itself")
	}
	return next
}

// link is where the link with this text leads.
func (a *answer) link(label string) string {
	a.t.Helper()
	for _, n := range all(a.root, "a", "") {
		if text(n) == label {
			return attribute(n, "href")
		}
	}
	a.t.Fatalf("no link %q", label)
	return ""
}

// form are the fields of the first form to this path in the element.
func (a *answer) form(n *html.Node, path string) url.Values {
	a.t.Helper()
	for _, f := range all(n, "form", "") {
		if attribute(f, "action") != path {
			continue
		}
		if attribute(f, "method") != "post" {
			a.t.Errorf("the form to %s is sent by %s", path, attribute(f, "method"))
		}
		fields := url.Values{}
		for _, in := range all(f, "input", "") {
			if name := attribute(in, "name"); name != "" {
				fields.Set(name, attribute(in, "value"))
			}
		}
		return fields
	}
	return nil
}
