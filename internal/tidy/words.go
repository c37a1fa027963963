package tidy

import (
	"go/ast"
	"regexp"
	"strconv"
	"strings"
)

// Docs finds packages without a doc comment, or with one in two files, and exported declarations without one.
func (t *Tree) Docs() []Finding {
	var out []Finding
	type variant struct{ dir, constraint string } // a package may say for each platform what it is there
	docs, some := map[variant]int{}, map[string]bool{}
	for _, f := range t.Files {
		if f.AST.Doc != nil {
			constraint, _, _ := strings.Cut(f.Text, "\n")
			if !strings.HasPrefix(constraint, "//go:build") {
				constraint = ""
			}
			docs[variant{f.Dir, constraint}]++
			some[f.Dir] = true
			if docs[variant{f.Dir, constraint}] == 2 {
				out = append(out, Finding{"words", f.Path, "the package has a doc comment in another file too"})
			}
		}
		if f.Test || !matches("pkg/...", f.Dir) {
			continue
		}
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if ok && fn.Recv == nil && fn.Name.IsExported() && fn.Doc == nil {
				out = append(out, Finding{"words", t.where(fn.Pos()), "the exported function " + fn.Name.Name + " has no doc comment"})
			}
		}
	}
	for _, dir := range t.Dirs() {
		if !some[dir] {
			out = append(out, Finding{"words", dir, "the package has no doc comment: say what it is, its invariants and why"})
		}
	}
	return out
}

// Words that must not be in comments or strings, with the reason. The patterns are written so that they don't match themselves.
var words = []struct {
	pattern *regexp.Regexp
	reason  string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`), "unfinished work is an issue, not a comment"},
	{regexp.MustCompile(`(?:^|[\s"'(])/(?:work|tmp/bash_jobs)[/.]`), "a path of one machine"},
	{regexp.MustCompile(`(?i)copy` + `right .*(systemd|lennart|red hat)`), "no foreign code"},
}

// Words finds marks of unfinished work and paths of one machine in comments and strings.
func (t *Tree) Words() []Finding {
	var out []Finding
	for _, f := range t.Files {
		for i, line := range strings.Split(f.Text, "\n") {
			for _, w := range words {
				if found := w.pattern.FindString(line); found != "" {
					out = append(out, Finding{"words", f.Path + ":" + strconv.Itoa(i+1), strings.TrimSpace(found) + ": " + w.reason})
				}
			}
		}
	}
	return out
}

// skipReasons are the only reasons for which a test may be skipped: something this machine lacks, never something muster lacks.
var skipReasons = []string{
	"needs root",
	"on this machine", // a program or a kernel feature
	"is not installed",
	"no pseudo terminals here",
	"no kernel log to write to",
	"may not be set here", // the clock
	"-short",
}

// Skips finds tests that are skipped for another reason than the lack of something on the machine.
func (t *Tree) Skips() []Finding {
	var out []Finding
	for _, f := range t.Files {
		if !f.Test {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Skip" && sel.Sel.Name != "Skipf" && sel.Sel.Name != "SkipNow" {
				return true
			}
			if of, ok := sel.X.(*ast.Ident); !ok || of.Name != "t" && of.Name != "b" && of.Name != "f" {
				return true
			}
			if !skipAllowed(call) {
				out = append(out, Finding{"words", t.where(call.Pos()), "a test is skipped for a reason that is not in internal/tidy/words.go: a missing part must fail"})
			}
			return true
		})
	}
	return out
}

func skipAllowed(call *ast.CallExpr) bool {
	for _, arg := range call.Args {
		text := ""
		ast.Inspect(arg, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				text += lit.Value
			}
			return true
		})
		for _, reason := range skipReasons {
			if strings.Contains(text, reason) {
				return true
			}
		}
	}
	return false
}

// outside matches a path in a string that leaves the repository from where go test runs.
var outside = regexp.MustCompile(`"((?:\.\./)+)[^"]*"`)

// Outside finds tests that read files beside the repository: on a clean clone they aren't there.
func (t *Tree) Outside() []Finding {
	var out []Finding
	for _, f := range t.Files {
		depth := strings.Count(f.Dir, "/") + 1
		for i, line := range strings.Split(f.Text, "\n") {
			if m := outside.FindStringSubmatch(line); m != nil && strings.Count(m[1], "../") > depth {
				out = append(out, Finding{"words", f.Path + ":" + strconv.Itoa(i+1), "leads out of the repository"})
			}
		}
	}
	return out
}
