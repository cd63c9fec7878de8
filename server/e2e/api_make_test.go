package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"tocsin/server/auth"
)

// A maker makes requests of the document's schemas: good ones, nearly good ones and
// hostile ones. It belongs to one goroutine.
type maker struct {
	a      *api
	r      *rand.Rand
	known  *known
	people map[string]person
}

// known is what answers have told: values of schemas, by their names.
type known struct {
	mu     sync.Mutex
	values map[string][]string
}

// mostKnown bounds what is kept of one kind.
const mostKnown = 300

func (k *known) learn(name, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if list := k.values[name]; len(list) < mostKnown {
		k.values[name] = append(list, value)
	} else {
		list[len(value)*7919%mostKnown] = value
	}
}

func (k *known) pick(r *rand.Rand, name string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.values[name]
	if len(list) == 0 {
		return "", false
	}
	return list[r.IntN(len(list))], true
}

// A made is a request that was made.
type made struct {
	o             *operation
	method        string
	path, query   string
	header        http.Header
	body          []byte
	who           string
	mayHold, flow bool // the answer may wait; it goes on for long
}

func (m *made) String() string {
	return fmt.Sprintf("%s %s?%s as %s, %v, %.1500q", m.method, m.path, m.query, m.who, m.header, m.body)
}

// hostile are texts that break things elsewhere.
var hostile = []string{
	"", " ", "\x00", "a\x00b", "../../../../etc/passwd", "%2e%2e%2f", "%", "%zz", "*", ">", "a.b.c", "$SYS.>", "_", "=5F", ".", "..",
	strings.Repeat("a", 65), strings.Repeat("b", 129), strings.Repeat("c", 257), strings.Repeat("d", 1025), strings.Repeat("e", 9000),
	"\u202egpj.exe", "\ufeff", "\u2028", "e\u0301", strings.Repeat("\U0001F600", 65), "<script>alert(1)</script>", "'; DROP TABLE alarms; --",
	"{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "\r\nX-Injected: 1", "null", "true", "-1", "0", "1e309", "99999999999999999999", "NaN",
	"earliest", "latest", "a~b", "0mwprdiyok3f.16.2hx91kq0a", "zzzzzzzzzzzz.zzzzzzzzzzzzz.zzzzzzzzz.s", "x..1", "W/\"1\"", "\"0\"", "\"18446744073709551615\"",
	"2026-11-21T02:00:00Z", "9999-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "2026-13-45", "bytes=0-", "\xff\xfe\xfd",
}

// odd are values, as JSON, that fit hardly anywhere.
var odd = []string{
	"null", "true", "-1", "0", "1.5", "1e308", "1e999", "-0", "9007199254740993", "18446744073709551616", "[]", "{}", "[[]]", `[null]`, `{"":""}`,
	`"\ud800"`, "\"\xff\xfe\"", `""`, `"\u0000"`, `{"a":1,"a":2}`, strings.Repeat("[", 3000) + strings.Repeat("]", 3000),
	strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000), `["` + strings.Repeat(`x","`, 2000) + `"]`,
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (m *maker) chance(percent int) bool { return m.r.IntN(100) < percent }

// value makes a value that fits a schema, as far as generic rules can.
func (m *maker) value(schema object, depth int) any {
	if ref, ok := schema["$ref"].(string); ok {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		if v, ok := m.known.pick(m.r, name); ok && m.chance(75) {
			return v
		}
		_, schema = m.a.follow("", schema)
	}
	if c, ok := schema["const"]; ok {
		return c
	}
	if list, ok := schema["enum"].([]any); ok {
		return pick(m.r, list)
	}
	if list, ok := schema["anyOf"].([]any); ok {
		return m.value(pick(m.r, list).(object), depth)
	}
	if list, ok := schema["examples"].([]any); ok && m.chance(70) {
		return pick(m.r, list)
	}
	kind, _ := schema["type"].(string)
	if list, ok := schema["type"].([]any); ok {
		kind = pick(m.r, list).(string)
	}
	switch kind {
	case "object":
		return m.object(schema, depth)
	case "array":
		return m.array(schema, depth)
	case "integer", "number":
		return m.number(schema)
	case "boolean":
		return m.chance(50)
	case "string":
		return m.text(schema)
	case "null":
		return nil
	}
	return json.RawMessage(pick(m.r, []string{`{"k":[1,"x",null]}`, `"text"`, "7", "null"}))
}

func (m *maker) object(schema object, depth int) any {
	made := object{}
	required, _ := schema["required"].([]any)
	properties, _ := schema["properties"].(object)
	for _, name := range sortedKeys(properties) {
		if slices.Contains(required, any(name)) || depth < 5 && m.chance(40) {
			made[name] = m.value(properties[name].(object), depth+1)
		}
	}
	if more, ok := schema["additionalProperties"].(object); ok {
		for range m.r.IntN(4) {
			made[fmt.Sprint("k", m.r.IntN(9))] = m.value(more, depth+1)
		}
	}
	return made
}

func (m *maker) array(schema object, depth int) any {
	items, _ := schema["items"].(object)
	n := m.r.IntN(4)
	if m.chance(3) {
		n = 60
	}
	list := []any{}
	for range n {
		list = append(list, m.value(items, depth+1))
	}
	return list
}

func bound(schema object, name string, usual int) int {
	if n, ok := schema[name].(json.Number); ok {
		i, _ := n.Int64()
		return int(i)
	}
	return usual
}

func (m *maker) number(schema object) any {
	least := bound(schema, "minimum", 0)
	most := bound(schema, "maximum", least+100)
	switch m.r.IntN(6) {
	case 0:
		return least
	case 1:
		return most
	}
	return least + m.r.IntN(most-least+1)
}

func (m *maker) text(schema object) string {
	switch pattern, _ := schema["pattern"].(string); {
	case strings.HasPrefix(pattern, "^(W/)"):
		return fmt.Sprintf(`"%d"`, 1+m.r.IntN(5))
	case pattern != "":
		return fmt.Sprint("t", m.r.IntN(20))
	}
	if schema["format"] == "date-time" {
		return fmt.Sprintf("2026-11-%02dT0%d:00:00.000Z", 1+m.r.IntN(30), m.r.IntN(10))
	}
	least := bound(schema, "minLength", 0)
	most := min(bound(schema, "maxLength", 40), 300)
	n := least + m.r.IntN(most-least+1)
	if m.chance(10) {
		n = most
	}
	letters := []rune("abcdefghijklmnopqrstuvwxyz0123456789-_ .:/äß漢😀")
	var b strings.Builder
	for range n {
		b.WriteRune(letters[m.r.IntN(len(letters))])
	}
	return b.String()
}

// bad is a text that hardly fits anywhere, or one too long by one.
func (m *maker) bad(schema object) string {
	if n := bound(schema, "maxLength", 0); n > 0 && m.chance(30) {
		return strings.Repeat("x", n+1)
	}
	if n := bound(schema, "maximum", 0); n > 0 && m.chance(50) {
		return fmt.Sprint(n + 1)
	}
	return pick(m.r, hostile)
}

// encode writes a value as JSON; spoilt is how many of its parts are replaced by what
// does not belong there.
func (m *maker) encode(v any, spoilt int) []byte {
	for range spoilt {
		v = m.spoil(v)
	}
	text, err := json.Marshal(v)
	if err != nil { // an odd value that encoding/json does not pass on
		return []byte(pick(m.r, odd))
	}
	return text
}

func (m *maker) spoil(v any) any {
	switch v := v.(type) {
	case object:
		if len(v) == 0 || m.chance(10) {
			v[pick(m.r, []string{"", "id", "extra", "__proto__", "device", "op"})] = m.oddValue()
			return v
		}
		name := pick(m.r, sortedKeys(v))
		if m.chance(20) {
			delete(v, name)
		} else {
			v[name] = m.spoil(v[name])
		}
		return v
	case []any:
		if len(v) == 0 || m.chance(20) {
			return append(v, m.oddValue())
		}
		i := m.r.IntN(len(v))
		v[i] = m.spoil(v[i])
		return v
	}
	return m.oddValue()
}

func (m *maker) oddValue() any {
	if m.chance(50) {
		return pick(m.r, hostile)
	}
	text := pick(m.r, odd)
	if !json.Valid([]byte(text)) {
		return pick(m.r, hostile)
	}
	return json.RawMessage(text)
}

// corrupt damages a body's bytes.
func (m *maker) corrupt(b []byte) []byte {
	b = bytes.Clone(b)
	switch m.r.IntN(7) {
	case 0:
		return nil
	case 1:
		return b[:m.r.IntN(len(b)+1)]
	case 2:
		return append(b, pick(m.r, []string{"}", "]", "\x00", "{}", ",", "\n\n\n"})...)
	case 3:
		return append([]byte("\xef\xbb\xbf"), b...)
	case 4:
		return []byte(pick(m.r, odd))
	case 5:
		return append([]byte("\x1f\x8b\x08"), b...)
	}
	for range 1 + m.r.IntN(4) {
		if len(b) > 0 {
			b[m.r.IntN(len(b))] = byte(m.r.IntN(256))
		}
	}
	return b
}

// request makes the next request for an operation: a third of them good, a third with
// one thing that is wrong, a third with more.
func (m *maker) request(o *operation, who string) *made {
	q := &made{o: o, method: o.method, header: http.Header{}, who: who}
	if _, socket := o.answers[http.StatusSwitchingProtocols]; socket && m.chance(40) {
		for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
			"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			q.header.Set(name, value)
		}
	}
	wrong := m.r.IntN(3)
	m.fill(q, wrong)
	m.fillBody(q, wrong)
	if m.chance(2) {
		q.method = pick(m.r, []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"})
	}
	if m.chance(5) {
		q.header.Set("Origin", pick(m.r, []string{"https://evil.example", "null", "http://" + "127.0.0.1", "x"}))
	}
	if m.chance(3) {
		q.header.Set("X-Request-Id", m.printable(pick(m.r, hostile)))
	}
	q.flow = strings.HasPrefix(o.path, "/endpoint-websocket/") || o.path == "/v1/inbox/sse" || o.path == "/v1/trace"
	q.mayHold = q.flow || strings.Contains(q.query, "wait=") || q.header.Get("Prefer") != ""
	return q
}

// fill writes the path, the query and the header.
func (m *maker) fill(q *made, wrong int) {
	path, query := q.o.path, url.Values{}
	for _, p := range q.o.parameters {
		if !p.required && !m.chance(35) {
			continue
		}
		text := m.parameter(p, wrong > 0 && m.chance(30*wrong))
		switch p.in {
		case "path":
			if text == "" || text == "." || text == ".." {
				text = "-" // another path
			}
			path = strings.Replace(path, "{"+p.name+"}", url.PathEscape(text), 1)
		case "query":
			query.Add(p.name, text)
			if wrong == 2 && m.chance(5) {
				query.Add(p.name, text)
			}
		case "header":
			q.header.Set(p.name, m.printable(text))
		}
	}
	q.path, q.query = path, query.Encode()
}

// parameter is a value for one. What would end the run, or hold it up, is left out.
func (m *maker) parameter(p parameter, bad bool) string {
	switch p.name {
	case "last": // 1 would end all storing
		return pick(m.r, []string{"0", "2", "", "x"})
	case "for":
		return pick(m.r, []string{"1", "1", "0", "x", "3601"})
	case "Prefer":
		return pick(m.r, []string{"wait=1", "wait=0", "wait", "wait=x", "respond-async"})
	case "resource":
		return pick(m.r, []string{"info", "iframe.html", "000/abc/xhr", "000/abc/xhr_send", "000/abd/eventsource", "000/abe/jsonp?c=x", "websocket", "a/b/c/d", "000/abf/xhr_streaming"})
	case "path":
		return pick(m.r, []string{"inbox/tocsin-inbox.js", "none", "../embed.go", "console/index.html", "%00"})
	}
	switch {
	case bad:
		return m.bad(p.schema)
	case p.example != nil:
		return fmt.Sprint(p.example)
	}
	return fmt.Sprint(m.value(p.schema, 0))
}

// printable is a text that a header may have.
func (m *maker) printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '.'
		}
		return r
	}, text)
}

// types are those of bodies that hardly anybody takes.
var types = []string{"application/xml", "text/plain; charset=latin1", "application/json; charset=utf-16", "x", "a/b; c", "multipart/form-data; boundary=x", "application/json;;", ""}

func (m *maker) fillBody(q *made, wrong int) {
	media := sortedKeys(q.o.bodies)
	if len(media) == 0 {
		if wrong == 2 && m.chance(10) {
			q.body = []byte(pick(m.r, odd))
		}
		return
	}
	t := pick(m.r, media)
	schema := q.o.bodies[t]
	switch {
	case t == "application/x-www-form-urlencoded":
		q.body = m.form(q, schema, wrong)
	case t == "application/x-ndjson":
		q.body = m.lines(q.o, wrong)
	default:
		q.body = m.encode(m.value(schema, 0), wrong*m.r.IntN(2))
		if q.o.path == "/v1/revocations" { // nobody of the run's own
			q.body = bytes.ReplaceAll(q.body, []byte(`"sub":"`), []byte(`"sub":"not-`))
		}
	}
	if wrong == 2 && m.chance(25) {
		q.body = m.corrupt(q.body)
	}
	if wrong == 2 && m.chance(10) {
		t = pick(m.r, types)
	}
	q.header.Set("Content-Type", t)
	if wrong == 2 && m.chance(3) {
		q.header.Set("Content-Encoding", pick(m.r, []string{"gzip", "br", "x"}))
	}
}

// isForm says whether an operation is a form of the page.
func isForm(o *operation) bool {
	return o.bodies["application/x-www-form-urlencoded"] != nil && strings.HasPrefix(o.path, "/inbox/")
}

func (m *maker) form(q *made, schema object, wrong int) []byte {
	form := url.Values{}
	properties, _ := schema["properties"].(object)
	for _, name := range sortedKeys(properties) {
		if m.chance(25) {
			continue
		}
		value := m.value(properties[name].(object), 0)
		if list, ok := value.([]any); ok {
			for _, one := range list {
				form.Add(name, fmt.Sprint(one))
			}
			continue
		}
		form.Set(name, fmt.Sprint(value))
		if wrong > 0 && m.chance(20*wrong) {
			form.Set(name, pick(m.r, hostile))
		}
	}
	if token := m.people[q.who].token; isForm(q.o) && m.chance(85) {
		form.Set("csrf", auth.CSRFToken(token))
		if q.o.path == "/inbox/login" {
			form.Set("token", token)
		}
	}
	return []byte(form.Encode())
}

// lines are of what a door of lines takes.
func (m *maker) lines(o *operation, wrong int) (b []byte) {
	name := "Event"
	if o.path == "/v1/directory" {
		name = "DirectoryLine"
	}
	schema := object{"$ref": "#/components/schemas/" + name}
	for range m.r.IntN(6) {
		b = append(b, m.encode(m.value(schema, 0), wrong*m.r.IntN(2))...)
		b = append(b, '\n')
	}
	return b
}

func sortedKeys[V any](in map[string]V) []string {
	keys := make([]string, 0, len(in))
	for k := range in {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
