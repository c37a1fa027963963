package tidy

import (
	"sync"
	"testing"
)

// The tree and its types are worked out once for all tests.
var (
	load  = sync.OnceValues(loadRepository)
	check = sync.OnceValues(func() (*Types, error) {
		t, err := load()
		if err != nil {
			return nil, err
		}
		return t.Check()
	})
)

func loadRepository() (*Tree, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	return Load(root)
}

func repository(t *testing.T) *Tree {
	t.Helper()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func typesOf(t *testing.T) *Types {
	t.Helper()
	info, err := check()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func none(t *testing.T, findings []Finding) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

func TestImports(t *testing.T)    { none(t, repository(t).Imports()) }
func TestPurity(t *testing.T)     { none(t, repository(t).Statements()) }
func TestMapOrder(t *testing.T)   { none(t, repository(t).MapOrder(typesOf(t))) }
func TestGoroutines(t *testing.T) { none(t, repository(t).Goroutines(typesOf(t))) }
func TestDeadRows(t *testing.T)   { none(t, repository(t).DeadRows(typesOf(t))) }
func TestFormat(t *testing.T)     { none(t, repository(t).Format()) }
func TestSizes(t *testing.T)      { none(t, repository(t).Sizes()) }
func TestDocs(t *testing.T)       { none(t, repository(t).Docs()) }
func TestWords(t *testing.T)      { none(t, repository(t).Words()) }
func TestSkips(t *testing.T)      { none(t, repository(t).Skips()) }
func TestOutside(t *testing.T)    { none(t, repository(t).Outside()) }

func TestLinks(t *testing.T) {
	findings, err := repository(t).Links()
	if err != nil {
		t.Fatal(err)
	}
	none(t, findings)
}
