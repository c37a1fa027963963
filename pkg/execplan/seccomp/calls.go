package seccomp

import (
	"sort"
	"strings"
)

// The ABIs with a column in the table.
const (
	archAMD64 = iota
	arch386
	archARM64
	archARM
	archs
)

type call struct {
	name string
	nr   [archs]int32
}

type group struct {
	name    string
	members string // calls and other groups, divided by spaces
}

func findCall(name string) (call, bool) {
	i := sort.Search(len(calls), func(i int) bool { return calls[i].name >= name })
	if i < len(calls) && calls[i].name == name {
		return calls[i], true
	}
	return call{}, false
}

// number of a call on one ABI, -1 if it has none.
func number(arch int, name string) int32 {
	if c, ok := findCall(name); ok {
		return c.nr[arch]
	}
	return -1
}

// Numbers are the calls of one architecture by their number; machine is as in SystemCallArchitectures=: x86-64, x86, arm64, arm.
func Numbers(machine string) map[int32]string {
	arch, ok := map[string]int{"x86-64": archAMD64, "x86": arch386, "arm64": archARM64, "arm": archARM}[machine]
	if !ok {
		return nil
	}
	m := make(map[int32]string, len(calls))
	for _, c := range calls {
		if c.nr[arch] >= 0 {
			m[c.nr[arch]] = c.name
		}
	}
	return m
}

// Known says whether name is a system call of any architecture.
func Known(name string) bool {
	_, ok := findCall(name)
	return ok
}

// Groups are the names of the groups, with @, in the order systemd lists them.
func Groups() []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.name
	}
	return names
}

// Members are the direct members of a group: calls, and groups with @. It is
// nil for what is no group, except that @known has every call.
func Members(name string) []string {
	if name == "@known" {
		names := make([]string, len(calls))
		for i, c := range calls {
			names[i] = c.name
		}
		return names
	}
	for _, g := range groups {
		if g.name == name {
			return strings.Fields(g.members)
		}
	}
	return nil
}

// Expand replaces groups by their calls, all levels down. A call or group
// nobody knows is left out and listed in unknown.
func Expand(names []string) (list, unknown []string) {
	seen := make(map[string]bool)
	var walk func(names []string)
	walk = func(names []string) {
		for _, n := range names {
			if seen[n] {
				continue
			}
			seen[n] = true
			switch {
			case strings.HasPrefix(n, "@"):
				m := Members(n)
				if m == nil {
					unknown = append(unknown, n)
				}
				walk(m)
			case Known(n):
				list = append(list, n)
			default:
				unknown = append(unknown, n)
			}
		}
	}
	walk(names)
	sort.Strings(list)
	return list, unknown
}
