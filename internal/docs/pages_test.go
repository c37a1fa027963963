package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// TestPagesAreFresh: what is in the repository is what would be written.
func TestPagesAreFresh(t *testing.T) {
	root := filepath.Join("..", "..")
	all, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is stale: run make docs", name)
		}
	}
}

// TestDeviationsAreFound: a comment that marks one is in the list, one line each.
func TestDeviationsAreFound(t *testing.T) {
	root := t.TempDir()
	text := "package a\n\n// DEVIATION: one\n// and more.\nvar x = 1\n\n// DEVIATIONS in general aren't marks.\n"
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := deviations(root)
	if want := "- `a.go`: one and more.\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestEveryRowIsInAGroup: no directive is left out of the pages.
func TestEveryRowIsInAGroup(t *testing.T) {
	n := 0
	for _, g := range groups() {
		n += len(g.rows)
	}
	if n != len(unit.Rows()) {
		t.Errorf("%d of %d rows are in a group", n, len(unit.Rows()))
	}
}
