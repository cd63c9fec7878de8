package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licencesFile lists what is in the program besides our own, seen from the module.
const licencesFile = "docs/licences.md"

// bundledFile lists the packages that are in web/dist. The build of web writes it.
const bundledFile = "web/bundled.json"

// A dependency is what others wrote and the program contains.
type dependency struct {
	name, version string
	licences      []string // as SPDX calls them, sorted
	texts         []string // each differs from the others
}

// dependencies are the modules of Go whose packages the program has on any
// platform, Go itself, and the packages that are in the files for browsers. A
// licence that is not known to allow this is an error.
func dependencies(ctx context.Context, dir string) ([]dependency, error) {
	all := map[string]*dependency{}
	for _, p := range platforms {
		packages, err := linked(ctx, dir, p)
		if err != nil {
			return nil, err
		}
		for _, pkg := range packages {
			if pkg.Module == nil || !pkg.Module.Main {
				if err := pkg.note(all); err != nil {
					return nil, err
				}
			}
		}
	}
	list := make([]dependency, 0, len(all))
	for _, d := range all {
		list = append(list, *d)
	}
	bundled, err := readBundled(dir)
	if err != nil {
		return nil, err
	}
	list = append(list, bundled...)
	slices.SortFunc(list, func(a, b dependency) int { return strings.Compare(a.name, b.name) })
	for i := range list {
		if err := list[i].judge(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// A goPackage is what `go list` says of one.
type goPackage struct {
	Dir, ImportPath string
	Standard        bool
	Root            string // of Go itself
	Module          *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// linked are the packages that the program consists of on a platform.
func linked(ctx context.Context, dir, platform string) (list []goPackage, err error) {
	system, machine, _ := strings.Cut(platform, "/")
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,ImportPath,Standard,Root,Module", "./server/cmd/tocsin")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+machine, "CGO_ENABLED=0", "GOWORK=off")
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages for %s: %w", platform, err)
	}
	for in := json.NewDecoder(bytes.NewReader(text)); ; {
		var p goPackage
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		list = append(list, p)
	}
}

// note adds the package's module, with the licences that lie between the package
// and the module's root.
func (p *goPackage) note(all map[string]*dependency) error {
	name, version, root := "Go", "the version it is built with", p.Root
	if m := p.Module; m != nil {
		name, version, root = m.Path, m.Version, m.Dir
		if r := m.Replace; r != nil {
			name, version, root = cmp.Or(r.Path, name), cmp.Or(r.Version, version), r.Dir
		}
	}
	d := all[name]
	if d == nil {
		d = &dependency{name: name, version: version}
		all[name] = d
	}
	for at := p.Dir; ; at = filepath.Dir(at) {
		if err := d.take(at); err != nil {
			return err
		}
		if len(at) <= len(root) {
			return nil
		}
	}
}

// licenceName is what files of licences are called.
var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|unlicense)([-._].*)?$`)

// take adds the licences that lie in a directory.
func (d *dependency) take(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || !licenceName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		d.add(string(text))
	}
	return nil
}

func (d *dependency) add(text string) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	if !slices.Contains(d.texts, text) {
		d.texts = append(d.texts, text)
	}
}

// readBundled are the packages in the files for browsers.
func readBundled(dir string) ([]dependency, error) {
	text, err := os.ReadFile(filepath.Join(dir, bundledFile))
	if err != nil {
		return nil, err
	}
	var packages []struct {
		Name, Version string
		Texts         []string
	}
	if err := json.Unmarshal(text, &packages); err != nil {
		return nil, fmt.Errorf("read %s: %w", bundledFile, err)
	}
	list := make([]dependency, 0, len(packages))
	for _, p := range packages {
		d := dependency{name: p.Name, version: p.Version}
		for _, t := range p.Texts {
			d.add(t)
		}
		list = append(list, d)
	}
	return list, nil
}

// kinds are the licences that we may pass on, by words that only they have: of
// several that begin alike, the first that fits. All that they ask for is that
// their text goes along.
var kinds = []struct {
	name string
	says *regexp.Regexp
}{
	{"Apache-2.0", regexp.MustCompile(`apache license,? version 2\.0`)},
	{"MIT", regexp.MustCompile(`permission is hereby granted, free of charge, to any person obtaining a copy`)},
	{"ISC", regexp.MustCompile(`permission to use, copy, modify, (and/or|and) distribute this software for any purpose with or without fee`)},
	{"BSD-3-Clause", regexp.MustCompile(`redistribution and use in source and binary forms.*(neither the names? of|may not be used to endorse)`)},
	{"BSD-2-Clause", regexp.MustCompile(`redistribution and use in source and binary forms`)},
	{"Unlicense", regexp.MustCompile(`this is free and unencumbered software released into the public domain`)},
}

// excepted are modules with a licence that reaches no further than their own files,
// each looked at by somebody: they are used as they are, and where their source is
// to be had is told with them.
var excepted = map[string]string{
	"github.com/r3labs/sse/v2": "MPL-2.0", // the client of `tocsin tail`, see docs/decisions/0001
}

// excepting are the beginnings of the licences of those.
var excepting = map[string]string{"MPL-2.0": "Mozilla Public License Version 2.0"}

// copyleft are words of licences that would reach out for the program.
var copyleft = regexp.MustCompile(`general public license|mozilla public license|eclipse public license|common development and distribution license|european union public licen[cs]e|server side public license|business source license|creativecommons\.org/licenses/by-(sa|nc)`)

var spaces = regexp.MustCompile(`[\s*#/]+`)

// judge finds out which licences the texts are.
func (d *dependency) judge() error {
	slices.Sort(d.texts)
	if name := excepted[d.name]; name != "" {
		if len(d.texts) != 1 || !strings.HasPrefix(d.texts[0], excepting[name]) {
			return fmt.Errorf("%s %s: it is an exception for %s, and has another licence now", d.name, d.version, name)
		}
		d.licences = []string{name}
		return nil
	}
	found := map[string]bool{}
	for _, text := range d.texts {
		plain := spaces.ReplaceAllString(strings.ToLower(text), " ")
		if word := copyleft.FindString(strings.ToLower(text)); word != "" {
			return fmt.Errorf("%s %s: its licence speaks of a %q, which must be looked at", d.name, d.version, word)
		}
		for _, k := range kinds {
			if k.says.MatchString(plain) && !(k.name == "BSD-2-Clause" && found["BSD-3-Clause"]) {
				found[k.name] = true
			}
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("%s %s: none of its %d texts is a licence that is known here", d.name, d.version, len(d.texts))
	}
	d.licences = slices.Sorted(maps.Keys(found))
	return nil
}

// licencesPage is docs/licences.md.
func licencesPage(all []dependency) []byte {
	var b bytes.Buffer
	b.WriteString(`# Licences

Tocsin is under the [Apache License 2.0](../LICENSE). What others wrote and the program
contains, on any of the platforms it is released for, is listed here. All of it may be
passed on with the program, if its licences go along: every archive of a release has their
texts in ` + "`LICENSES-OF-OTHERS.txt`" + `.

This page is written by ` + "`go run ./release -licences`" + `, from what the program is linked of
and, for the files that browsers get, from what their build has put into them. A licence
that is not known to allow this, a copyleft one among them, stops the release; a test sees
to it that the page is up to date. Tools and tests use more than this, which nobody gets.

One licence here is a copyleft one, but of files: MPL-2.0 asks that the source of the module
itself, which is used unchanged, can be had. It is at its address below, in that version.

| what | version | licence |
|---|---|---|
`)
	for i := range all {
		d := &all[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.name, d.version, strings.Join(d.licences, ", "))
	}
	return b.Bytes()
}

// licenceTexts are all the texts, each under the names of those that it is for.
func licenceTexts(all []dependency) []byte {
	names := map[string][]string{}
	for i := range all {
		for _, text := range all[i].texts {
			names[text] = append(names[text], all[i].name+" "+all[i].version)
		}
	}
	texts := slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		return cmp.Or(slices.Compare(names[a], names[b]), strings.Compare(a, b))
	})
	var b bytes.Buffer
	b.WriteString("What Tocsin contains that others wrote, and on what terms. Of modules under the\n" +
		"Mozilla Public License the source is used unchanged: it is at the address that\n" +
		"the module's name is, in the version given.\n")
	for _, text := range texts {
		b.WriteString("\n" + strings.Repeat("=", 80) + "\n\n")
		b.WriteString(strings.Join(names[text], "\n") + "\n\n")
		b.WriteString(strings.Repeat("-", 80) + "\n\n" + text + "\n")
	}
	return b.Bytes()
}
