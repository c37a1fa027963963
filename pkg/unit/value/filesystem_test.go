package value

import (
	"slices"
	"testing"
)

// TestFileSystemGroups reads every member: the last group has them all, with the same numbers.
func TestFileSystemGroups(t *testing.T) {
	all, ok := FileSystemMagic("@known")
	if !ok || slices.Contains(all, 0) {
		t.Fatalf("@known: %v, %#x", ok, all)
	}
	for _, g := range FileSystemGroups {
		list, ok := FileSystemMagic(g.Name)
		if !ok || len(list) == 0 {
			t.Errorf("%s: %v, %#x", g.Name, ok, list)
		}
		for _, n := range list {
			if !slices.Contains(all, n) {
				t.Errorf("%s: %#x is not in @known", g.Name, n)
			}
		}
	}
}

func TestFileSystemMagic(t *testing.T) {
	for name, want := range map[string][]uint32{
		"ext2": {0xef53}, "minix": {0x137f, 0x138f, 0x2468, 0x2478, 0x4d5a}, "@temporary": {0x858458f6, 0x1021994}, "devtmpfs": {0x1021994},
	} {
		if got, ok := FileSystemMagic(name); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %#x, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "nofs", "@nogroup"} {
		if got, ok := FileSystemMagic(name); ok || got != nil {
			t.Errorf("%q: %#x", name, got)
		}
	}
}
