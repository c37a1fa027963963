package tidy

import (
	"fmt"
	"go/ast"
	"strings"
)

// Limits of size. The aim is 100–600 lines a file and 70 a function (docs/style.md); these are where it fails.
const (
	fileLinesMax     = 1000
	functionLinesMax = 100
	packageFilesMax  = 70
)

// tableMark in a file lets it be longer; the reason follows it.
const tableMark = "// tidy:table "

// Sizes finds files and functions that are too long to be read at once. Lines of composite literals are data and don't
// count in a function: a table of cases may be as long as it has cases.
func (t *Tree) Sizes() []Finding {
	var out []Finding
	files := map[string]int{}
	for _, f := range t.Files {
		if !f.Test {
			files[f.Dir]++
		}
		table := strings.Contains(f.Text, "\n"+tableMark)
		if f.Lines > fileLinesMax && !table {
			out = append(out, Finding{"size", f.Path, fmt.Sprintf("%d lines, at most %d: split it by noun, or mark a table with `%swhy`", f.Lines, fileLinesMax, tableMark)})
		}
		if f.Lines <= fileLinesMax && table {
			out = append(out, Finding{"size", f.Path, "the mark `" + strings.TrimSpace(tableMark) + "` is not needed"})
		}
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if n := t.codeLines(fn); n > functionLinesMax {
				out = append(out, Finding{"size", t.where(fn.Pos()), fmt.Sprintf("%s has %d lines of code, at most %d: take out a step and name it", fn.Name.Name, n, functionLinesMax)})
			}
		}
	}
	for _, dir := range t.Dirs() {
		if files[dir] > packageFilesMax {
			out = append(out, Finding{"size", dir, fmt.Sprintf("%d files, at most %d: a package is one noun", files[dir], packageFilesMax)})
		}
	}
	return out
}

// codeLines counts the lines of a function without those inside composite literals.
func (t *Tree) codeLines(fn *ast.FuncDecl) int {
	first, last := t.Fset.Position(fn.Pos()).Line, t.Fset.Position(fn.End()).Line
	data := map[int]bool{}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		for line := t.Fset.Position(lit.Pos()).Line + 1; line <= t.Fset.Position(lit.End()).Line; line++ {
			data[line] = true
		}
		// Functions among the data are code again.
		ast.Inspect(lit, func(n ast.Node) bool {
			if body, ok := n.(*ast.FuncLit); ok {
				for line := t.Fset.Position(body.Pos()).Line; line <= t.Fset.Position(body.End()).Line; line++ {
					delete(data, line)
				}
			}
			return true
		})
		return false
	})
	return last - first + 1 - len(data)
}
