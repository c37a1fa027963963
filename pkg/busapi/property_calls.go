package busapi

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit"
)

// callLists are the settings with system calls. Clients see the calls themselves, where a unit file may have groups of them.
func callLists() []property {
	list := func(name string, get func(s *unit.Sandbox) *unit.FilterList, always string) property {
		return property{name: name, sig: "(bas)", emits: bus.EmitsConst, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) {
			f := get(u.Config().GetSandbox())
			e.Struct()
			e.Bool(f.Set && f.Allow)
			e.Strings(s.calls.names(f, always))
		}}
	}
	return []property{
		list("SystemCallFilter", func(s *unit.Sandbox) *unit.FilterList { return &s.SystemCallFilter }, "@default"),
		list("SystemCallLog", func(s *unit.Sandbox) *unit.FilterList { return &s.SystemCallLog }, ""),
	}
}

// callCacheMax bounds how many lists are kept. Many units have the same ones.
const callCacheMax = 64

// callCache keeps lists of calls by what they are made from.
type callCache map[string][]string

func (c *callCache) names(f *unit.FilterList, always string) []string {
	if len(f.Names) == 0 && !f.Allow {
		return nil
	}
	key := strings.Join(f.Names, " ")
	if f.Set && f.Allow {
		key += " +" + always
	}
	if list, ok := (*c)[key]; ok {
		return list
	}
	if *c == nil || len(*c) >= callCacheMax {
		*c = callCache{}
	}
	list := callNames(f, always)
	(*c)[key] = list
	return list
}

// callNames replaces groups by their calls, sorted; an errno stays behind each call it is for. Always is in every list that allows.
func callNames(f *unit.FilterList, always string) []string {
	names := f.Names
	if f.Set && f.Allow && always != "" {
		names = append([]string{always}, names...)
	}
	suffixes := map[string]string{}
	for _, entry := range names {
		entry, remove := strings.CutPrefix(entry, "~")
		name, errno, has := strings.Cut(entry, ":")
		if has {
			errno = ":" + errno
		}
		calls, _ := seccomp.Expand([]string{name})
		for _, c := range calls {
			if remove && !(f.Allow && has) {
				delete(suffixes, c)
				continue
			}
			suffixes[c] = errno
		}
	}
	out := make([]string, 0, len(suffixes))
	for c, errno := range suffixes {
		out = append(out, c+errno)
	}
	slices.Sort(out)
	return out
}
