package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tocsin/server/hooks"
)

// A value is one setting's place in the configuration with its reading and
// writing. An error of Set says what is wanted, as in "want true or false"; the
// caller adds which key, which text and where it stood. String writes what Set
// reads back to the same.
type value interface {
	Set(text string) error
	String() string
	// Type is shown in the help, after the flag.
	Type() string
}

type textValue struct {
	p    *string
	kind string
}

func (v textValue) Set(s string) error { *v.p = s; return nil }
func (v textValue) String() string     { return *v.p }
func (v textValue) Type() string       { return v.kind }

// A pathValue is the path of a route.
type pathValue struct{ p *string }

var isPath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

func (v pathValue) Set(s string) error {
	if !isPath.MatchString(s) {
		return errors.New("want a path, such as /ws/alarm")
	}
	*v.p = s
	return nil
}
func (v pathValue) String() string { return *v.p }
func (v pathValue) Type() string   { return "path" }

type choiceValue struct {
	p     *string
	words []string
}

func (v choiceValue) Set(s string) error {
	if !slices.Contains(v.words, s) {
		return errors.New("want " + strings.Join(v.words, " or "))
	}
	*v.p = s
	return nil
}
func (v choiceValue) String() string { return *v.p }
func (v choiceValue) Type() string   { return strings.Join(v.words, "|") }

type boolValue struct{ p *bool }

func (v boolValue) Set(s string) error {
	switch s {
	case "true":
		*v.p = true
	case "false":
		*v.p = false
	default:
		return errors.New("want true or false")
	}
	return nil
}
func (v boolValue) String() string { return strconv.FormatBool(*v.p) }
func (v boolValue) Type() string   { return "" }

// A listValue is separated by commas in flags and the environment.
type listValue struct {
	p    *[]string
	kind string
	some bool // at least one
	// fits, unless nil, judges an item, and want names those that do.
	fits func(string) bool
	want string
	// secret: items are URLs, which may hold passwords.
	secret bool
}

func (v listValue) Set(s string) error {
	list := []string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if v.fits != nil && !v.fits(item) {
			return errors.New("want a list of " + v.want)
		}
		list = append(list, item)
	}
	if v.some && len(list) == 0 {
		return errors.New("want at least one")
	}
	*v.p = list
	return nil
}

func isAlgorithm(s string) bool {
	return slices.Contains([]string{"HS256", "RS256", "ES256", "EdDSA"}, s)
}

func isHookEvent(s string) bool { return slices.Contains(hooks.Events, hooks.Event(s)) }

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// isOrigin says whether s is what a browser sends as Origin: no path, not even
// a slash.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return s == "*" || err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && s == u.Scheme+"://"+u.Host
}

func (v listValue) String() string { return strings.Join(*v.p, ",") }
func (v listValue) Type() string   { return v.kind }

// A spansValue gives names durations, separated by commas: overspeed=10m.
type spansValue struct {
	p           *map[string]time.Duration
	fits        func(name string) error
	least, most time.Duration
}

func (v spansValue) Set(s string) error {
	spans := map[string]time.Duration{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, text, _ := strings.Cut(item, "=")
		d, err := time.ParseDuration(text)
		_, twice := spans[name]
		if err != nil || v.fits(name) != nil || twice || d < v.least || d > v.most {
			return fmt.Errorf("want a list of %s with durations from %s to %s, such as overspeed=10m", v.Type(), brief(v.least), brief(v.most))
		}
		spans[name] = d
	}
	*v.p = spans
	return nil
}

func (v spansValue) String() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(*v.p)) {
		list = append(list, name+"="+brief((*v.p)[name]))
	}
	return strings.Join(list, ",")
}
func (v spansValue) Type() string { return "type=duration" }

type intValue struct {
	p           *int
	least, most int
}

func (v intValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.least || n > v.most {
		return fmt.Errorf("want a whole number from %d to %d", v.least, v.most)
	}
	*v.p = n
	return nil
}
func (v intValue) String() string { return strconv.Itoa(*v.p) }
func (v intValue) Type() string   { return "n" }

type durationValue struct {
	p           *time.Duration
	least, most time.Duration
}

func (v durationValue) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < v.least || d > v.most {
		return fmt.Errorf("want a duration from %s to %s, such as 25s", brief(v.least), brief(v.most))
	}
	*v.p = d
	return nil
}
func (v durationValue) String() string { return brief(*v.p) }
func (v durationValue) Type() string   { return "duration" }

// brief writes a duration without the zeros that String appends: 10m, not 10m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A sizeValue is a number of bytes.
type sizeValue struct {
	p           *int64
	least, most int64
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

func (v sizeValue) Set(s string) error {
	want := fmt.Errorf("want a size from %s to %s, such as 64MiB (units B, KiB, MiB, GiB)", size(v.least), size(v.most))
	for _, u := range sizeUnits {
		number, found := strings.CutSuffix(s, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > v.most/u.bytes || n*u.bytes < v.least {
			return want
		}
		*v.p = n * u.bytes
		return nil
	}
	return want
}
func (v sizeValue) String() string { return size(*v.p) }
func (v sizeValue) Type() string   { return "size" }

// size writes a number of bytes in the largest unit that divides it.
func size(n int64) string {
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// An addressValue is host:port to listen on; empty if it may be left out.
type addressValue struct {
	p        *string
	optional bool
}

func (v addressValue) Set(s string) error {
	if s == "" && v.optional {
		*v.p = s
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("want host:port, such as 127.0.0.1:8080 or :8080 (port 0 takes a free one)")
	}
	*v.p = s
	return nil
}
func (v addressValue) String() string { return *v.p }
func (v addressValue) Type() string   { return "host:port" }

// A urlValue holds URLs, separated by commas where several may stand; empty for
// none. What it prints carries no password.
type urlValue struct {
	p       *string
	schemes []string
	several bool
}

func (v urlValue) Set(s string) error {
	if s == "" {
		*v.p = s
		return nil
	}
	all := []string{s}
	if v.several {
		all = strings.Split(s, ",")
	}
	for _, one := range all {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" || !slices.Contains(v.schemes, u.Scheme) {
			return errors.New("want a URL that begins with " + strings.Join(v.schemes, ":// or ") + "://")
		}
	}
	*v.p = s
	return nil
}
func (v urlValue) String() string { return *v.p }
func (v urlValue) Type() string   { return "url" }

// withoutPassword is the text with whatever stands before the @ of its URLs
// taken out: it may be a password or a token.
func withoutPassword(urls string) string {
	all := strings.Split(urls, ",")
	for i, one := range all {
		scheme, rest, found := strings.Cut(one, "://")
		if !found {
			continue
		}
		host, path, slash := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			host = redacted + host[at:]
		}
		all[i] = scheme + "://" + host
		if slash {
			all[i] += "/" + path
		}
	}
	return strings.Join(all, ",")
}

const redacted = "redacted"
