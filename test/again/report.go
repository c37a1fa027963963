package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output, FailedBuild string
}

// failure is a package that failed.
type failure struct {
	name    string
	tests   []string // that failed; none: the program didn't come to its end, all of it counts
	closing string   // its line of go test
	final   bool     // it doesn't build
	none    bool     // nothing has
}

// report reads the events of one try and prints what go test would have printed.
type report struct {
	out      io.Writer
	try      int
	verbose  bool
	last     bool // no try follows
	subtests bool // they are tried by themselves
	rest     []byte
	packages map[string]*seen
	order    []string // that failed
	closing  string   // last line of a package
}

// seen is what a package has said.
type seen struct {
	held     []event         // output, until it is known whether somebody wants it
	passed   map[string]bool // tests and subtests
	failed   map[string]bool
	closing  string
	complete bool // all its tests have run
	final    bool
}

// Write takes events as they come.
func (r *report) Write(text []byte) (int, error) {
	r.rest = append(r.rest, text...)
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			return len(text), nil
		}
		r.line(line)
		r.rest = rest
	}
}

// end takes a last line that has no end.
func (r *report) end() {
	if len(r.rest) > 0 {
		r.line(r.rest)
		r.rest = nil
	}
}

func (r *report) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(r.out, "%s\n", line)
		return
	}
	if e.Package == "" { // of the compiler
		fmt.Fprint(r.out, e.Output)
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &seen{passed: map[string]bool{}, failed: map[string]bool{}}
		r.packages[e.Package] = p
	}
	switch {
	case e.Action == "output":
		r.output(p, e)
	case e.Test == "" && (e.Action == "pass" || e.Action == "skip" || e.Action == "fail"):
		p.final = e.FailedBuild != ""
		r.finish(e, p)
	case e.Action == "fail":
		p.failed[e.Test] = true
	case e.Action == "pass" || e.Action == "skip":
		p.passed[e.Test] = e.Action == "pass"
		if !strings.Contains(e.Test, "/") {
			p.forget(e.Test)
		}
	}
}

func (r *report) output(p *seen, e event) {
	if e.Test == "" {
		if e.Output == "FAIL\n" || e.Output == "PASS\n" {
			p.complete = true
		}
		if isClosing(e.Output) {
			p.closing = e.Output
		}
	}
	if r.verbose {
		r.print(e.Output)
	} else {
		p.held = append(p.held, e)
	}
}

// finish prints what was kept of a package.
func (r *report) finish(e event, p *seen) {
	r.closing = p.closing
	for _, held := range p.held {
		quiet := held.Test != "" && strings.HasPrefix(held.Output, "=== ") || held.Test == "" && e.Action != "fail" && !isClosing(held.Output)
		if !quiet {
			r.print(held.Output)
		}
	}
	p.held = nil
	if e.Action == "fail" {
		r.order = append(r.order, e.Package)
	}
}

// print writes a line of go test. While tries are left it doesn't speak of failed tests in the words of the end.
func (r *report) print(line string) {
	if !r.last {
		line = strings.Replace(line, "--- FAIL: ", fmt.Sprintf("--- failed at try %d: ", r.try), 1)
		switch rest, ok := strings.CutPrefix(line, "FAIL\t"); {
		case ok:
			line = fmt.Sprintf("failed at try %d\t%s", r.try, rest)
		case line == "FAIL\n":
			return
		}
	}
	fmt.Fprint(r.out, line)
}

// isClosing tells the line that go test ends a package with.
func isClosing(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?   \t")
}

// forget drops the output of a test, and of its subtests, that nobody wants.
func (p *seen) forget(top string) {
	p.held = slices.DeleteFunc(p.held, func(e event) bool {
		name, _, _ := strings.Cut(e.Test, "/")
		return name == top
	})
}

// failed lists the packages that failed, in their order.
func (r *report) failed() []failure {
	var out []failure
	for _, name := range r.order {
		p := r.packages[name]
		f := failure{name: name, closing: p.closing, final: p.final}
		if p.complete {
			f.tests = r.failedTests(p)
		}
		out = append(out, f)
	}
	return out
}

// failedTests are what is to be tried again: subtests stand for their test, or it stands for them.
func (r *report) failedTests(p *seen) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.failed)) {
		within := func(other string) bool { return strings.HasPrefix(other, name+"/") }
		if r.subtests && !slices.ContainsFunc(slices.Collect(maps.Keys(p.failed)), within) || !r.subtests && !strings.Contains(name, "/") {
			out = append(out, name)
		}
	}
	return out
}

// left is what of a failure this try didn't make good.
func (r *report) left(f failure) failure {
	p := r.packages[f.name]
	if p == nil || !p.complete {
		return f
	}
	now := r.failedTests(p)
	for _, test := range f.tests {
		if !p.passed[test] && !slices.Contains(now, test) {
			now = append(now, test) // skipped, not found, or a part of it failed
		}
	}
	return failure{name: f.name, tests: now, final: p.final, none: len(now) == 0 && len(r.order) == 0}
}
