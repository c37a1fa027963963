// Command again runs go test, and what fails once more by itself: the tests of muster use real processes, mounts and
// machines, and one unlucky try of one of them says nothing.
//
//	go run ./test/again [-tries N] [-notes FILE] [-subtests] [flags of go test] -- PACKAGES [-- flags of the tests]
//
// With -subtests those are tried again by themselves, where a test is a long list of them.
//
// Invariants:
//  1. A test counts only when it passed at a later try: one that is skipped or isn't found then has failed.
//  2. What doesn't build, and what fails at each of the tries, fails. The output of every try is shown.
//  3. What passed at a later try only is named at the end, and in FILE, which collects it over several runs.
//  4. The last line is one of go test.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// job is what is asked for.
type job struct {
	tries    int
	notes    string // file, or empty
	verbose  bool
	subtests bool
	flags    []string // of go test
	packages []string
	args     []string // flags of the tests
	out      io.Writer
	// run is go with its arguments; tests have another one.
	run   func(out io.Writer, args []string) error
	pause time.Duration // before a later try
}

func main() {
	j, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "again:", err)
		os.Exit(2)
	}
	j.out, j.run, j.pause = os.Stdout, goTool, 2*time.Second
	ok, err := j.all()
	if err != nil {
		fmt.Fprintln(os.Stderr, "again:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

func parse(args []string) (*job, error) {
	j := &job{tries: 3}
	flags, rest, ok := cut(args)
	if !ok {
		return nil, fmt.Errorf("no -- before the packages")
	}
	j.packages, j.args, _ = cut(rest)
	if len(j.packages) == 0 {
		return nil, fmt.Errorf("no packages")
	}
	for len(flags) > 0 {
		flag := flags[0]
		flags = flags[1:]
		switch flag {
		case "-tries", "-notes":
			if len(flags) == 0 {
				return nil, fmt.Errorf("%s: no value", flag)
			}
			value := flags[0]
			flags = flags[1:]
			if flag == "-notes" {
				j.notes = value
				continue
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("-tries: %q is no number above 0", value)
			}
			j.tries = n
		case "-v":
			j.verbose = true
		case "-subtests":
			j.subtests = true
		default:
			j.flags = append(j.flags, flag)
		}
	}
	return j, nil
}

// cut splits a list at the first "--".
func cut(list []string) (before, after []string, ok bool) {
	i := slices.Index(list, "--")
	if i < 0 {
		return list, nil, false
	}
	return list[:i], list[i+1:], true
}

// goTool runs go. Its error output is ours.
func goTool(out io.Writer, args []string) error {
	cmd := exec.Command("go", args...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return cmd.Run()
}

// all is every try, and what is said at the end. It tells whether all passed at last.
func (j *job) all() (bool, error) {
	first, err := j.try(1, "", nil)
	if err != nil {
		return false, err
	}
	var notes, bad []string
	closing := first.closing
	for _, f := range first.failed() {
		last, note := j.retry(f)
		if closing = last; note == "" {
			bad = append(bad, last)
		} else {
			notes = append(notes, note)
		}
	}
	said, err := j.collect(notes)
	if err != nil {
		return false, err
	}
	switch {
	case len(bad) > 0:
		fmt.Fprint(j.out, strings.Join(bad, ""), "FAIL\n")
	case said:
		fmt.Fprint(j.out, closing)
	}
	return len(bad) == 0, nil
}

// retry is the later tries of one package: the last line of go test, and a note if it passed.
func (j *job) retry(f failure) (closing, note string) {
	what := strings.TrimSpace(f.name + " " + strings.Join(f.tests, " "))
	closing = f.closing
	for try := 2; try <= j.tries && !f.final; try++ {
		time.Sleep(j.pause) // what disturbed it may pass
		fmt.Fprintf(j.out, "again: try %d of %s %s\n", try, f.name, strings.Join(f.tests, " "))
		r, err := j.try(try, f.name, f.tests)
		if err != nil {
			fmt.Fprintln(j.out, "again:", err)
			break
		}
		closing = r.closing
		if f = r.left(f); f.none {
			return closing, fmt.Sprintf("%s (try %d)", what, try)
		}
	}
	fmt.Fprintf(j.out, "again: failed at every try: %s %s\n", f.name, strings.Join(f.tests, " "))
	if !strings.HasPrefix(closing, "FAIL\t") {
		closing = "FAIL\t" + f.name + "\n" // go test is content with tests that aren't found or are skipped
	}
	return closing, ""
}

// try runs go test once: on all packages, or on some tests of one.
func (j *job) try(n int, name string, tests []string) (*report, error) {
	args := append([]string{"test", "-json"}, j.flags...)
	if n > 1 {
		args = append(args, "-count=1")
	}
	if len(tests) > 0 {
		args = append(args, "-run", pattern(tests))
	}
	if name != "" {
		args = append(args, name)
	} else {
		args = append(args, j.packages...)
	}
	r := &report{out: j.out, try: n, last: n == j.tries, verbose: j.verbose, subtests: j.subtests, packages: map[string]*seen{}}
	err := j.run(r, append(args, j.args...))
	r.end()
	if err != nil && len(r.failed()) == 0 {
		// It told why on its error output: a flag, a package that isn't there.
		return nil, fmt.Errorf("go test: %w", err)
	}
	return r, nil
}

// pattern is the value of -run for exactly these tests.
func pattern(tests []string) string {
	var all []string
	for _, test := range tests {
		var parts []string
		for part := range strings.SplitSeq(test, "/") {
			parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
		}
		all = append(all, strings.Join(parts, "/"))
	}
	return strings.Join(all, "|")
}

// collect keeps the notes in the file, and says all that are there.
func (j *job) collect(notes []string) (said bool, err error) {
	text := ""
	for _, note := range notes {
		text += "    " + note + "\n"
	}
	if j.notes != "" {
		before, err := os.ReadFile(j.notes)
		if err != nil && !os.IsNotExist(err) {
			return false, err
		}
		text = string(before) + text
		if err := os.WriteFile(j.notes, []byte(text), 0o644); err != nil {
			return false, err
		}
	}
	if text != "" {
		fmt.Fprintf(j.out, "passed at a later try only:\n%s", text)
	}
	return text != "", nil
}
