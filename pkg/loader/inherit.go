package loader

import (
	"slices"
	"sort"
)

// Inherit takes what lies in directories that gave no answer over from the last index: a dead server doesn't make units that run lose their files.
func (x *Index) Inherit(path []string, last *Index) {
	if len(x.silent) == 0 || last == nil {
		return
	}
	for _, dir := range x.silent {
		if i := slices.Index(last.dirs, dir); i >= 0 {
			x.inheritDir(dir, last, last.dirTimes[i])
			continue
		}
		inheritSubdir(x.dropins, last.dropins, dir)
		inheritSubdir(x.links, last.links, dir)
	}
	x.sortByPath(path)
	x.aliases = map[string][]string{}
	x.resolveAliases()
}

// inheritDir takes over a directory of the search path, of which nothing is known but what last knows.
func (x *Index) inheritDir(dir string, last *Index, changed int64) {
	if !slices.Contains(x.dirs, dir) {
		x.dirs, x.dirTimes = append(x.dirs, dir), append(x.dirTimes, changed)
	}
	known := map[string]bool{}
	for i := range x.files {
		known[x.files[i].path] = true
	}
	for _, f := range last.files {
		if int(f.nameAt) == len(dir)+1 && f.path[:len(dir)] == dir && !known[f.path] {
			x.files = append(x.files, f)
		}
	}
	for _, kind := range []struct{ to, from map[string][]subdir }{{x.dropins, last.dropins}, {x.links, last.links}} {
		for name, list := range kind.from {
			for _, s := range list {
				if s.path[:lastSlash(s.path)] == dir {
					inheritSubdir(kind.to, map[string][]subdir{name: list}, s.path)
				}
			}
		}
	}
}

// inheritSubdir takes over one NAME.d, NAME.wants, …
func inheritSubdir(to, from map[string][]subdir, path string) {
	for name, list := range from {
		for _, old := range list {
			if old.path != path {
				continue
			}
			if i := slices.IndexFunc(to[name], func(s subdir) bool { return s.path == path }); i >= 0 {
				to[name][i] = old
			} else {
				to[name] = append(to[name], old)
			}
		}
	}
}

// sortByPath brings everything into the order of the search path again.
func (x *Index) sortByPath(path []string) {
	rank := func(p string) int { return slices.Index(path, p[:max(0, lastSlash(p))]) }
	sort.SliceStable(x.files, func(a, b int) bool {
		if one, other := x.files[a].name(), x.files[b].name(); one != other {
			return one < other
		}
		return rank(x.files[a].path) < rank(x.files[b].path)
	})
	for _, kind := range []map[string][]subdir{x.dropins, x.links} {
		for _, list := range kind {
			sort.SliceStable(list, func(a, b int) bool { return rank(list[a].path) < rank(list[b].path) })
		}
	}
	order := make([]int, len(x.dirs))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool {
		return slices.Index(path, x.dirs[order[a]]) < slices.Index(path, x.dirs[order[b]])
	})
	dirs, times := make([]string, len(order)), make([]int64, len(order))
	for i, from := range order {
		dirs[i], times[i] = x.dirs[from], x.dirTimes[from]
	}
	x.dirs, x.dirTimes = dirs, times
}
