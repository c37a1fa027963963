package tidy

import "go/ast"

// namesIn are the functions, methods, types, constants, variables and fields that a file declares.
func namesIn(f *File) map[string]bool {
	names := map[string]bool{}
	add := func(list []*ast.Ident) {
		for _, id := range list {
			names[id.Name] = true
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			names[n.Name.Name] = true
			return false
		case *ast.TypeSpec:
			names[n.Name.Name] = true
		case *ast.ValueSpec:
			add(n.Names)
		case *ast.Field:
			add(n.Names)
		case *ast.File:
			names[n.Name.Name] = true
		}
		return true
	})
	return names
}
