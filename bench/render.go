package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// pageTemplate has the explanations, which people write; the figures stand in the
// results.
//
//go:embed performance.md.tmpl
var pageTemplate embed.FS

const pageName = "performance.md"

// render writes docs/performance.md and its plots from the newest complete results.
func render(root string) error {
	files, err := rendered(filepath.Join(root, "bench", "results"))
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(root, "docs", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// rendered are the files below docs, by their names.
func rendered(results string) (map[string][]byte, error) {
	kept, err := newest(results)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	page := &page{report: kept.own, peers: kept.peers, plots: files}
	t, err := template.New("performance.md.tmpl").Funcs(template.FuncMap{
		"run":     func() *report { return kept.own },
		"peers":   func() *report { return kept.peers },
		"cluster": func() *report { return kept.cluster },
		"missed":  page.missed,
		"table":   kept.own.table,
		"tableOf": (*report).table,
		"plots":   page.plot,
		"compare": page.compare,
	}).ParseFS(pageTemplate, "performance.md.tmpl")
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, nil); err != nil {
		return nil, err
	}
	files[pageName] = text.Bytes()
	return files, nil
}

// The results that are shown: the newest of all parts, and of the peers and of several
// nodes, if there are any.
type results struct{ own, peers, cluster *report }

// newest finds what is to be shown.
func newest(dir string) (kept results, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return kept, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return kept, err
		}
		r := &report{}
		if err := json.Unmarshal(text, r); err != nil {
			return kept, fmt.Errorf("%s: %w", path, err)
		}
		if r.Short {
			continue
		}
		if r.has(peersPart) && r.newer(kept.peers) {
			kept.peers = r
		}
		if r.hasAll(apart) && r.newer(kept.cluster) {
			kept.cluster = r
		}
		if r.complete() && r.newer(kept.own) {
			kept.own = r
		}
	}
	if kept.own == nil {
		return kept, errors.New("there are no results of all parts; run the benchmarks first")
	}
	return kept, nil
}

func (r *report) newer(than *report) bool { return than == nil || r.Date.After(than.Date) }

func (r *report) has(part string) bool {
	return slices.ContainsFunc(r.Figures, func(f *figure) bool { return f.Part == part })
}

// inReadme are parts whose figures stand in bench/README.md, not on the page.
var inReadme = []string{"doors", "lists", "marks", "behind"}

func (r *report) complete() bool {
	for _, p := range parts {
		if !slices.Contains(inReadme, p.name) && !slices.Contains(apart, p.name) && !r.has(p.name) {
			return false
		}
	}
	return true
}

func (r *report) hasAll(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !r.has(name) })
}

// A page is what the template draws from.
type page struct {
	*report
	peers *report
	plots map[string][]byte
}

// table is a part's figures.
func (r *report) table(part string) (string, error) {
	if !r.has(part) {
		return "", fmt.Errorf("there is no part %q", part)
	}
	var b strings.Builder
	b.WriteString("| | figure | rounds | target | | floor | figure / floor |\n|---|--:|---|--:|---|--:|--:|\n")
	for _, f := range r.Figures {
		if f.Part == part {
			b.WriteString(f.row())
		}
	}
	for _, run := range r.Runs {
		if run.Part == part {
			fmt.Fprintf(&b, "\nIt took %.0f s, in which others used %.0f %% of the machine.\n", run.Seconds, run.Others)
		}
	}
	return b.String(), nil
}

// row is a line of a table.
func (f *figure) row() string {
	spread, want, verdict, under, ratio := "", "", "", "", ""
	if len(f.Rounds) > 0 {
		spread = number(slices.Min(f.Rounds)) + "–" + number(slices.Max(f.Rounds))
	}
	if f.Target != nil {
		want, verdict = f.Target.String(), yesNo(f.met())
		if !f.met() {
			verdict = "**" + verdict + "**"
		}
	}
	if f.Floor != 0 {
		under, ratio = number(f.Floor), number(f.Value/f.Floor)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n",
		f.Name, strings.TrimSpace(number(f.Value)+" "+f.Unit), spread, want, verdict, under, ratio)
}

// missed lists the targets that were not met.
func (p *page) missed() string {
	var b strings.Builder
	met, all := 0, 0
	for _, f := range p.Figures {
		if f.Target == nil {
			continue
		}
		if all++; f.met() {
			met++
			continue
		}
		fmt.Fprintf(&b, "- %s: %s, target %s\n", f.Name, strings.TrimSpace(number(f.Value)+" "+f.Unit), f.Target)
	}
	return fmt.Sprintf("%d of %d targets are met. Not met are\n\n%s", met, all, b.String())
}

// compare is the table of the peers: a line for each of them, a column for each
// measure.
func (p *page) compare() string {
	if p.peers == nil {
		return "No run with peers has been kept yet.\n"
	}
	var who, what []string
	cells := map[[2]string]string{}
	for _, f := range p.peers.Figures {
		name, measure, _ := strings.Cut(f.Name, ": ")
		measure += ", " + f.Unit
		if !slices.Contains(who, name) {
			who = append(who, name)
		}
		if !slices.Contains(what, measure) {
			what = append(what, measure)
		}
		cells[[2]string{name, measure}] = number(f.Value)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(what, " | "), strings.Repeat("--:|", len(what)))
	for _, w := range who {
		fmt.Fprintf(&b, "| %s |", w)
		for _, m := range what {
			cell := cells[[2]string{w, m}]
			if cell == "" {
				cell = "–"
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}
