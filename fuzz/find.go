package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pkg is a package with fuzz targets.
type pkg struct {
	path, dir string
	targets   []string
	unseeded  []string // those of them that begin with nothing
}

// find looks through all packages of the module for targets that are wanted.
func find(ctx context.Context, dir string, wanted *regexp.Regexp) (list []pkg, err error) {
	text, err := output(ctx, dir, "go", "list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles", "./...")
	if err != nil {
		return nil, err
	}
	for in := json.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		found := pkg{path: p.ImportPath, dir: p.Dir}
		for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
			if err := found.read(filepath.Join(p.Dir, name), wanted); err != nil {
				return nil, err
			}
		}
		if len(found.targets) > 0 {
			list = append(list, found)
		}
	}
}

// read notes the targets of a file.
func (p *pkg) read(path string, wanted *regexp.Regexp) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !isTarget(fn) || !wanted.MatchString(p.path+" "+fn.Name.Name) {
			continue
		}
		p.targets = append(p.targets, fn.Name.Name)
		if kept, err := os.ReadDir(filepath.Join(p.dir, "testdata", "fuzz", fn.Name.Name)); !adds(fn) && (err != nil || len(kept) == 0) {
			p.unseeded = append(p.unseeded, fn.Name.Name)
		}
	}
	return nil
}

// isTarget says whether a function is func FuzzXxx(f *testing.F).
func isTarget(fn *ast.FuncDecl) bool {
	rest, ok := strings.CutPrefix(fn.Name.Name, "Fuzz")
	if first, _ := utf8.DecodeRuneInString(rest); !ok || unicode.IsLower(first) || fn.Recv != nil || len(fn.Type.Params.List) != 1 {
		return false
	}
	star, ok := fn.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := star.X.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "F"
}

// adds says whether a target calls Add, which gives it something to begin with.
func adds(fn *ast.FuncDecl) (found bool) {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Add" {
			found = true
		}
		return !found
	})
	return found
}
