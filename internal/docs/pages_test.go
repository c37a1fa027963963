package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// TestPagesAreFresh: what is in docs/ is what the table gives.
func TestPagesAreFresh(t *testing.T) {
	for name, want := range pages() {
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("docs/%s is stale: run make docs", name)
		}
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
