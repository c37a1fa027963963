package job

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// merging lists the types that are merged: the others collapse before.
var merging = []Type{Start, VerifyActive, Stop, Reload, ReloadOrStart, Restart}

func mergeAll(list []Type) (Type, bool) {
	t := list[0]
	for _, k := range list[1:] {
		m, ok := Merge(t, k)
		if !ok {
			return "", false
		}
		t = m
	}
	return t, true
}

// The order in which requests come does not matter, neither for whether they can be one job nor for which.
func TestMergeOrderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.SampledFrom(merging), 1, 6).Draw(t, "requests")
		other := rapid.Permutation(list).Draw(t, "other order")
		a, okA := mergeAll(list)
		b, okB := mergeAll(other)
		if okA != okB || a != b {
			t.Fatalf("%v give %s %v, %v give %s %v", list, a, okA, other, b, okB)
		}
		if !okA {
			return
		}
		for _, k := range list {
			if !Superset(a, k) {
				t.Fatalf("%v give %s, which does not do what %s asks for", list, a, k)
			}
		}
	})
}

// Superset is an order: of two types that cover each other none is left over, and what covers a covers what a covers.
func TestSupersetProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.SampledFrom(merging)
		a, b, c := any.Draw(t, "a"), any.Draw(t, "b"), any.Draw(t, "c")
		if a != b && Superset(a, b) && Superset(b, a) {
			t.Fatalf("%s and %s cover each other", a, b)
		}
		if Superset(a, b) && Superset(b, c) && !Superset(a, c) {
			t.Fatalf("%s covers %s, %s covers %s, but not %s", a, b, b, c, c)
		}
	})
}

// What a type collapses to is a type that is merged (or nothing to do), stays what it is, and has the same direction.
func TestCollapseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ, down := rapid.SampledFrom(Types()).Draw(t, "type"), rapid.Bool().Draw(t, "down")
		got := Collapse(typ, down)
		if got != Nop && (!slices.Contains(merging, got) || got == ReloadOrStart) {
			t.Fatalf("%s collapses to %s", typ, got)
		}
		if again := Collapse(got, down); again != got {
			t.Fatalf("%s collapses to %s, and that to %s", typ, got, again)
		}
		if got != Nop && Stops(got) != Stops(typ) {
			t.Fatalf("%s collapses to %s, which is ordered the other way round", typ, got)
		}
		if down && got == Reload && typ != Reload {
			t.Fatalf("%s of a unit that is down would reload it", typ)
		}
	})
}
