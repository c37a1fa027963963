package unit

import (
	"strings"
)

// Sections is a set of sections, a bit each. Shared settings, such as those
// of systemd.exec(5), are one row in several sections.
type Sections uint32

// The sections of unit files, and [Manager] of system.conf.
const (
	InUnit Sections = 1 << iota
	InInstall
	InService
	InSocket
	InMount
	InSwap
	InAutomount
	InTimer
	InPath
	InSlice
	InScope
	InManager

	InExec   = InService | InSocket | InMount | InSwap
	InKill   = InExec | InScope
	InCgroup = InExec | InScope | InSlice
)

var sectionNames = [...]string{
	"Unit", "Install", "Service", "Socket", "Mount", "Swap", "Automount", "Timer", "Path", "Slice", "Scope", "Manager",
}

// Names lists the sections of the set.
func (s Sections) Names() []string {
	var out []string
	for i, n := range sectionNames {
		if s&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// SectionFromString gives the bit of a section name, 0 if there is none.
func SectionFromString(name string) Sections {
	for i, n := range sectionNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// SectionsOf gives the sections a unit of type t may have.
func SectionsOf(t Type) Sections { return InUnit | InInstall | SectionFromString(t.Section()) }

// Status says how much of a directive works.
type Status uint8

// Statuses. Accepted directives are parsed, checked and shown, and that is
// all; Row.Note says why. Ignored ones are obsolete and only warned about.
const (
	Accepted Status = iota
	Partial
	Full
	Ignored
)

var statusNames = [...]string{"Accepted", "Partial", "Full", "Ignored"}

// String gives the name of the status.
func (s Status) String() string {
	if int(s) >= len(statusNames) {
		return ""
	}
	return statusNames[s]
}

// Emits is how a property announces changes, as in the annotation
// org.freedesktop.DBus.Property.EmitsChangedSignal.
type Emits uint8

// The values of the annotation.
const (
	Const Emits = iota
	EmitsFalse
	EmitsTrue
	Invalidates
)

var emitsNames = [...]string{"const", "false", "true", "invalidates"}

// String gives the value of the annotation.
func (e Emits) String() string {
	if int(e) >= len(emitsNames) {
		return ""
	}
	return emitsNames[e]
}

// Row is what is known about one directive.
type Row struct {
	Name    string
	In      Sections
	Kind    string // the type of its value, for people
	Doc     string // one sentence
	Example string // a valid value
	Since   uint16 // first systemd release that knows it
	Status  Status
	Note    string // why it is not Full
	Legacy  string // not empty: deprecated, text of the warning

	// Prop is the base of its bus properties' names, "" if it has none.
	Prop  string
	Emits Emits

	// Settable: StartTransientUnit takes it; AtRuntime: SetUnitProperties too.
	Settable  bool
	AtRuntime bool

	// Hidden: the property answers when asked by name but isn't listed.
	// Alias: another directive sets the same.
	Hidden bool
	Alias  bool

	// Unsupported: a start with it set to anything but the default must fail.
	Unsupported bool

	impl impl
	next *Row // same name in another section
}

// target is what a row is read from and written to.
type target struct {
	u *Unit
	m *ManagerConfig
}

// impl is the typed part of a row.
type impl interface {
	// parse applies one assignment.
	parse(c *Context, t target, text string) error
	// format gives the values of the assignments that make the current state,
	// none for the default where that can't be written.
	format(t target) []string
	// forms lists the bus properties.
	forms() []formInfo
	// write encodes form i.
	write(w BusWriter, t target, i int)
	// text reads form i and gives the values to assign.
	text(r BusReader, t target, i int) ([]string, error)
	// kindName names the type of the value.
	kindName() string
}

// formInfo describes one bus form of a directive.
type formInfo struct {
	suffix string // behind the row's Prop
	sig    string // to read, "" if it can only be set
	setSig string // to set, "" if it can only be read
}

// table is every row, in the order of files and lines; byName finds them.
var (
	table  []*Row
	byName map[string]*Row
)

func init() {
	table = make([]*Row, 0, 700)
	for _, add := range [...]func() []*Row{
		unitRows, dependencyRows, conditionRows, installRows, serviceRows, scopeRows, sliceRows, killRows,
		execRows, execIdentityRows, execDirectoryRows, execLimitRows, sandboxPathRows, sandboxRows, cgroupRows,
		cgroupDeviceRows, cgroupMemoryRows, socketRows, timerRows, pathRows, mountRows, managerRows, managerDefaultRows,
		obsoleteRows,
	} {
		table = append(table, add()...)
	}
	byName = make(map[string]*Row, len(table))
	for _, r := range table {
		r.next = byName[r.Name]
		byName[r.Name] = r
	}
}

// Rows gives all rows. They are shared and must not be changed.
func Rows() []*Row { return table }

// Lookup finds the row of a directive in a section, nil if there is none.
func Lookup(section Sections, name string) *Row {
	for r := byName[name]; r != nil; r = r.next {
		if r.In&section != 0 {
			return r
		}
	}
	return nil
}

// Suggest finds the directive of a section whose name is nearest to an
// unknown one, "" if none is near enough to be meant.
func Suggest(section Sections, name string) string {
	best, bestDistance := "", 1+len(name)/4
	for _, r := range table {
		if r.In&section == 0 || r.Status == Ignored {
			continue
		}
		if strings.EqualFold(r.Name, name) {
			return r.Name
		}
		if d := distance(r.Name, name, bestDistance); d < bestDistance || d == bestDistance && best == "" {
			best, bestDistance = r.Name, d
		}
	}
	return best
}

// distance is the edit distance of a and b, or limit+1 if it is greater.
func distance(a, b string, limit int) int {
	const longest = 64
	if len(a) > longest || len(b) > longest || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var prev, cur [longest + 1]int
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := range len(a) {
		cur[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i]|0x20 == b[j]|0x20 {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
		}
		prev = cur
	}
	return min(prev[len(b)], limit+1)
}
