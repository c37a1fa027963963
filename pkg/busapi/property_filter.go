package busapi

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// callFilterProperties show SystemCallFilter= and SystemCallLog= as clients expect them: groups as their calls. The configuration keeps the groups, with
// what is taken out of them again behind a ~, which real systemd's clients choke on. What is
// allowed in any case is in an allow list too.
func callFilterProperties() []property {
	show := func(name string, filter bool, get func(b *unit.Sandbox) *unit.FilterList) property {
		return property{name: name, sig: "(bas)", emits: bus.EmitsConst, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) {
			l := get(u.Config().GetSandbox())
			names := l.Names
			if filter && l.Set && l.Allow {
				names = append([]string{"@default"}, names...)
			}
			e.Struct()
			e.Bool(l.Set && l.Allow)
			e.Strings(s.filterCalls(l, names))
		}}
	}
	return []property{
		show("SystemCallFilter", true, func(b *unit.Sandbox) *unit.FilterList { return &b.SystemCallFilter }),
		show("SystemCallLog", false, func(b *unit.Sandbox) *unit.FilterList { return &b.SystemCallLog }),
	}
}

// callListsMax bounds how many expanded lists are kept: a system has few distinct ones.
const callListsMax = 32

// filterCalls is expandCalls, with the newest lists kept.
func (s *Server) filterCalls(l *unit.FilterList, names []string) []string {
	if len(names) == 0 {
		return nil
	}
	key := strings.Join(names, " ")
	if l.Allow {
		key = "+" + key
	}
	list, ok := s.callLists[key]
	if !ok {
		list = expandCalls(l, names)
		if s.callLists == nil || len(s.callLists) >= callListsMax {
			s.callLists = map[string][]string{}
		}
		s.callLists[key] = list
	}
	return list
}

// expandCalls gives the calls of a list in order, each with its :errno.
func expandCalls(l *unit.FilterList, names []string) []string {
	set := map[string]string{}
	for _, n := range names {
		n, remove := strings.CutPrefix(n, "~")
		n, suffix, has := strings.Cut(n, ":")
		if errno, err := value.ParseErrno(suffix); has && err == nil {
			suffix = errno.String()
		}
		calls, _ := seccomp.Expand([]string{n})
		for _, call := range calls {
			// What an allow list denies with an error of its own stays in it with that.
			if remove && !(l.Allow && has) {
				delete(set, call)
				continue
			}
			set[call] = ""
			if has {
				set[call] = ":" + suffix
			}
		}
	}
	list := make([]string, 0, len(set))
	for call, suffix := range set {
		list = append(list, call+suffix)
	}
	sort.Strings(list)
	return list
}
