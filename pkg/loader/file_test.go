package loader

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// TestFileListIsAMap compares the sorted list with what it stands for.
func TestFileListIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := func() file {
			name := rapid.SampledFrom([]string{"a.service", "a@.service", "a-b.service", "b.service", "c.target"}).Draw(t, "name")
			dir := rapid.SampledFrom([]string{"/etc/u/", "/run/u/", "/usr/u/"}).Draw(t, "dir")
			return file{path: dir + name, nameAt: uint16(len(dir)), id: identity{ino: rapid.Uint64Range(0, 1).Draw(t, "ino")}}
		}
		var list fileList
		want := map[string][]file{}
		for range rapid.IntRange(0, 8).Draw(t, "scanned") {
			f := drawn()
			list, want[f.name()] = append(list, f), append(want[f.name()], f)
		}
		list.sort()
		for range rapid.IntRange(0, 8).Draw(t, "later") {
			f := drawn()
			if rapid.Bool().Draw(t, "add") {
				list.first(f)
				want[f.name()] = append([]file{f}, want[f.name()]...)
				continue
			}
			i := slices.IndexFunc(want[f.name()], func(o file) bool { return o.path == f.path })
			if list.remove(f.name(), f.path) != (i >= 0) {
				t.Fatalf("%s: there or not?", f.path)
			}
			if i >= 0 {
				want[f.name()] = slices.Delete(slices.Clone(want[f.name()]), i, i+1)
			}
		}
		var names []string
		list.each(func(name string, files []file) {
			names = append(names, name)
			if !slices.Equal(files, want[name]) || !slices.Equal(list.of(name), want[name]) {
				t.Fatalf("%s: %v, want %v", name, files, want[name])
			}
		})
		for name, files := range want {
			if len(files) > 0 != slices.Contains(names, name) || len(list.of(name)) != len(files) {
				t.Fatalf("%s: %v, want %v", name, names, files)
			}
		}
	})
}

func TestComparedAndReused(t *testing.T) {
	list := func(paths ...string) (l fileList) {
		for _, p := range paths {
			p = strings.Clone(p)
			l = append(l, file{path: p, nameAt: uint16(lastSlash(p) + 1)})
		}
		l.sort()
		return l
	}
	old, now := list("/1/a", "/2/a", "/1/b", "/1/d", "/1/e"), list("/1/a", "/2/b", "/1/c", "/1/e", "/2/e")
	var changed []string
	compareFiles(old, now, func(name string) { changed = append(changed, name) })
	if got := strings.Join(changed, " "); got != "b c d" {
		t.Errorf("changed: %s, want b c d", got)
	}
	now.reuse(old)
	for _, f := range now {
		for _, o := range old {
			if f.path == o.path && !sameString(f.path, o.path) {
				t.Errorf("%s is kept twice", f.path)
			}
		}
	}
}

func sameString(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }
