package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// A pageReader reads as somebody who looks at the page, which refreshes itself:
// what is new is what is marked. After a gap that starts over, that is all.
type pageReader struct {
	*wire
	shows Counters
}

func connectPage(ctx context.Context, base, token, cursor string) (Reader, error) {
	r := &pageReader{wire: newWire(base, token, cursor)}
	if cursor != "" {
		return r, nil
	}
	if _, err := r.once(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *pageReader) Next(ctx context.Context) (Batch, error) {
	for {
		b, err := r.once(ctx)
		if err != nil || len(b.Entries) > 0 || b.Gap != "" {
			return b, err
		}
		if err := pause(ctx, pollEvery); err != nil {
			return b, err
		}
	}
}

var (
	refreshURL = regexp.MustCompile(`^\d+; url=(.*)$`)
	gapReason  = regexp.MustCompile(`\(([a-z]+)\)$`)
)

func (r *pageReader) once(ctx context.Context) (Batch, error) {
	path := "/inbox"
	if r.cursor != "" {
		path += "?" + url.Values{"cursor": {r.cursor}}.Encode()
	}
	text, err := r.whole(ctx, path)
	if err != nil {
		return Batch{}, err
	}
	root, err := html.ParseWithOptions(bytes.NewReader(text), html.ParseOptionEnableScripting(false))
	if err != nil {
		return Batch{}, err
	}
	next, err := cursorOf(root)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{}
	for n := range elements(root, "div", "gap") {
		if found := gapReason.FindStringSubmatch(textOf(n)); found != nil {
			b.Gap = found[1]
		} else if strings.Contains(textOf(n), "named no place") {
			b.Gap = "unknown"
		}
	}
	for row := range elements(root, "tr", "") {
		if hasClass(row, "folded") {
			continue // in a flood it stands for others, which follow in it
		}
		device, ok := first(row, "bdi", "device")
		if !ok {
			continue // the head of the table
		}
		if _, marked := first(row, "mark", ""); marked || b.Gap != "" && b.Gap != "compacted" {
			said, _ := first(row, "div", "text")
			b.Entries = append(b.Entries, Entry{Text: said, Device: device})
		}
	}
	slices.Reverse(b.Entries) // the newest stands on top
	r.shows = countersOf(root)
	r.cursor = next
	return b, nil
}

func (r *pageReader) Counters(ctx context.Context, want Counters) error {
	for !r.shows.is(want) {
		if _, err := r.once(ctx); err != nil {
			return fmt.Errorf("while it shows %v: %w", r.shows, err)
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
	return nil
}

// countersOf are those of the page, each a number and a word.
func countersOf(root *html.Node) Counters {
	c := Counters{Active: map[string]int{}}
	for list := range elements(root, "ul", "counters") {
		for item := range elements(list, "li", "") {
			number, _ := first(item, "b", "")
			n, err := strconv.Atoi(number)
			if err != nil {
				continue
			}
			if word, _, _ := strings.Cut(attributeOf(item, "class"), " "); word == "unread" {
				c.Unread = n
			} else {
				c.Active[word] = n
			}
		}
	}
	return c
}

// cursorOf is the cursor in the URL of the page's refresh.
func cursorOf(root *html.Node) (string, error) {
	for n := range elements(root, "meta", "") {
		found := refreshURL.FindStringSubmatch(attributeOf(n, "content"))
		if found == nil {
			continue
		}
		u, err := url.Parse(found[1])
		if err == nil && u.Query().Get("cursor") != "" {
			return u.Query().Get("cursor"), nil
		}
	}
	return "", errors.New("the page does not refresh itself to where it is")
}

// elements are those of the tag, and of the class unless that is empty.
func elements(root *html.Node, tag, class string) func(func(*html.Node) bool) {
	return func(yield func(*html.Node) bool) {
		for n := range root.Descendants() {
			fits := n.Type == html.ElementNode && n.Data == tag
			if fits && (class == "" || hasClass(n, class)) && !yield(n) {
				return
			}
		}
	}
}

func hasClass(n *html.Node, class string) bool {
	return slices.Contains(strings.Fields(attributeOf(n, "class")), class)
}

func first(root *html.Node, tag, class string) (text string, ok bool) {
	for n := range elements(root, tag, class) {
		return textOf(n), true
	}
	return "", false
}

func attributeOf(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func textOf(root *html.Node) string {
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}
