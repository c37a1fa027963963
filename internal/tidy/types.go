package tidy

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Types knows the types in the packages of a Tree, without tests.
type Types struct {
	packages map[string]*typed // by directory
}

type typed struct {
	pkg  *types.Package
	info *types.Info
}

// GoList runs the go command for the platform that ships, so that results are the same on every machine.
func GoList(root string, args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"list", "-tags", "godbus_no_tcp"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("tidy: go list %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(text), nil
}

// Check works out the types of the packages under pkg and cmd. Each is checked from source against the compiled form of what it imports.
func (t *Tree) Check() (*Types, error) {
	exports, err := t.exports()
	if err != nil {
		return nil, err
	}
	lookup := func(path string) (io.ReadCloser, error) {
		if file := exports[path]; file != "" {
			return os.Open(file)
		}
		return nil, errors.New("tidy: no compiled form of " + path)
	}
	names, err := GoList(t.Root, "-f", "{{$d := .ImportPath}}{{range .GoFiles}}{{$d}}/{{.}}\n{{end}}", "./pkg/...", "./cmd/...")
	if err != nil {
		return nil, err
	}
	built := map[string]bool{}
	for _, name := range strings.Fields(names) {
		built[strings.TrimPrefix(name, Module+"/")] = true
	}
	config := types.Config{Importer: importer.ForCompiler(t.Fset, "gc", lookup)}
	out := &Types{packages: map[string]*typed{}}
	for _, dir := range t.Dirs() {
		var files []*ast.File
		for _, f := range t.Files {
			if f.Dir == dir && built[f.Path] {
				files = append(files, f.AST)
			}
		}
		if len(files) == 0 {
			continue
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Selections: map[*ast.SelectorExpr]*types.Selection{}, Uses: map[*ast.Ident]types.Object{}}
		pkg, err := config.Check(Module+"/"+dir, t.Fset, files, info)
		if err != nil {
			return nil, fmt.Errorf("tidy: %w", err)
		}
		out.packages[dir] = &typed{pkg, info}
	}
	return out, nil
}

// exports maps import paths to files with the compiled form.
func (t *Tree) exports() (map[string]string, error) {
	text, err := GoList(t.Root, "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "./pkg/...", "./cmd/...")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if path, file, ok := strings.Cut(line, "\t"); ok {
			out[path] = file
		}
	}
	return out, nil
}

// field names a struct field across packages: package path, struct type, field.
type field struct{ pkg, owner, name string }

// fieldOf is the field a selector reaches, through its innermost named struct.
func fieldOf(selection *types.Selection) (field, bool) {
	if selection == nil || selection.Kind() != types.FieldVal {
		return field{}, false
	}
	v, ok := selection.Obj().(*types.Var)
	if !ok || v.Pkg() == nil {
		return field{}, false
	}
	owner := selection.Recv()
	for i, index := range selection.Index() {
		s, ok := deref(owner).Underlying().(*types.Struct)
		if !ok {
			return field{}, false
		}
		if i == len(selection.Index())-1 {
			break
		}
		owner = s.Field(index).Type()
	}
	named, ok := deref(owner).(*types.Named)
	if !ok {
		return field{}, false
	}
	return field{v.Pkg().Path(), named.Obj().Name(), v.Name()}, true
}

func deref(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// fieldsIn are the fields that code below n selects.
func (p *typed) fieldsIn(n ast.Node) []field {
	var out []field
	ast.Inspect(n, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if f, ok := fieldOf(p.info.Selections[sel]); ok {
				out = append(out, f)
			}
		}
		return true
	})
	return out
}
