package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"tocsin/docs"
)

// An api is docs/openapi.yaml, read for tests: which operations there are, and whether
// an answer is one that it declares.
type api struct {
	doc        object
	operations []*operation

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by pointer
}

// An object is one of JSON.
type object = map[string]any

// An operation is one method at one path.
type operation struct {
	method, path string
	parts        []string // of the path
	rest         bool     // the last part may have slashes
	ops          bool     // it is on the listener of operation
	parameters   []parameter
	bodies       map[string]object // schema by media type
	needsBody    bool
	answers      map[int]declared
	scope        string // that a token needs, where one is needed
	open         bool   // nobody has to say who he is
}

func (o *operation) String() string { return o.method + " " + o.path }

// A parameter is one of path, query or header.
type parameter struct {
	name, in string
	required bool
	schema   object
	example  any
}

// A declared is an answer as the document has it.
type declared struct {
	schemas  map[string]string // pointers by media type, "" where there is none
	line     string            // pointer for each line of NDJSON
	problems []string          // names; nil: any
}

// specName is the document's address for the compiler.
const specName = "openapi.json"

// openAPI is the document, read once.
var openAPI = sync.OnceValue(func() *api {
	a, err := readAPI(docs.OpenAPI)
	if err != nil {
		panic(err)
	}
	return a
})

func readAPI(text []byte) (*api, error) {
	var doc object
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	// Numbers as JSON has them.
	again, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(again))
	if err != nil {
		return nil, err
	}
	a := &api{doc: decoded.(object), schemas: map[string]*jsonschema.Schema{}, compiler: jsonschema.NewCompiler()}
	a.compiler.AssertFormat()
	for path, item := range a.doc["paths"].(object) {
		for _, method := range []string{"get", "put", "post", "delete", "options"} {
			if node, ok := item.(object)[method].(object); ok {
				a.operations = append(a.operations, a.operation(path, method, item.(object), node))
			}
		}
	}
	slices.SortFunc(a.operations, func(x, y *operation) int { return strings.Compare(x.String(), y.String()) })
	closeObjects(a.doc)
	return a, a.compiler.AddResource(specName, a.doc)
}

// closeObjects makes undeclared members an error: clients pass over them, but the
// document is to be complete.
func closeObjects(node any) {
	switch node := node.(type) {
	case object:
		if _, is := node["properties"].(object); is && node["type"] == "object" && node["additionalProperties"] == nil {
			node["additionalProperties"] = false
		}
		for _, below := range node {
			closeObjects(below)
		}
	case []any:
		for _, below := range node {
			closeObjects(below)
		}
	}
}

// escape is a part of a JSON pointer.
func escape(part string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
}

// follow leads from a reference to what it refers to; pointer is where node stands.
func (a *api) follow(pointer string, node any) (string, object) {
	n, _ := node.(object)
	for {
		ref, ok := n["$ref"].(string)
		if !ok {
			return pointer, n
		}
		pointer = ref
		var at any = a.doc
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = at.(object)[part]
		}
		n = at.(object)
	}
}

func (a *api) operation(path, method string, item, node object) *operation {
	o := &operation{method: strings.ToUpper(method), path: path, parts: strings.Split(path, "/"),
		bodies: map[string]object{}, answers: map[int]declared{}}
	_, o.ops = item["servers"]
	here := "#/paths/" + escape(path) + "/" + method
	common, _ := item["parameters"].([]any)
	own, _ := node["parameters"].([]any)
	for _, raw := range slices.Concat(common, own) {
		_, p := a.follow("", raw)
		_, slashes := p["x-slashes"]
		o.rest = o.rest || slashes
		required, _ := p["required"].(bool)
		schema, _ := p["schema"].(object)
		o.parameters = append(o.parameters, parameter{p["name"].(string), p["in"].(string), required, schema, p["example"]})
	}
	if body, ok := node["requestBody"]; ok {
		_, b := a.follow("", body)
		o.needsBody, _ = b["required"].(bool)
		for media, content := range b["content"].(object) {
			schema, _ := content.(object)["schema"].(object)
			o.bodies[media] = schema
		}
	}
	for status, raw := range node["responses"].(object) {
		var code int
		_, _ = fmt.Sscan(status, &code)
		at, r := a.follow(here+"/responses/"+status, raw)
		o.answers[code] = a.declared(at, r)
	}
	o.security(node["security"].([]any))
	return o
}

func (a *api) declared(at string, r object) declared {
	d := declared{schemas: map[string]string{}}
	content, _ := r["content"].(object)
	for media, c := range content {
		d.schemas[media] = at + "/content/" + escape(media) + "/schema"
		if _, ok := c.(object)["x-line"]; ok {
			d.line = at + "/content/" + escape(media) + "/x-line"
		}
	}
	names, _ := r["x-problems"].([]any)
	for _, name := range names {
		d.problems = append(d.problems, name.(string))
	}
	return d
}

func (o *operation) security(ways []any) {
	o.open = len(ways) == 0
	for _, way := range ways {
		o.open = o.open || len(way.(object)) == 0
		for _, scopes := range way.(object) {
			if list := scopes.([]any); len(list) > 0 {
				o.scope = list[0].(string)
			}
		}
	}
}

// find is the operation that a request is for; known says that the path is one of
// another method.
func (a *api) find(method, path string) (o *operation, known bool) {
	parts := strings.Split(path, "/")
	for _, one := range a.operations {
		if !one.matches(parts) {
			continue
		}
		known = true
		if one.method == method && (o == nil || strings.Count(one.path, "{") < strings.Count(o.path, "{")) {
			o = one
		}
	}
	return o, known
}

func (o *operation) matches(parts []string) bool {
	if len(parts) != len(o.parts) && !(o.rest && len(parts) > len(o.parts)) {
		return false
	}
	for i, part := range o.parts {
		if !strings.HasPrefix(part, "{") && part != parts[i] {
			return false
		}
	}
	return true
}

// schema compiles what a pointer leads to.
func (a *api) schema(pointer string) (*jsonschema.Schema, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.schemas[pointer]; s != nil {
		return s, nil
	}
	s, err := a.compiler.Compile(specName + pointer)
	a.schemas[pointer] = s
	return s, err
}

// fits says whether a JSON text fits the schema at a pointer.
func (a *api) fits(pointer string, text []byte) error {
	schema, err := a.schema(pointer)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// statuses are those that the operation declares.
func (o *operation) statuses() []int { return slices.Sorted(maps.Keys(o.answers)) }
