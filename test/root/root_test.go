package root

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFollowsContents(t *testing.T) {
	spec := Spec{Name: "x", Suite: "trixie", Packages: []string{"b", "a"}}
	same := Spec{Name: "x", Suite: "trixie", Packages: []string{"a", "b"}}
	if spec.Key() != same.Key() {
		t.Errorf("order of packages changed the key: %s, %s", spec.Key(), same.Key())
	}
	for _, other := range []Spec{
		{Name: "x", Suite: "bookworm", Packages: []string{"a", "b"}},
		{Name: "x", Suite: "trixie", Packages: []string{"a", "b", "c"}},
	} {
		if other.Key() == spec.Key() {
			t.Errorf("%v has the key of %v", other, spec)
		}
	}
}

func TestFindNamesTheKnownRoots(t *testing.T) {
	if spec, err := Find("trixie"); err != nil || spec.Suite != "trixie" {
		t.Fatalf("Find(trixie) = %v, %v", spec, err)
	}
	_, err := Find("potato")
	if err == nil {
		t.Fatal("Find(potato) finds a root")
	}
	for _, known := range Specs {
		if !strings.Contains(err.Error(), known.Name) {
			t.Errorf("Find(potato) = %v, which doesn't name %s", err, known.Name)
		}
	}
}

func TestPrepareUsesTheCache(t *testing.T) {
	t.Setenv("MUSTER_CACHE", t.TempDir())
	spec := Spec{Name: "cached", Suite: "trixie"}
	want := filepath.Join(CacheDir(), spec.Key())
	if err := os.Mkdir(want, 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := spec.Prepare(context.Background(), io.Discard)
	if err != nil || got != want {
		t.Fatalf("Prepare = %q, %v, want %q from the cache", got, err, want)
	}
}
