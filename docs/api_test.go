package docs

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write api.md anew from openapi.yaml")

// node is a part of the document with the order in which it stands there.
type node struct{ *yaml.Node }

// get is a member of a mapping, empty if it has none of that name.
func (n node) get(name string) node {
	if n.Node != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return node{n.Content[i+1]}
			}
		}
	}
	return node{}
}

func (n node) text() string {
	if n.Node == nil {
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// members calls each for every member of a mapping.
func (n node) members(each func(name string, value node)) {
	if n.Node == nil {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		each(n.Content[i].Value, node{n.Content[i+1]})
	}
}

func (n node) items() (all []node) {
	if n.Node != nil {
		for _, c := range n.Content {
			all = append(all, node{c})
		}
	}
	return all
}

// A renderer writes the document as a page.
type renderer struct {
	root node
	b    strings.Builder
}

// follow leads from a reference to what it refers to.
func (r *renderer) follow(n node) node {
	for ref := n.get("$ref").text(); ref != ""; ref = n.get("$ref").text() {
		n = r.root
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			n = n.get(part)
		}
	}
	return n
}

func (r *renderer) printf(format string, args ...any) { fmt.Fprintf(&r.b, format, args...) }

// cell is a text for a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// kind says in a few words what a schema takes, with a link where it is a named one.
func (r *renderer) kind(s node) string {
	if ref := s.get("$ref").text(); ref != "" {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	if list := s.get("enum").items(); len(list) > 0 {
		var words []string
		for _, one := range list {
			words = append(words, "`"+one.text()+"`")
		}
		return strings.Join(words, ", ")
	}
	if c := s.get("const"); c.Node != nil {
		return "`" + c.text() + "`"
	}
	for _, of := range []string{"anyOf", "oneOf"} {
		var kinds []string
		for _, one := range s.get(of).items() {
			kinds = append(kinds, r.kind(one))
		}
		if len(kinds) > 0 {
			return strings.Join(kinds, " or ")
		}
	}
	kind := s.get("type").text()
	var kinds []string
	for _, one := range s.get("type").items() {
		kinds = append(kinds, one.text())
	}
	if len(kinds) > 0 {
		kind = strings.Join(kinds, " or ")
	}
	switch {
	case kind == "array":
		kind = "list of " + r.kind(s.get("items"))
	case kind == "object" && s.get("additionalProperties").Node != nil && s.get("properties").Node == nil:
		kind = "object of " + r.kind(s.get("additionalProperties"))
	case kind == "":
		kind = "any JSON"
	}
	return kind + bounds(s)
}

func bounds(s node) string {
	var said []string
	for _, b := range [][2]string{{"minLength", "at least %s characters"}, {"maxLength", "at most %s characters"}, {"minItems", "at least %s"},
		{"maxItems", "at most %s"}, {"maxProperties", "at most %s members"}, {"minimum", "from %s"}, {"maximum", "to %s"}, {"default", "default %s"}} {
		if v := s.get(b[0]); v.Node != nil && !(b[0] == "minLength" && v.text() == "1") {
			said = append(said, fmt.Sprintf(b[1], v.text()))
		}
	}
	if p := s.get("pattern").text(); p != "" && len(p) < 60 {
		said = append(said, "`"+p+"`")
	}
	if len(said) == 0 {
		return ""
	}
	return ", " + strings.Join(said, ", ")
}

func (r *renderer) operation(path, method string, item, op node) {
	r.printf("\n### `%s %s`\n\n%s.", strings.ToUpper(method), path, strings.TrimSuffix(op.get("summary").text(), "."))
	if text := op.get("description").text(); text != "" {
		r.printf(" %s", strings.Join(strings.Fields(text), " "))
	}
	r.printf("\n\n%s\n", access(op))
	parameters := append(item.get("parameters").items(), op.get("parameters").items()...)
	if len(parameters) > 0 {
		r.printf("\n| parameter | in | takes | |\n|---|---|---|---|\n")
	}
	for _, raw := range parameters {
		p := r.follow(raw)
		text := p.get("description").text()
		if p.get("required").text() == "true" && p.get("in").text() != "path" {
			text = strings.TrimSpace("Required. " + text)
		}
		r.printf("| `%s` | %s | %s | %s |\n", p.get("name").text(), p.get("in").text(), cell(r.kind(p.get("schema"))), cell(text))
	}
	body := r.follow(op.get("requestBody"))
	if body.Node != nil {
		r.printf("\n| body | takes |\n|---|---|\n")
		body.get("content").members(func(media string, c node) {
			kind := r.kind(c.get("schema"))
			if text := c.get("schema").get("description").text(); text != "" {
				kind = text
			}
			r.printf("| `%s` | %s |\n", media, cell(kind))
		})
	}
	r.printf("\n| status | | answer |\n|---|---|---|\n")
	op.get("responses").members(func(status string, raw node) {
		a := r.follow(raw)
		var kinds []string
		a.get("content").members(func(media string, c node) {
			what := c.get("schema")
			if line := c.get("x-line"); line.Node != nil {
				what = line
			}
			kinds = append(kinds, "`"+media+"`: "+r.kind(what))
		})
		var problems []string
		for _, one := range a.get("x-problems").items() {
			problems = append(problems, "`"+one.text()+"`")
		}
		if len(problems) > 0 {
			kinds = []string{"problem " + strings.Join(problems, ", ")}
		}
		r.printf("| %s | %s | %s |\n", status, cell(a.get("description").text()), cell(strings.Join(kinds, "; ")))
	})
}

// access says who may.
func access(op node) string {
	open, scope := true, ""
	for i, way := range op.get("security").items() {
		if i == 0 {
			open = false
		}
		none := true
		way.members(func(_ string, scopes node) {
			none = false
			for _, one := range scopes.items() {
				scope = one.text()
			}
		})
		open = open || none
	}
	switch {
	case scope == "":
		return "Without a token."
	case open:
		return "Scope `" + scope + "`; see there for who may do without."
	}
	return "Scope `" + scope + "`."
}

func (r *renderer) schema(name string, s node) {
	r.printf("\n### %s\n\n", name)
	if text := s.get("description").text(); text != "" {
		r.printf("%s\n\n", strings.Join(strings.Fields(text), " "))
	}
	if s.get("properties").Node == nil {
		kinds := s.get("anyOf").items()
		if !slices.ContainsFunc(kinds, func(k node) bool { return k.get("properties").Node != nil }) {
			r.printf("%s\n", r.kind(s))
			return
		}
		for i, k := range kinds {
			if i > 0 {
				r.printf("\nor\n\n")
			}
			r.properties(k)
		}
		return
	}
	r.properties(s)
}

func (r *renderer) properties(s node) {
	var required []string
	for _, one := range s.get("required").items() {
		required = append(required, one.text())
	}
	r.printf("| member | | |\n|---|---|---|\n")
	s.get("properties").members(func(name string, p node) {
		mark := ""
		if !slices.Contains(required, name) {
			mark = "optional. "
		}
		r.printf("| `%s` | %s | %s |\n", name, cell(r.kind(p)), cell(mark+p.get("description").text()))
	})
}

// render makes a page of the document, by its tags.
func render(text []byte) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return "", err
	}
	r := &renderer{root: node{doc.Content[0]}}
	r.printf("# The HTTP API\n\nMade from [openapi.yaml](openapi.yaml) by `go test ./docs -run TestTheAPIPageIsFresh -update`; a running\n" +
		"server has it at `/openapi.yaml`. [protocol.md](protocol.md) tells the same in the order in which one learns it.\n\n")
	r.printf("%s\n", r.root.get("info").get("description").text())
	for _, tag := range r.root.get("tags").items() {
		name := tag.get("name").text()
		r.printf("\n## %s\n\n%s\n", name, tag.get("description").text())
		r.root.get("paths").members(func(path string, item node) {
			for _, method := range []string{"get", "put", "post", "delete", "options"} {
				if op := item.get(method); op.Node != nil && op.get("tags").items()[0].text() == name {
					r.operation(path, method, item, op)
				}
			}
		})
	}
	r.printf("\n## Schemas\n")
	r.root.get("components").get("schemas").members(r.schema)
	return r.b.String(), nil
}

func TestTheAPIPageIsFresh(t *testing.T) {
	page, err := render(OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("api.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	had, err := os.ReadFile("api.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(had) != page {
		t.Error("api.md is not what openapi.yaml makes of it: go test ./docs -run TestTheAPIPageIsFresh -update")
	}
	for _, want := range []string{"### `GET /v1/inbox`", "### Alarm\n", "| `limit` | query |", "`id-reused`"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
