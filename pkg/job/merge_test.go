package job

import (
	"os"
	"strings"
	"testing"
)

// census holds compat/job_merge.tsv: pending, new, result.
const census = "testdata/job_merge.tsv"

func TestMergeIsTheCensus(t *testing.T) {
	data, err := os.ReadFile(census)
	if err != nil {
		t.Fatal(err)
	}
	want := map[[2]Type]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		f := strings.Split(line, "\t")
		want[[2]Type{Type(f[0]), Type(f[1])}] = f[2]
	}
	types := []Type{Start, VerifyActive, Stop, Reload, ReloadOrStart, Restart}
	for _, a := range types {
		for _, b := range types {
			got, ok := Merge(a, b)
			rev, revOK := Merge(b, a)
			if got != rev || ok != revOK {
				t.Errorf("Merge(%s, %s) = %s, the other way round %s", a, b, got, rev)
			}
			if a == b {
				if got != a || !ok {
					t.Errorf("Merge(%s, %s) = %s", a, b, got)
				}
				continue
			}
			w, listed := want[[2]Type{a, b}]
			if !listed {
				w, listed = want[[2]Type{b, a}]
			}
			if !listed {
				t.Errorf("the census has no row for %s and %s", a, b)
				continue
			}
			if (w == "conflict") == ok || ok && string(got) != w {
				t.Errorf("Merge(%s, %s) = %s %v, census %s", a, b, got, ok, w)
			}
			if Conflict(a, b) != (w == "conflict") {
				t.Errorf("Conflict(%s, %s) is not %s", a, b, w)
			}
		}
	}
}

// Merging must not depend on the order in which three requests come.
func TestMergeIsAssociative(t *testing.T) {
	types := []Type{Start, VerifyActive, Reload, ReloadOrStart, Restart}
	for _, a := range types {
		for _, b := range types {
			for _, c := range types {
				ab, _ := Merge(a, b)
				bc, _ := Merge(b, c)
				left, ok1 := Merge(ab, c)
				right, ok2 := Merge(a, bc)
				if left != right || !ok1 || !ok2 {
					t.Errorf("%s+%s+%s: %s or %s", a, b, c, left, right)
				}
			}
		}
	}
}

func TestNopMergesWithNothingElse(t *testing.T) {
	for _, k := range Types() {
		if _, ok := Merge(Nop, k); ok != (k == Nop) {
			t.Errorf("Merge(nop, %s) = %v", k, ok)
		}
	}
}

func TestSupersetIsAnOrder(t *testing.T) {
	types := []Type{Start, VerifyActive, Stop, Reload, ReloadOrStart, Restart}
	for _, a := range types {
		if !Superset(a, a) {
			t.Errorf("%s is no superset of itself", a)
		}
		for _, b := range types {
			if a != b && Superset(a, b) && Superset(b, a) {
				t.Errorf("%s and %s are supersets of each other", a, b)
			}
		}
	}
	if !Superset(Restart, Start) || Superset(Start, Restart) || !Superset(ReloadOrStart, Reload) {
		t.Error("restart covers start, reload-or-start covers reload")
	}
}

func TestCollapse(t *testing.T) {
	for _, c := range []struct {
		in       Type
		up, down Type
	}{
		{TryRestart, Restart, Nop}, {TryReload, Reload, Nop}, {ReloadOrStart, Reload, Start},
		{Start, Start, Start}, {Stop, Stop, Stop}, {Restart, Restart, Restart}, {Reload, Reload, Reload},
		{VerifyActive, VerifyActive, VerifyActive}, {Nop, Nop, Nop},
	} {
		if got := Collapse(c.in, false); got != c.up {
			t.Errorf("Collapse(%s, up) = %s, want %s", c.in, got, c.up)
		}
		if got := Collapse(c.in, true); got != c.down {
			t.Errorf("Collapse(%s, down) = %s, want %s", c.in, got, c.down)
		}
	}
}

func TestRedundant(t *testing.T) {
	for _, k := range Types() {
		up, off, between := Redundant(k, true, false), Redundant(k, false, true), Redundant(k, false, false)
		switch k {
		case Start, VerifyActive:
			if !up || off || between {
				t.Errorf("%s: %v %v %v", k, up, off, between)
			}
		case Stop:
			if up || !off || between {
				t.Errorf("%s: %v %v %v", k, up, off, between)
			}
		case Nop:
			if !up || !off || !between {
				t.Errorf("%s: %v %v %v", k, up, off, between)
			}
		default:
			if up || off || between {
				t.Errorf("%s must never be dropped", k)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, k := range Types() {
		if !Valid(k) {
			t.Errorf("%s is not valid", k)
		}
	}
	for _, m := range Modes() {
		if !ValidMode(m) {
			t.Errorf("%s is not valid", m)
		}
	}
	if Valid("explode") || ValidMode("explode") {
		t.Error("unknown names are valid")
	}
	if LateMerge(Reload) || !LateMerge(Start) || !Stops(Restart) || Stops(Reload) {
		t.Error("late merge or stop rule")
	}
}
