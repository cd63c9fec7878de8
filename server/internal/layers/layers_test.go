// Package layers holds no code, only the test that the packages of this module
// import each other as docs/architecture.md §2 says.
package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "tocsin"

// A source is one Go file of the module.
type source struct {
	path    string // from the module's root
	dir     string
	name    string // of its package
	test    bool   // part of no program
	imports []string
	ast     *ast.File
}

// owners are the libraries that shape a layer: each has one importing package
// (or a few folders that are no programs), tests included, so that replacing it means rewriting that one.
var owners = map[string]string{
	"github.com/nats-io":           "server/natslog",
	"github.com/labstack":          "server/httpd",
	"github.com/golang-jwt":        "server/auth",
	"github.com/minio/highwayhash": "server/filestore",
	"github.com/prometheus":        "server/metrics",
	"github.com/redis":             "server/redissession",
	"github.com/cloudevents":       "server/ingest",
	"github.com/olahol/melody":     "transports/carrier/ws",
	"github.com/gorilla/websocket": "transports server/e2e", // melody's; here the tests' client
	"google.golang.org/protobuf":   "transports/alarmpush server/e2e",
	"github.com/coder/websocket":   "server/client",
	"github.com/eclipse":           "server/e2e bench", // an MQTT client, of no program
	"github.com/wcharczuk":         "bench",            // no program of ours draws
	"github.com/santhosh-tekuri":   "server/e2e",       // what answers have to look like
}

// composed are the parts that only programs and tests put together.
var composed = []string{module + "/server/natslog", module + "/server/httpd", module + "/server/cmd"}

func TestLibrariesHaveOneImporter(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			for library, owner := range owners {
				mine := func(folder string) bool { return within(s.dir, folder) }
				if within(imported, library) && !slices.ContainsFunc(strings.Fields(owner), mine) {
					t.Errorf("%s imports %s, which is for %s alone", s.path, imported, owner)
				}
			}
		}
	}
}

func TestOnlyProgramsCompose(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || within(s.dir, "server/cmd") || within(s.dir, "bench") {
			continue
		}
		for _, imported := range s.imports {
			for _, part := range composed {
				if within(imported, part) && !within(module+"/"+s.dir, part) {
					t.Errorf("%s imports %s: let server/cmd hand it over", s.path, imported)
				}
			}
		}
	}
}

func TestTheCoreImportsTheStandardLibraryOnly(t *testing.T) {
	for _, s := range sources(t) {
		if !within(s.dir, "server/inbox") {
			continue
		}
		for _, imported := range s.imports {
			if !standard(imported) && !(s.test && within(imported, module+"/server/inbox")) {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
}

func TestTransportsKnowTheCoreAndTheirParents(t *testing.T) {
	for _, s := range sources(t) {
		if !within(s.dir, "transports") || s.test {
			continue
		}
		for _, imported := range s.imports {
			imported, ours := strings.CutPrefix(imported, module+"/")
			generated := imported == s.dir+"/"+path.Base(s.dir)+"pb" // messages, no transport
			if ours && within(imported, "transports") && !within(s.dir, imported) && !generated {
				t.Errorf("%s imports %s: transports know their parents, not their siblings or children", s.path, imported)
			}
		}
	}
}

// docs/decisions/0001: the library is the client of tail, tests and bench.
func TestTheServerWritesItsFramesItself(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if within(imported, "github.com/r3labs/sse") && !s.test && !within(s.dir, "server/client") {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
}

func TestOnlyProgramsReadTheEnvironment(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.name == "main" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := call.X.(*ast.Ident)
			if ok && pkg.Name == "os" && slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, call.Sel.Name) {
				t.Errorf("%s calls os.%s: settings are handed over", s.path, call.Sel.Name)
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		key := s.dir + " " + strings.TrimSuffix(s.name, "_test")
		said[key] = said[key] || s.ast.Doc != nil
	}
	for key, ok := range said {
		if !ok {
			t.Errorf("%s: no comment stands attached to the package clause", key)
		}
	}
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	root := root(t)
	var all []source
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != root && (name[0] == '.' || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(rel), name: f.Name.Name, ast: f}
		s.dir = path.Dir(s.path)
		s.test = strings.HasSuffix(s.path, "_test.go") || strings.HasSuffix(s.dir, "test") // inboxtest and its like
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d files found below %s", len(all), root)
	}
	return all
}

// root is the folder of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

// within says whether the path is the tree or lies below it.
func within(p, tree string) bool {
	tree = strings.TrimSuffix(tree, "/")
	return p == tree || strings.HasPrefix(p, tree+"/")
}

// standard says whether an import path is of the standard library, whose first
// element has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return first != module && !strings.Contains(first, ".")
}
