package tidy

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// Statements finds go, select, channel types and sends in the pure packages.
func (t *Tree) Statements() []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || !matchesAny(pure, f.Dir) {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			what := ""
			switch n.(type) {
			case *ast.GoStmt:
				what = "a go statement"
			case *ast.SelectStmt:
				what = "a select statement"
			case *ast.ChanType, *ast.SendStmt:
				what = "a channel"
			}
			if what != "" {
				out = append(out, Finding{"purity", t.where(n.Pos()), what + " in a pure package: what happens when would depend on the scheduler"})
			}
			return true
		})
	}
	return out
}

// ordered are the packages whose results leave in an order that must be the same in every run. The simulator isn't one of them:
// it runs each seed twice and compares.
var (
	ordered   = []string{"pkg/engine/...", "pkg/depend", "pkg/execplan/...", "pkg/job"}
	unordered = []string{"pkg/engine/enginetest"}
)

// orderFree is the mark of a loop over a map whose order can't be seen; the reason follows it.
const orderFree = "// order-free:"

// MapOrder finds loops over maps in the ordered packages whose order could get out. A loop is fine when its function sorts
// afterwards, when its body only deletes, counts or writes to other maps, or when it is marked with the reason.
func (t *Tree) MapOrder(info *Types) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || !matchesAny(ordered, f.Dir) || matchesAny(unordered, f.Dir) {
			continue
		}
		marks := marked(t, f, orderFree)
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				loop, ok := n.(*ast.RangeStmt)
				if !ok || !info.isMap(f.Dir, loop.X) {
					return true
				}
				line := t.Fset.Position(loop.Pos()).Line
				if marks[line] || marks[line-1] || orderless(loop.Body.List) || sortsAfter(fn.Body, loop.End()) {
					return true
				}
				out = append(out, Finding{"map order", t.where(loop.Pos()),
					"a loop over a map whose order may get out: sort, or say why not in a comment `" + orderFree + " …`"})
				return true
			})
		}
	}
	return out
}

// marked are the lines of comments that begin with mark.
func marked(t *Tree, f *File, mark string) map[int]bool {
	lines := map[int]bool{}
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, mark) {
				lines[t.Fset.Position(c.Pos()).Line] = true
			}
		}
	}
	return lines
}

// orderless tells whether statements give the same result in any order: deletes, counting, writes to maps under the loop's
// key, the least or greatest of something, and answering with a constant.
func orderless(list []ast.Stmt) bool {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.IncDecStmt:
		case *ast.BranchStmt:
			if s.Tok != token.CONTINUE {
				return false
			}
		case *ast.ReturnStmt:
			for _, result := range s.Results {
				if id, ok := result.(*ast.Ident); !ok || id.Name != "true" && id.Name != "false" && id.Name != "nil" {
					return false
				}
			}
		case *ast.ExprStmt:
			call, ok := s.X.(*ast.CallExpr)
			if !ok {
				return false
			}
			if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "delete" && name.Name != "clear" {
				return false
			}
		case *ast.AssignStmt:
			for i, left := range s.Lhs {
				_, indexed := left.(*ast.IndexExpr)
				if !indexed && s.Tok != token.ADD_ASSIGN && s.Tok != token.OR_ASSIGN && !extreme(s.Rhs[min(i, len(s.Rhs)-1)]) {
					return false
				}
			}
		case *ast.IfStmt:
			if s.Init != nil || s.Else != nil || !orderless(s.Body.List) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// extreme tells whether x is min(…) or max(…).
func extreme(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	return ok && (calls(call, "min") || calls(call, "max"))
}

// sortsAfter tells whether something of the packages slices or sort is called behind pos.
func sortsAfter(body *ast.BlockStmt, pos token.Pos) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || call.Pos() < pos {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && (pkg.Name == "sort" || pkg.Name == "slices" && strings.HasPrefix(sel.Sel.Name, "Sort")) {
				found = true
			}
		}
		return !found
	})
	return found
}

// goroutine is a place that may start one.
type goroutine struct {
	file, in string // function
	recovers bool   // a panic in it must not end PID 1
	reason   string
}

var goroutines = []goroutine{
	{"pkg/kernel/reach/reach.go", "Apart", true, "the same for looks at many files"},
	{"pkg/kernel/reach/reach.go", "Do", true, "a look at a file that may hang; the caller waits for a bounded time"},
	{"pkg/kernel/signal_other.go", "InstallSignals", false, "where there is no handler in assembly, os/signal has to be read"},
	{"pkg/kernel/thread.go", "ReserveThreads", false, "they only make threads, before the loop begins, and end"},
	{"pkg/manager/source_autofs.go", "expireAutomount", false, "one call a unit that lasts as long as the unmounting; workers.one recovers and hands over to the loop"},
	{"pkg/manager/watchdog.go", "command", true, "a driver of a hardware watchdog may hang: its calls are made off the loop, in order, and not by workers that foreign paths hold up"},
	{"pkg/manager/worker.go", "start", true, "the one place for work that may block; results reach the loop as closures in a queue"},
}

// Goroutines finds go statements in the packages of PID 1 that aren't in the table. The loop owns all state; a second
// goroutine that touches it is a race, and an unrecovered panic in any goroutine ends PID 1.
func (t *Tree) Goroutines(info *Types) []Finding {
	var out []Finding
	used := map[int]bool{}
	for _, f := range t.Files {
		if f.Test || !matches("pkg/...", f.Dir) && f.Dir != "cmd/muster" && f.Dir != "cmd/muster-executor" || matches("pkg/ctl/...", f.Dir) {
			continue
		}
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				statement, ok := n.(*ast.GoStmt)
				if !ok {
					return true
				}
				i := goroutineRow(f.Path, fn.Name.Name)
				switch {
				case i < 0:
					out = append(out, Finding{"goroutines", t.where(n.Pos()), "PID 1 has one loop; use pkg/manager's workers, or add a row with the reason to internal/tidy/purity.go"})
				case goroutines[i].recovers && !t.recovers(info, f.Dir, statement.Call.Fun, 0):
					out = append(out, Finding{"goroutines", t.where(n.Pos()), "a panic in it would end PID 1: recover in it"})
				}
				if i >= 0 {
					used[i] = true
				}
				return true
			})
		}
	}
	for i, g := range goroutines {
		if !used[i] && t.has(g.file) {
			out = append(out, Finding{"goroutines", g.file, "the row for " + g.in + " in internal/tidy/purity.go is not needed any more"})
		}
	}
	return out
}

func goroutineRow(file, function string) int {
	for i, g := range goroutines {
		if g.file == file && g.in == function {
			return i
		}
	}
	return -1
}

func (t *Tree) has(path string) bool {
	for _, f := range t.Files {
		if f.Path == path {
			return true
		}
	}
	return false
}

const recoverDepth = 3

// recovers tells whether the function that runs, or one it calls in the same package, recovers.
func (t *Tree) recovers(info *Types, dir string, fun ast.Expr, depth int) bool {
	var body *ast.BlockStmt
	switch fun := fun.(type) {
	case *ast.FuncLit:
		body = fun.Body
	case *ast.Ident:
		body = t.body(info.uses(dir, fun), dir)
	case *ast.SelectorExpr:
		body = t.body(info.uses(dir, fun.Sel), dir)
	}
	if body == nil || depth == recoverDepth {
		return false
	}
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && !found {
			found = calls(call, "recover") || t.recovers(info, dir, call.Fun, depth+1)
		}
		return !found
	})
	return found
}

// body is the body of a function or method that is declared in dir at pos.
func (t *Tree) body(pos token.Pos, dir string) *ast.BlockStmt {
	if !pos.IsValid() {
		return nil
	}
	for _, f := range t.Files {
		if f.Dir != dir || f.Test {
			continue
		}
		for _, decl := range f.AST.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Pos() == pos {
				return fn.Body
			}
		}
	}
	return nil
}

// uses is where what a name stands for is declared.
func (info *Types) uses(dir string, name *ast.Ident) token.Pos {
	if p := info.packages[dir]; p != nil {
		if object := p.info.Uses[name]; object != nil {
			return object.Pos()
		}
	}
	return token.NoPos
}

// isMap tells whether an expression of a package is a map, or an iterator over one's keys or values.
func (info *Types) isMap(dir string, x ast.Expr) bool {
	p := info.packages[dir]
	if p == nil {
		return false
	}
	if call, ok := x.(*ast.CallExpr); ok {
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "maps" {
				return true
			}
		}
	}
	tv, ok := p.info.Types[x]
	if !ok {
		return false
	}
	_, isMap := tv.Type.Underlying().(*types.Map)
	return isMap
}
