package tidy

import (
	"go/ast"
	"go/token"
	"strconv"
)

// unitDir has the directive table.
const unitDir = "pkg/unit"

// derivedIn are the files of pkg/unit whose reads count: they turn settings into other settings that are read outside.
var derivedIn = map[string]string{
	"pkg/unit/defaults.go": "[Manager] Default…= settings become the defaults of units",
	"pkg/unit/finish.go":   "settings that decide what another one means",
}

// claim is a row of the directive table that says it has an effect.
type claim struct {
	name string
	pos  token.Pos
	all  []field // each must be read
	some []field // at least one must be read; fields of the kind, for rows about a whole block

}

// deadRows are rows that claim an effect without a field that is read, and why that is right.
var deadRows = map[string]string{
	"CPUAccounting": "counting CPU time costs nothing, so it is always on",
}

// DeadRows finds rows of the directive table that claim Full or Partial while nothing outside pkg/unit reads their field.
func (t *Tree) DeadRows(info *Types) []Finding {
	read := t.fieldsRead(info)
	var out []Finding
	dead := map[string]bool{}
	for _, c := range t.claims(info) {
		if alive(c, read) {
			continue
		}
		dead[c.name] = true
		if deadRows[c.name] == "" {
			out = append(out, Finding{"tables", t.where(c.pos),
				c.name + "= claims to have an effect, but nothing outside pkg/unit reads its field: use it, or say accepted(…) with the reason"})
		}
	}
	for name := range deadRows {
		if !dead[name] {
			out = append(out, Finding{"tables", "internal/tidy/deadrow.go", "the exception for " + name + "= is not needed any more"})
		}
	}
	return out
}

func alive(c claim, read map[field]bool) bool {
	for _, f := range c.all {
		if !read[f] {
			return false
		}
	}
	if len(c.all) > 0 {
		return true
	}
	for _, f := range c.some {
		if read[f] {
			return true
		}
	}
	return len(c.some) == 0
}

// fieldsRead are the fields of pkg/unit's structs that are read elsewhere.
func (t *Tree) fieldsRead(info *Types) map[field]bool {
	read := map[field]bool{}
	for _, f := range t.Files {
		p := info.packages[f.Dir]
		if f.Test || p == nil || f.Dir == unitDir && derivedIn[f.Path] == "" {
			continue
		}
		written := map[ast.Node]bool{}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if a, ok := n.(*ast.AssignStmt); ok && a.Tok == token.ASSIGN {
				for _, left := range a.Lhs {
					written[left] = true
				}
			}
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || written[sel] {
				return true
			}
			if got, ok := fieldOf(p.info.Selections[sel]); ok && got.pkg == Module+"/"+unitDir {
				read[got] = true
			}
			return true
		})
	}
	return read
}

// claims are the rows of pkg/unit that are made with full or partly(…).
func (t *Tree) claims(info *Types) []claim {
	p := info.packages[unitDir]
	if p == nil {
		return nil
	}
	kinds := t.kindFields(p)
	var out []claim
	for _, f := range t.Files {
		if f.Dir != unitDir || f.Test {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && calls(call, "row") && len(call.Args) > 5 && claimsEffect(call.Args[4:]) {
				out = append(out, claimOf(p, call, kinds))
			}
			return true
		})
	}
	return out
}

func claimOf(p *typed, call *ast.CallExpr, kinds map[string][]field) claim {
	c := claim{name: "a row made by a function", pos: call.Pos(), all: p.fieldsIn(call.Args[3])}
	if lit, ok := call.Args[1].(*ast.BasicLit); ok {
		c.name, _ = strconv.Unquote(lit.Value)
	}
	ast.Inspect(call.Args[2], func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok {
			c.some = append(c.some, kinds[name.Name]...)
		}
		return true
	})
	return c
}

// kindFields are the fields that the definition of each kind selects, by the kind's name.
func (t *Tree) kindFields(p *typed) map[string][]field {
	out := map[string][]field{}
	for _, f := range t.Files {
		if f.Dir != unitDir || f.Test {
			continue
		}
		for _, decl := range f.AST.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Body != nil && decl.Recv == nil {
					out[decl.Name.Name] = p.fieldsIn(decl.Body)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
						out[v.Names[0].Name] = p.fieldsIn(v.Values[0])
					}
				}
			}
		}
	}
	return out
}

func calls(call *ast.CallExpr, name string) bool {
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == name
}

// claimsEffect looks for full and partly(…) among the options of a row. The last status counts, as it does at run time.
func claimsEffect(options []ast.Expr) bool {
	claims := false
	for _, o := range options {
		switch o := o.(type) {
		case *ast.Ident:
			switch o.Name {
			case "full":
				claims = true
			case "unsupported":
				claims = false
			}
		case *ast.CallExpr:
			switch {
			case calls(o, "partly"):
				claims = true
			case calls(o, "accepted"):
				claims = false
			}
		}
	}
	return claims
}
