package enginetest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// Rewrite is the flag -rewrite of the tests that use this file: results are written into the scripts and tables instead of being compared.
var Rewrite = rewriteFlag()

func rewriteFlag() *bool {
	if f := flag.Lookup("rewrite"); f != nil {
		return new(bool)
	}
	return flag.Bool("rewrite", false, "write the results into the scripts")
}

// RunScripts runs testdata/*.txt with units of the given types beside puppets.
func RunScripts(t *testing.T, types ...machine.Descriptor) {
	t.Helper()
	RunScriptFiles(t, "testdata/*.txt", func(string) []machine.Descriptor { return append([]machine.Descriptor{Puppets()}, types...) })
}

// RunScriptFiles runs the files of a pattern, each with units of the types that are given for its name.
func RunScriptFiles(t *testing.T, pattern string, types func(name string) []machine.Descriptor) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := NewScript(types(filepath.Base(f))...).Run(string(want))
			if err != nil {
				t.Fatal(err)
			}
			Compare(t, f, string(want), got)
		})
	}
}

// Compare holds a result against a file.
func Compare(t *testing.T, file, want, got string) {
	t.Helper()
	if *Rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Table is a test of totality: what each kind of event does in each sub-state of a unit type.
type Table struct {
	Type    machine.Descriptor
	Units   string // definitions as in a script
	Unit    string // the unit that is put into each sub-state
	Subs    []string
	Columns []Column
	// Put makes the state for a sub-state, and the pids that belong to it.
	Put func(sub string) (state any, pids []int32)
	// Check looks at the machine after an event; it may be nil.
	Check func(t *testing.T, sub, column string, m machine.Machine)
}

// Column is one kind of event or call as commands of a script; a line "----" stands between two of them.
type Column struct{ Name, Commands string }

// Run holds testdata/transitions.tsv against the machine: one row per sub-state, one column per event. The cell is the sub-state after
// it, "=" if only something else has changed, "-" if the event means nothing there.
func (x *Table) Run(t *testing.T) {
	t.Helper()
	var b strings.Builder
	b.WriteString("sub-state")
	for _, c := range x.Columns {
		b.WriteString("\t" + c.Name)
	}
	for _, sub := range x.Subs {
		b.WriteString("\n" + sub)
		for _, c := range x.Columns {
			b.WriteString("\t" + x.cell(t, sub, c))
		}
	}
	b.WriteString("\n")
	const file = "testdata/transitions.tsv"
	want, err := os.ReadFile(file)
	if err != nil && !*Rewrite {
		t.Fatal(err)
	}
	Compare(t, file, string(want), b.String())
}

func (x *Table) cell(t *testing.T, sub string, c Column) string {
	t.Helper()
	s := NewScript(Puppets(), x.Type)
	if _, err := s.Run("units\n" + x.Units + "----\n\nload " + x.Unit + "\n----\n"); err != nil {
		t.Fatal(err)
	}
	state, pids := x.Put(sub)
	before, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(x.Unit, before, pids...); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(strings.ReplaceAll(c.Commands, "\n", "\n----\n\n") + "\n----\n"); err != nil {
		t.Fatalf("%s after %s: %v", c.Name, sub, err)
	}
	u := s.Engine.Unit(x.Unit)
	if u == nil {
		t.Fatalf("%s after %s: not loaded any more", c.Name, sub)
	}
	after := []byte("null")
	if u.Machine() != nil {
		if after, err = json.Marshal(u.Machine().Data()); err != nil {
			t.Fatal(err)
		}
		if x.Check != nil {
			x.Check(t, sub, c.Name, u.Machine())
		}
	}
	switch {
	case u.SubState() != sub:
		return u.SubState()
	case string(after) != string(before):
		return "="
	}
	return "-"
}
