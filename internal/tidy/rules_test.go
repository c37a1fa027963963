package tidy

import (
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// planted is a tree of the given files, path to text.
func planted(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	tree := &Tree{Root: t.TempDir(), Fset: token.NewFileSet()}
	for name, text := range files {
		if err := tree.Add(name, text); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// onDisk is planted, with a module around it that the go command can compile.
func onDisk(t *testing.T, files map[string]string) (*Tree, *Types) {
	t.Helper()
	tree := planted(t, files)
	write := func(name, text string) {
		path := filepath.Join(tree.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module "+Module+"\n\ngo 1.26\n")
	write("cmd/none/main.go", "package main\n\nfunc main() {}\n")
	for name, text := range files {
		write(name, text)
	}
	info, err := tree.Check()
	if err != nil {
		t.Fatal(err)
	}
	return tree, info
}

// found checks that the findings are exactly those wanted, each given as a part of its text.
func found(t *testing.T, got []Finding, want ...string) {
	t.Helper()
	for _, w := range want {
		hit := false
		for i, f := range got {
			if strings.Contains(f.String(), w) {
				got = append(append([]Finding{}, got[:i]...), got[i+1:]...)
				hit = true
				break
			}
		}
		if !hit {
			t.Errorf("planted fault not found: %s", w)
		}
	}
	for _, f := range got {
		t.Errorf("found what is no fault: %v", f)
	}
}

func TestImportsFindsPlanted(t *testing.T) {
	tree := planted(t, map[string]string{
		"pkg/engine/clock.go":     "package engine\nimport \"time\"\nvar _ = time.Now\n",
		"pkg/unit/read.go":        "package unit\nimport \"os\"\nvar _ = os.Open\n",
		"pkg/unit/value/time.go":  "package value\nimport (\n\"time\"\n\"net/netip\"\n)\nvar _ = time.UTC\nvar _ netip.Addr\n",
		"pkg/kernel/policy.go":    "package kernel\nimport _ \"" + Module + "/pkg/unit\"\n",
		"pkg/manager/confine.go":  "package manager\nimport _ \"" + Module + "/pkg/sandbox\"\n",
		"pkg/loader/run.go":       "package loader\nimport _ \"os/exec\"\n",
		"pkg/journal/library.go":  "package journal\nimport _ \"github.com/godbus/dbus/v5\"\n",
		"pkg/new/new.go":          "package fresh\nimport _ \"" + Module + "/pkg/unit\"\n",
		"pkg/bus/unknown.go":      "package bus\nimport _ \"example.org/x\"\n",
		"pkg/engine/read_test.go": "package engine\nimport _ \"os\"\n",
	})
	found(t, tree.Imports(),
		"pkg/engine/clock.go:2: must not import time", "pkg/unit/read.go:2: must not import os", "pkg/kernel/policy.go:2: must not import pkg/unit",
		"pkg/manager/confine.go:2: must not import "+Module+"/pkg/sandbox", "pkg/loader/run.go:2: must not import os/exec",
		"pkg/journal/library.go:2: must not import github.com/godbus", "pkg/new has no row", "example.org/x has no row")
}

func TestPurityFindsPlanted(t *testing.T) {
	tree := planted(t, map[string]string{
		"pkg/engine/a.go":  "package engine\nfunc a(c chan int) {\ngo a(nil)\nselect {}\n}\nfunc b(c []int) { c[0] = 1 }\n",
		"pkg/manager/a.go": "package manager\nfunc a(c chan int) { select {} }\n",
	})
	found(t, tree.Statements(), "engine/a.go:2: a channel", "engine/a.go:3: a go statement", "engine/a.go:4: a select statement")
}

func TestMapOrderFindsPlanted(t *testing.T) {
	tree, info := onDisk(t, map[string]string{"pkg/engine/a.go": `package engine

import "sort"

func leaks(m map[string]int) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

func sorts(m map[string]int) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func counts(m map[string]int) (n int, most int) {
	for _, v := range m {
		n += v
		most = max(most, v)
	}
	return n, most
}

func says(m map[string]int) (last string) {
	// order-free: there is one key
	for k := range m {
		last = k
	}
	return last
}

func list(m []string) (last string) {
	for _, k := range m {
		last = k
	}
	return last
}
`})
	found(t, tree.MapOrder(info), "pkg/engine/a.go:6: ")
}

func TestGoroutinesFindsPlanted(t *testing.T) {
	tree, info := onDisk(t, map[string]string{
		"pkg/bus/a.go": "package bus\nfunc a() { go a() }\n",
		"pkg/manager/worker.go": `package manager

type w struct{}

func (w w) start() {
	go w.good()
	go w.bad()
}
func (w w) bad() { w.add2() }
func (w) add2() {}
func (w w) good() { w.one() }
func (w) one() { defer func() { _ = recover() }() }
`,
	})
	found(t, tree.Goroutines(info), "pkg/bus/a.go:2: PID 1 has one loop", "pkg/manager/worker.go:7: a panic in it would end PID 1")
}

func TestDeadRowsFindsPlanted(t *testing.T) {
	tree, info := onDisk(t, map[string]string{
		"pkg/unit/a.go": `package unit

type Service struct {
	Dead, Alive, Written, Whole, Admitted bool
}

var kBool = 1
var kWhole = func(s *Service) bool { return s.Whole }

func in(f func(*Service) any) int { return 0 }
func full()                       {}
func accepted(string) int         { return 0 }
func row(a ...any) int            { return 0 }

var rows = []int{
	row(1, "Dead", kBool, in(func(s *Service) any { return &s.Dead }), "", "", full),
	row(1, "Alive", kBool, in(func(s *Service) any { return &s.Alive }), "", "", full),
	row(1, "Written", kBool, in(func(s *Service) any { return &s.Written }), "", "", full),
	row(1, "Whole", kWhole, in(func(s *Service) any { return s }), "", "", full),
	row(1, "Admitted", kBool, in(func(s *Service) any { return &s.Admitted }), "", "", accepted("why")),
}
`,
		"pkg/manager/a.go": `package manager

import "` + Module + `/pkg/unit"

func use(s *unit.Service) bool {
	s.Written = true
	return s.Alive && s.Whole
}
`,
	})
	found(t, tree.DeadRows(info), "pkg/unit/a.go:16: Dead=", "pkg/unit/a.go:18: Written=", "the exception for CPUAccounting= is not needed")
}

func TestSizesFindsPlanted(t *testing.T) {
	lines := strings.Repeat("\tx()\n", functionLinesMax)
	data := strings.Repeat("\t\t1,\n", functionLinesMax)
	tree := planted(t, map[string]string{
		"pkg/a/long.go":  "package a\n" + strings.Repeat("\n", fileLinesMax),
		"pkg/a/table.go": "package a\n\n" + tableMark + "of numbers\n" + strings.Repeat("\n", fileLinesMax),
		"pkg/a/mark.go":  "package a\n\n" + tableMark + "of nothing\n",
		"pkg/a/code.go":  "package a\nfunc x() {\n" + lines + "}\n",
		"pkg/a/data.go":  "package a\nfunc y() []int {\n\treturn []int{\n" + data + "\t}\n}\n",
	})
	found(t, tree.Sizes(), "pkg/a/long.go: 1001 lines", "pkg/a/mark.go: the mark", "pkg/a/code.go:2: x has 102 lines")
}

func TestFormatFindsPlanted(t *testing.T) {
	tree := planted(t, map[string]string{"pkg/a/a.go": "package a\n\nvar  x = 1\n", "pkg/b/b.go": "package b\n\nvar x = 1\n"})
	found(t, tree.Format(), "pkg/a/a.go: gofmt -w")
}

func TestWordsFindsPlanted(t *testing.T) {
	up := strings.Repeat("../", 3)
	tree := planted(t, map[string]string{
		"pkg/a/a.go":      "package a\n\n// TO" + "DO: later\n\nfunc Exported() {}\n",
		"pkg/a/a_test.go": "package a\nfunc f() {\n\tt.Skip(\"needs root for mounts\")\n\tt.Skip(\"not written yet\")\n\to(\"" + up + "x\")\n\to(\"../../x\")\n}\n",
		"pkg/b/b.go":      "// Package b is documented.\npackage b\n\nconst p = \"/wo" + "rk/x\"\n",
	})
	found(t, tree.Words(), "pkg/a/a.go:3: TO"+"DO", "pkg/b/b.go:4:")
	found(t, tree.Docs(), "pkg/a: the package has no doc comment", "pkg/a/a.go:5: the exported function Exported")
	found(t, tree.Skips(), "pkg/a/a_test.go:4: a test is skipped")
	found(t, tree.Outside(), "pkg/a/a_test.go:5: leads out")
}

func TestLinksFindsPlanted(t *testing.T) {
	tree := planted(t, map[string]string{"pkg/engine/a.go": "package engine\nfunc Step() {}\n"})
	for name, text := range map[string]string{
		"Makefile":     "test: ## x\n",
		"README.md":    "[a](docs/a.md) [b](docs/b.md) [c](https://example.org/) `make test` `make bread`\n",
		"CHANGELOG.md": "`pkg/engine/a.go` `pkg/engine/b.go`\n",
		"docs/a.md":    "[up](../README.md) [gone](README.md) `engine.Step` `engine.Stop` `other.Name`\n",
	} {
		path := filepath.Join(tree.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(tree.Root, "pkg/engine"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree.Root, "pkg/engine/a.go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := tree.Links()
	if err != nil {
		t.Fatal(err)
	}
	found(t, got, "README.md: the link to docs/b.md", "README.md: there is no `make bread`", "CHANGELOG.md: there is no pkg/engine/b.go",
		"docs/a.md: the link to README.md", "docs/a.md: package engine has no Stop")
}
