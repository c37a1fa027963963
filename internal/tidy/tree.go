package tidy

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// Module is the import path of the repository.
const Module = "github.com/muster-init/muster"

// File is one parsed Go file.
type File struct {
	Path  string // slash-separated, relative to the repository
	Dir   string // of its package, relative; "." for the repository itself
	Test  bool   // name ends in _test.go
	Lines int
	Text  string
	AST   *ast.File
}

// Tree is every Go file of the repository.
type Tree struct {
	Root  string
	Fset  *token.FileSet
	Files []*File
}

// Finding is one violation. Where is a path, with :line where there is one.
type Finding struct {
	Rule, Where, Text string
}

func (f Finding) String() string { return f.Rule + ": " + f.Where + ": " + f.Text }

// Root finds the repository from the working directory upward.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("no go.mod above the working directory")
	}
}

// Load reads and parses all Go files below root. Hidden directories, bin and testdata are left out, as the go command does.
func Load(root string) (*Tree, error) {
	t := &Tree{Root: root, Fset: token.NewFileSet()}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		return t.Add(name, string(text))
	})
	if err != nil {
		return nil, fmt.Errorf("tidy: %w", err)
	}
	return t, nil
}

// Add parses one file into the tree; name is relative to the repository.
func (t *Tree) Add(name, text string) error {
	parsed, err := parser.ParseFile(t.Fset, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	t.Files = append(t.Files, &File{
		Path: name, Dir: path.Dir(name), Test: strings.HasSuffix(name, "_test.go"),
		Lines: strings.Count(text, "\n"), Text: text, AST: parsed,
	})
	return nil
}

// Dirs lists the directories that hold Go files, sorted.
func (t *Tree) Dirs() []string {
	seen := map[string]bool{}
	var dirs []string
	for _, f := range t.Files {
		if !seen[f.Dir] {
			seen[f.Dir] = true
			dirs = append(dirs, f.Dir)
		}
	}
	sort.Strings(dirs)
	return dirs
}

// where is path:line of a position.
func (t *Tree) where(pos token.Pos) string {
	p := t.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// matches tells whether dir is pattern, or below it when pattern ends in "/...".
func matches(pattern, dir string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == prefix || strings.HasPrefix(dir, prefix+"/")
	}
	return pattern == dir
}

// matchesAny tells whether one of the patterns matches.
func matchesAny(patterns []string, dir string) bool {
	for _, p := range patterns {
		if matches(p, dir) {
			return true
		}
	}
	return false
}
