package unit

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// mountRecursive is MS_REC.
const (
	mountRecursive uint64 = 1 << 14
	mountPrivate   uint64 = 1 << 18
	mountSlave     uint64 = 1 << 19
	mountShared    uint64 = 1 << 20
)

// kLabel is a security label, - in front. setString is for the property that
// clients set as a plain string.
func kLabel(setString bool) *kind[Label] {
	text := func(l Label) string {
		if l.IgnoreFailure {
			return "-" + escaped(l.Label)
		}
		return escaped(l.Label)
	}
	f := form[Label]{sig: "(bs)",
		write: func(w BusWriter, v *Label) {
			w.BeginStruct()
			w.Bool(v.IgnoreFailure)
			w.String(v.Label)
			w.EndStruct()
		},
		read: func(r BusReader, _ *Label) ([]string, error) {
			r.BeginStruct()
			l := Label{IgnoreFailure: r.Bool(), Label: r.String()}
			r.EndStruct()
			return one(text(l))
		}}
	if setString {
		f.setSig = "s"
		f.read = func(r BusReader, _ *Label) ([]string, error) { return one(escaped(r.String())) }
	}
	return &kind[Label]{
		name: "label, - in front",
		parse: func(c *Context, cur *Label, s string) error {
			s, ignore := strings.CutPrefix(s, "-")
			s, err := c.expand(s)
			if err == nil {
				*cur = Label{Label: strings.Clone(s), IgnoreFailure: ignore && s != ""}
			}
			return err
		},
		format: func(v *Label) []string { return []string{text(*v)} },
		bus:    []form[Label]{f},
	}
}

// kArchitectures is SystemCallArchitectures=.
var kArchitectures = kWords("list of architectures", wordsPlain, func(s string) (string, error) {
	if !architectureValid(s) {
		return "", errText("architecture ", quoted(s), " isn't known")
	}
	return strings.Clone(s), nil
})

var architectureNames = [...]string{
	"native", "x86", "x86-64", "x32", "arm", "arm64", "loongarch64", "mips", "mips-le", "mips64", "mips64-le",
	"mips64-n32", "mips64-le-n32", "parisc", "parisc64", "ppc", "ppc64", "ppc64-le", "riscv64", "s390", "s390x",
}

func architectureValid(s string) bool {
	for _, n := range architectureNames {
		if n == s {
			return true
		}
	}
	return false
}

// kPersonality is Personality=.
var kPersonality = kChecked("architecture", architectureValid, false)

// SyscallKill stands for killing the process in SystemCallErrorNumber=.
const SyscallKill int32 = 1<<31 - 2

// kSyscallErrno is SystemCallErrorNumber=.
var kSyscallErrno = simple("error number, or kill", func(_ *Context, s string) (int32, error) {
	if s == "" || s == "kill" {
		return SyscallKill, nil
	}
	e, err := value.ParseErrno(s)
	if err == nil && e == 0 {
		err = errText("error number is zero")
	}
	return int32(e), err
}, syscallErrnoText, form[int32]{sig: "i", write: busInt32.write,
	read: func(r BusReader, _ *int32) ([]string, error) { return one(syscallErrnoText(r.Int32())) }})

func syscallErrnoText(v int32) string {
	if v == SyscallKill {
		return "kill"
	}
	return value.Errno(v).String()
}

// syscallFilterName checks one word of a system call list: a call, a set with
// @, and an optional :errno. Which calls exist is a matter of the
// architecture, so only the form is checked.
func syscallFilterName(s string) error {
	name, errno, has := strings.Cut(s, ":")
	if has && errno != "kill" {
		if _, err := value.ParseErrno(errno); err != nil {
			return err
		}
	}
	name = strings.TrimPrefix(name, "@")
	if name == "" || !onlyChars(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") {
		return errText("system call ", quoted(s), " is not valid")
	}
	return nil
}

var (
	kSyscallFilter = callFilterKind("list of system calls, ~ in front denies")
	kSyscallLog    = callFilterKind("list of system calls, ~ in front excepts")
	kFileSystems   = filterKind("list of file systems, ~ in front denies", func(s string) error {
		if s == "" || !onlyChars(s, "abcdefghijklmnopqrstuvwxyz0123456789_-@.") {
			return errText("file system ", quoted(s), " is not valid")
		}
		return nil
	})
	kInterfaces = filterKind("list of interfaces, ~ in front denies", func(s string) error {
		if !interfaceValid(s) {
			return errText("interface ", quoted(s), " is not valid")
		}
		return nil
	})
)

// callFilterKind is a filter list with groups. Taking a call out of a group, or
// a group out of a group, can't be done by name here: it stays in the list
// with ~ in front, for whoever knows the members.
func callFilterKind(what string) *kind[FilterList] {
	k := filterKind(what, syscallFilterName)
	k.parse = func(c *Context, cur *FilterList, text string) error {
		if text == "" {
			*cur = FilterList{}
			return nil
		}
		rest, invert := strings.CutPrefix(text, "~")
		if !cur.Set {
			*cur = FilterList{Set: true, Allow: !invert}
		}
		names, err := words(c, rest, value.WordUnquote, func(s string) (string, error) { return s, syscallFilterName(s) })
		for _, n := range names {
			cur.Names = dropName(dropName(cur.Names, n), "~"+n)
			switch {
			case cur.Allow != invert:
				cur.Names = addName(cur.Names, n)
			case hasGroup(cur.Names):
				cur.Names = addName(cur.Names, "~"+n)
			}
		}
		return partial(err)
	}
	k.format = func(v *FilterList) []string {
		if !v.Set {
			return nil
		}
		return callFilterText(v)
	}
	return k
}

func hasGroup(names []string) bool {
	for _, n := range names {
		if strings.HasPrefix(n, "@") {
			return true
		}
	}
	return false
}

// callFilterText writes one assignment for each run of names that are added,
// or taken away.
func callFilterText(v *FilterList) []string {
	var lines []string
	var run []string
	added := true
	flush := func() {
		if len(run) > 0 || len(lines) == 0 && added {
			lines = append(lines, filterText(v.Allow == added, run))
		}
		run = nil
	}
	for _, n := range v.Names {
		name, removed := strings.CutPrefix(n, "~")
		if removed == added {
			flush()
			added = !removed
		}
		run = append(run, name)
	}
	flush()
	return lines
}

func interfaceValid(s string) bool {
	_, err := value.ParseUint(s, 32)
	return err != nil && value.InterfaceNameIsValid(s) // the number of one won't do
}

// kAddressFamilies is RestrictAddressFamilies=; "none" allows nothing.
var kAddressFamilies = func() *kind[FilterList] {
	k := filterKind("list of address families, ~ in front denies, or none", func(s string) error {
		if !strings.HasPrefix(s, "AF_") || !onlyChars(s[3:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") {
			return errText("address family ", quoted(s), " is not valid")
		}
		return nil
	})
	base, format := k.parse, k.format
	k.parse = func(c *Context, cur *FilterList, text string) error {
		if text == "none" {
			*cur = FilterList{Set: true, Allow: true}
			return nil
		}
		return base(c, cur, text)
	}
	k.format = func(v *FilterList) []string {
		if v.Set && v.Allow && len(v.Names) == 0 {
			return []string{"none"}
		}
		return format(v)
	}
	unsorted := k.bus[0].write
	k.bus[0].write = func(w BusWriter, v *FilterList) {
		sorted := *v
		sorted.Names = append([]string(nil), v.Names...)
		sort.Strings(sorted.Names)
		unsorted(w, &sorted)
	}
	return k
}()

type flagName struct {
	name string
	bit  uint64
}

// namespaceFlags are the CLONE_NEW* bits.
var namespaceFlags = [...]flagName{
	{"cgroup", 0x02000000}, {"ipc", 0x08000000}, {"net", 0x40000000}, {"mnt", 0x00020000}, {"pid", 0x20000000},
	{"user", 0x10000000}, {"uts", 0x04000000}, {"time", 0x00000080},
}

// kNamespaces is RestrictNamespaces=, where yes allows none, and with restrict
// false DelegateNamespaces=, where yes is all.
func kNamespaces(restrict bool) *kind[uint64] {
	all := uint64(0)
	for _, n := range namespaceFlags {
		all |= n.bit
	}
	text := func(v uint64) string {
		switch {
		case v == allBits:
			return ""
		case v&all == all:
			return value.FormatBool(!restrict)
		case v&all == 0:
			return value.FormatBool(restrict)
		}
		var names []string
		for _, n := range namespaceFlags {
			if v&n.bit != 0 {
				names = append(names, n.name)
			}
		}
		return strings.Join(names, " ")
	}
	return &kind[uint64]{
		name: "boolean or list of name spaces, ~ in front inverts",
		parse: func(_ *Context, cur *uint64, s string) error {
			if s == "" {
				*cur = allBits
				return nil
			}
			if b, err := value.ParseBool(s); err == nil {
				*cur = all
				if b == restrict {
					*cur = 0
				}
				return nil
			}
			rest, invert := strings.CutPrefix(s, "~")
			var set uint64
			for _, w := range strings.Fields(rest) {
				bit, err := namespaceBit(w)
				if err != nil {
					return err
				}
				set |= bit
			}
			switch {
			case *cur == allBits && invert:
				*cur = all &^ set
			case *cur == allBits:
				*cur = set
			case invert:
				*cur &^= set
			default:
				*cur |= set
			}
			return nil
		},
		format: func(v *uint64) []string { return []string{text(*v)} },
		bus: []form[uint64]{{sig: "t", write: busUint64.write,
			read: func(r BusReader, _ *uint64) ([]string, error) { return []string{"", text(r.Uint64())}, nil }}},
	}
}

func namespaceBit(name string) (uint64, error) {
	for _, n := range namespaceFlags {
		if n.name == name {
			return n.bit, nil
		}
	}
	return 0, errText("name space ", quoted(name), " isn't known")
}

// kMountFlags is MountFlags=.
var kMountFlags = simple("one of shared, slave, private", func(_ *Context, s string) (uint64, error) {
	switch s {
	case "":
		return 0, nil
	case "shared":
		return mountShared, nil
	case "slave":
		return mountSlave, nil
	case "private":
		return mountPrivate, nil
	}
	return 0, errText("propagation ", quoted(s), " isn't known")
}, mountFlagsText, form[uint64]{sig: "t", write: busUint64.write,
	read: func(r BusReader, _ *uint64) ([]string, error) {
		v := r.Uint64()
		if v != 0 && mountFlagsText(v) == "" {
			return nil, errText("mount flags are not known")
		}
		return one(mountFlagsText(v))
	}})

func mountFlagsText(v uint64) string {
	switch v {
	case mountShared:
		return "shared"
	case mountSlave:
		return "slave"
	case mountPrivate:
		return "private"
	}
	return ""
}

// kProtectHostname is ProtectHostname=: a boolean, private, or private:NAME.
var kProtectHostname = &kind[Sandbox]{
	name: "boolean, private, or private:NAME",
	parse: func(c *Context, s *Sandbox, text string) error {
		if b, err := value.ParseBool(text); err == nil {
			s.ProtectHostname, s.PrivateHostname = value.FormatBool(b), ""
			return nil
		}
		word, name, _ := strings.Cut(text, ":")
		name, err := c.expand(name)
		if err != nil {
			return err
		}
		if word != "private" || !onlyChars(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") {
			return errText("value ", quoted(text), " is neither a boolean nor private")
		}
		s.ProtectHostname, s.PrivateHostname = "private", strings.Clone(name)
		return nil
	},
	format: func(s *Sandbox) []string { return []string{protectHostnameText(s.ProtectHostname, s.PrivateHostname)} },
	bus: []form[Sandbox]{
		{sig: "b", write: func(w BusWriter, s *Sandbox) { w.Bool(s.ProtectHostname != "no") },
			read: func(r BusReader, _ *Sandbox) ([]string, error) { return one(value.FormatBool(r.Bool())) }},
		{suffix: "Ex", sig: "(ss)",
			write: func(w BusWriter, s *Sandbox) {
				w.BeginStruct()
				w.String(s.ProtectHostname)
				w.String(s.PrivateHostname)
				w.EndStruct()
			},
			read: func(r BusReader, _ *Sandbox) ([]string, error) {
				r.BeginStruct()
				word, name := r.String(), r.String()
				r.EndStruct()
				return one(protectHostnameText(word, name))
			}},
	},
}

func protectHostnameText(word, name string) string {
	if name != "" {
		return word + ":" + name
	}
	return word
}
