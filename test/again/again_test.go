package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// played is go test that says what is written down: one text of events per run.
type played struct {
	runs []string
	args []string // of each run
}

func (p *played) run(out io.Writer, args []string) error {
	p.args = append(p.args, strings.Join(args, " "))
	if len(p.runs) == 0 {
		return errors.New("one run too many")
	}
	text := p.runs[0]
	p.runs = p.runs[1:]
	_, _ = io.WriteString(out, text)
	if strings.Contains(text, `"Action":"fail"`) || text == "" {
		return errors.New("exit status 1")
	}
	return nil
}

// program is the events of a package that came to its end: "-TestA" failed, "TestA" passed, "~TestA" was skipped.
func program(name string, tests ...string) string {
	text, result := "", "pass"
	event := func(format string, args ...any) { text += fmt.Sprintf(format, args...) + "\n" }
	for _, test := range tests {
		action, word := "pass", "PASS"
		switch test[0] {
		case '-':
			action, word, result = "fail", "FAIL", "fail"
		case '~':
			action, word = "skip", "SKIP"
		}
		test = strings.TrimLeft(test, "-~")
		event(`{"Action":"run","Package":%q,"Test":%q}`, name, test)
		event(`{"Action":"output","Package":%q,"Test":%q,"Output":"    what %s said\n"}`, name, test, test)
		event(`{"Action":"output","Package":%q,"Test":%q,"Output":"--- %s: %s (0.00s)\n"}`, name, test, word, test)
		event(`{"Action":%q,"Package":%q,"Test":%q}`, action, name, test)
	}
	closing := "ok  \\t" + name + "\\t0.1s"
	if result == "fail" {
		closing = "FAIL\\t" + name + "\\t0.1s"
	}
	event(`{"Action":"output","Package":%q,"Output":"%s\n"}`, name, strings.ToUpper(result))
	event(`{"Action":"output","Package":%q,"Output":"%s\n"}`, name, closing)
	event(`{"Action":%q,"Package":%q}`, result, name)
	return text
}

// crash is a program that ends before its tests do.
const crash = `{"Action":"output","Package":"a","Test":"TestX","Output":"panic: x\n"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}
{"Action":"fail","Package":"a"}
`

const unbuilt = `{"ImportPath":"a","Action":"build-output","Output":"a.go:1: no\n"}
{"Action":"output","Package":"a","Output":"FAIL\ta [build failed]\n"}
{"Action":"fail","Package":"a","FailedBuild":"a"}
`

func TestTries(t *testing.T) {
	for _, c := range []struct {
		name     string
		flags    string
		runs     []string
		ok       bool
		later    []string // what of go's arguments a later run must have
		shown    []string // in this order
		notShown string
	}{
		{name: "all pass", runs: []string{program("a", "TestX") + program("b", "TestY")}, ok: true, shown: []string{"ok  \ta", "ok  \tb"}, notShown: "said"},
		{name: "one unlucky", runs: []string{program("a", "TestX", "-TestY") + program("b", "TestZ"), program("a", "TestY")}, ok: true,
			later: []string{"-count=1 -run ^TestY$ a -x"}, shown: []string{"what TestY said", "--- failed at try 1: TestY", "passed at a later try only:\n    a TestY (try 2)\nok  \ta"}, notShown: "FAIL"},
		{name: "one broken", runs: []string{program("a", "-TestX", "-TestY"), program("a", "TestX", "-TestY"), program("a", "-TestY")},
			later: []string{"-run ^TestX$|^TestY$ a", "-run ^TestY$ a"}, shown: []string{"try 1: TestY", "try 2: TestY", "--- FAIL: TestY", "failed at every try: a TestY\nFAIL\ta\t0.1s\nFAIL\n"}},
		{name: "subtests for their test", runs: []string{program("a", "-TestX/1", "TestX/2", "-TestX"), program("a", "TestX/1", "TestX/2", "TestX")}, ok: true,
			later: []string{"-run ^TestX$ a"}},
		{name: "subtests by themselves", flags: "-subtests", runs: []string{program("a", "-TestX/1", "TestX/2", "-TestX"), program("a", "TestX/1", "TestX")}, ok: true,
			later: []string{"-run ^TestX$/^1$ a"}},
		{name: "skipped is not passed", flags: "-tries 2", runs: []string{program("a", "-TestX"), program("a", "~TestX")}, shown: []string{"every try: a TestX\nFAIL\ta\nFAIL\n"}},
		{name: "not found is not passed", flags: "-tries 2", runs: []string{program("a", "-TestX"), program("a")}, shown: []string{"every try: a TestX\nFAIL\ta\nFAIL\n"}},
		{name: "a crash counts for all", runs: []string{crash, program("a", "-TestX", "TestY"), program("a", "TestX")}, ok: true,
			later: []string{"-count=1 a -x", "-run ^TestX$ a"}, shown: []string{"panic: x", "a (try 3)"}},
		{name: "always crashes", flags: "-tries 2", runs: []string{crash, crash}, shown: []string{"FAIL\ta\t0.1s\nFAIL\n"}},
		{name: "what doesn't build has no second try", runs: []string{unbuilt}, shown: []string{"a.go:1: no", "FAIL\ta [build failed]\nFAIL\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			p := &played{runs: c.runs}
			j, err := parse(append(strings.Fields(c.flags), "-timeout", "1m", "--", "a", "b", "--", "-x"))
			if err != nil {
				t.Fatal(err)
			}
			j.out, j.run = &out, p.run
			ok, err := j.all()
			if err != nil || ok != c.ok || len(p.runs) > 0 {
				t.Errorf("all() = %v, %v, want %v; %d runs are left\n%s", ok, err, c.ok, len(p.runs), out.String())
			}
			for n, want := range c.later {
				if n+1 >= len(p.args) || !strings.Contains(p.args[n+1], want) {
					t.Errorf("run %d: want %q in %q", n+2, want, p.args)
				}
			}
			rest := out.String()
			for _, want := range c.shown {
				var found bool
				if _, rest, found = strings.Cut(rest, want); !found {
					t.Errorf("no %q in its place:\n%s", want, out.String())
				}
			}
			if c.notShown != "" && strings.Contains(out.String(), c.notShown) {
				t.Errorf("%q is shown:\n%s", c.notShown, out.String())
			}
		})
	}
}

// TestNotes: what needed a later try is said at the end of each of several runs.
func TestNotes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes")
	for _, runs := range [][]string{{program("a", "-TestX"), program("a", "TestX")}, {program("b", "TestY")}} {
		var out strings.Builder
		j := &job{tries: 2, notes: file, packages: []string{"./..."}, verbose: true, out: &out, run: (&played{runs: runs}).run}
		if ok, err := j.all(); !ok || err != nil {
			t.Fatalf("all() = %v, %v\n%s", ok, err, out.String())
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if i := slices.Index(lines, "    a TestX (try 2)"); i != len(lines)-2 || !strings.HasPrefix(lines[i+1], "ok  \t") {
			t.Errorf("the notes don't stand before the last line of go test:\n%s", out.String())
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "    a TestX (try 2)\n" {
		t.Errorf("notes: %q, %v", text, err)
	}
}

// TestNoEvents: what go can't even begin is an error.
func TestNoEvents(t *testing.T) {
	j := &job{tries: 2, packages: []string{"a"}, out: io.Discard, run: (&played{runs: []string{""}}).run}
	if ok, err := j.all(); ok || err == nil {
		t.Errorf("all() = %v, %v", ok, err)
	}
	for _, args := range [][]string{{}, {"a"}, {"--"}, {"-tries", "--", "a"}, {"-tries", "0", "--", "a"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("parse(%q) finds nothing wrong", args)
		}
	}
}
