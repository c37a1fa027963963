package depend

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-init/muster/pkg/unit"
)

func anyMask(t *rapid.T) Mask {
	var m Mask
	for _, k := range rapid.SliceOf(rapid.Uint16Range(0, uint16(unit.DepTypeMax)-1)).Draw(t, "types") {
		m |= Of(unit.DepType(k))
	}
	return m
}

// Turning a set around twice gives the set, type by type and for the whole.
func TestInverseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyMask(t), anyMask(t)
		if a.Inverse().Inverse() != a {
			t.Fatalf("%v turned around twice is %v", a.Types(), a.Inverse().Inverse().Types())
		}
		if (a | b).Inverse() != a.Inverse()|b.Inverse() {
			t.Fatal("the inverse of a union is not the union of the inverses")
		}
		if got := Of(a.Types()...); got != a {
			t.Fatalf("%v is %v", a, got)
		}
		for _, k := range a.Types() {
			if !a.Inverse().Has(k.Inverse()) || k.Inverse().Inverse() != k {
				t.Fatalf("the inverse of %s is %s", k, k.Inverse())
			}
		}
	})
}

// A path needs the mounts that its parent needs, and none that is not on the way to it.
func TestMountNamesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringMatching(`[a-z][a-z .\-]{0,5}`), 0, 5).Draw(t, "components")
		path := "/" + strings.Join(parts, "/")
		names := MountNames(nil, path)
		if len(parts) > 0 {
			parent := "/" + strings.Join(parts[:len(parts)-1], "/")
			for _, n := range MountNames(nil, parent) {
				if !slices.Contains(names, n) {
					t.Fatalf("%s needs %s, %s does not: %v", parent, n, path, names)
				}
			}
		}
		for i, n := range names {
			where, err := unit.NameToPath(n)
			if err != nil || where != "/" && path != where && !strings.HasPrefix(path, where+"/") {
				t.Fatalf("%s needs %s (%s): %v", path, n, where, err)
			}
			if slices.Contains(names[:i], n) {
				t.Fatalf("%s needs %s twice", path, n)
			}
		}
	})
}

// What a unit says, Edges says once and in a direction that has an inverse; a unit depends on itself by nothing but its own words.
func TestEdgesProperty(t *testing.T) {
	names := []string{"a.service", "b.service", "c.target", "d.mount", "e.socket"}
	types := []unit.DepType{unit.DepRequires, unit.DepWants, unit.DepAfter, unit.DepBefore, unit.DepConflicts, unit.DepBindsTo, unit.DepPartOf,
		unit.DepOnFailure, unit.DepPropagatesStopTo}
	rapid.Check(t, func(t *rapid.T) {
		u := unit.New(rapid.SampledFrom(names).Draw(t, "unit"), nil)
		u.LoadState = unit.StateLoaded
		u.Unit.DefaultDependencies = rapid.Bool().Draw(t, "default dependencies")
		for range rapid.IntRange(0, 8).Draw(t, "number") {
			u.Deps = append(u.Deps, unit.Dep{Type: rapid.SampledFrom(types).Draw(t, "type"), Name: rapid.SampledFrom(names).Draw(t, "name")})
		}
		env := &Env{System: rapid.Bool().Draw(t, "system")}
		edges := Edges(nil, u, env)
		for _, d := range u.Deps {
			if d.Name == u.Name {
				continue
			}
			found := slices.ContainsFunc(edges, func(e Edge) bool { return e.Type == d.Type && e.Name == d.Name })
			if !found {
				t.Fatalf("%s=%s of %s is lost", d.Type, d.Name, u.Name)
			}
		}
		for _, e := range edges {
			if e.Type.Inverse().Inverse() != e.Type || unit.TypeOf(e.Name) == unit.TypeInvalid {
				t.Fatalf("%s=%s", e.Type, e.Name)
			}
		}
	})
}
