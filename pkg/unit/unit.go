package unit

import (
	"strconv"
)

// Type is the unit type, given by the suffix of the unit name.
type Type uint8

// The unit types in the order systemd lists them. TypeInvalid is the zero
// value, so an uninitialised Unit is never mistaken for a service.
const (
	TypeInvalid Type = iota
	TypeService
	TypeMount
	TypeSwap
	TypeSocket
	TypeTarget
	TypeDevice
	TypeAutomount
	TypeTimer
	TypePath
	TypeSlice
	TypeScope
	typeMax
)

var typeNames = [typeMax]string{
	"", "service", "mount", "swap", "socket", "target", "device", "automount", "timer", "path", "slice", "scope",
}

var typeSections = [typeMax]string{
	"", "Service", "Mount", "Swap", "Socket", "", "", "Automount", "Timer", "Path", "Slice", "Scope",
}

// String gives the suffix without the dot: "service", "mount", …
func (t Type) String() string {
	if t >= typeMax {
		return ""
	}
	return typeNames[t]
}

// Section gives the name of the type's own section, "" for targets and
// devices, which have none.
func (t Type) Section() string {
	if t >= typeMax {
		return ""
	}
	return typeSections[t]
}

// Types lists all valid unit types.
func Types() []Type {
	out := make([]Type, 0, typeMax-1)
	for t := TypeService; t < typeMax; t++ {
		out = append(out, t)
	}
	return out
}

// TypeFromString is the inverse of String. It reports TypeInvalid for an
// unknown suffix.
func TypeFromString(s string) Type {
	for t := TypeService; t < typeMax; t++ {
		if typeNames[t] == s {
			return t
		}
	}
	return TypeInvalid
}

// LoadState says what became of reading the unit's definition. Values are
// the strings seen on the bus (org.freedesktop.systemd1(5), LoadState).
type LoadState string

// The load states.
const (
	StateStub       LoadState = "stub"
	StateLoaded     LoadState = "loaded"
	StateNotFound   LoadState = "not-found"
	StateBadSetting LoadState = "bad-setting"
	StateError      LoadState = "error"
	StateMerged     LoadState = "merged"
	StateMasked     LoadState = "masked"
)

// LoadError is why a unit isn't loaded: a D-Bus error name and its message,
// as the LoadError property of the unit shows it.
type LoadError struct {
	Name    string
	Message string
}

func (e *LoadError) Error() string { return e.Message }

// D-Bus error names used for load errors.
const (
	ErrNoSuchUnit   = "org.freedesktop.systemd1.NoSuchUnit"
	ErrLoadFailed   = "org.freedesktop.systemd1.LoadFailed"
	ErrBadSetting   = "org.freedesktop.systemd1.BadUnitSetting"
	ErrUnitMasked   = "org.freedesktop.systemd1.UnitMasked"
	ErrInvalidArgs  = "org.freedesktop.DBus.Error.InvalidArgs"
	ErrReadOnlyProp = "org.freedesktop.DBus.Error.PropertyReadOnly"
)

// Pos is where a setting was written. File 0 is the fragment, n up to
// PosMaxDropIn the n-th entry of DropInPaths (counted from 1); the values
// above are not files.
type Pos struct {
	File uint16
	Line uint32
}

// Special values of Pos.File.
const (
	PosMaxDropIn uint16 = 0xff00
	PosLink      uint16 = 0xff01 // a link in a .wants/, .requires/ or .upholds/ directory
	PosImplicit  uint16 = 0xff02 // added by the unit type, whatever is configured
	PosDefault   uint16 = 0xff03 // added because of DefaultDependencies=yes
	PosTransient uint16 = 0xff04 // set over the bus
	PosProc      uint16 = 0xff05 // learned from the kernel (mount table, swaps)
	PosUdev      uint16 = 0xff06 // learned from udev
)

// Dep is one dependency as written, in file order.
type Dep struct {
	Type   DepType
	Name   string
	Origin Pos
}

// PathDep is one path of RequiresMountsFor= or WantsMountsFor=.
type PathDep struct {
	Path   string
	Origin Pos
}

// Condition is one Condition…= or Assert…= line. Type is the directive name
// ("ConditionPathExists"), Param the text behind the prefixes. Trigger is the
// | prefix (one of those must hold), Negate the ! prefix.
type Condition struct {
	Type    string
	Param   string
	Trigger bool
	Negate  bool
}

// Kind is the condition's name without Condition or Assert in front.
func (c Condition) Kind() string {
	if len(c.Type) > 9 && c.Type[:9] == "Condition" {
		return c.Type[9:]
	}
	if len(c.Type) > 6 && c.Type[:6] == "Assert" {
		return c.Type[6:]
	}
	return c.Type
}

// Unit is the configuration of one unit: what its files say. It is never
// changed once it was handed out; a reload makes a new one.
//
// 1. Name is among Names.
// 2. A nil block (Service, Exec, …) means that no directive of it is set; the
// Get methods then give shared defaults, which must not be written to.
// 3. Only the block of Type is ever set, and Exec, Kill and Cgroup only
// where the type has them.
// 4. UnitExtra is never nil. A copy of a Unit shares it: OwnExtra comes before
// a write to one of its fields.
type Unit struct {
	Name      string
	Type      Type
	Transient bool // made by StartTransientUnit
	Perpetual bool // can't be stopped or removed (-.slice, init.scope, …)
	LoadState LoadState
	Names     []string // aliases, including Name

	FragmentPath string

	Unit UnitSection
	Deps []Dep

	// What few units have, one shared empty block for the others.
	*UnitExtra

	Service *Service

	Exec   *Exec
	Kill   *Kill
	Cgroup *Cgroup

	defaults *Defaults
}

// UnitExtra is what most units have nothing of: there are thousands of
// services for each of the other types.
type UnitExtra struct {
	LoadError   *LoadError
	SourcePath  string   // SourcePath=, what the fragment was generated from
	DropInPaths []string // in the order they were applied
	Links       []string // .wants/, .requires/, .upholds/ links that gave dependencies

	RequiresMountsFor []PathDep
	WantsMountsFor    []PathDep
	Conditions        []Condition
	Asserts           []Condition
	Install           *Install

	Socket    *Socket
	Timer     *Timer
	Path      *Path
	Mount     *Mount
	Automount *Automount
	Swap      *Swap
	Scope     *Scope
	Slice     *Slice
}

// noExtra is the block of units that have nothing in it; it is never written
// to.
var noExtra = &UnitExtra{}

// UnitSection is what [Unit] says about the unit itself. Dependencies,
// conditions and mount paths are in Unit.
type UnitSection struct {
	Description   string
	Documentation []string

	// What few units set, shared with the defaults until one does.
	*UnitActions

	StartLimitIntervalUSec uint64
	StartLimitBurst        uint32

	AllowIsolate           bool
	DefaultDependencies    bool
	IgnoreOnIsolate        bool
	RefuseManualStart      bool
	RefuseManualStop       bool
	StopWhenUnneeded       bool
	SurviveFinalKillSignal bool
}

// UnitActions is what happens to a job, the machine or other units when the
// unit fails, succeeds or takes too long.
type UnitActions struct {
	OnFailureJobMode         string
	OnSuccessJobMode         string
	StartLimitAction         string
	FailureAction            string
	SuccessAction            string
	JobTimeoutAction         string
	JobTimeoutRebootArgument string
	RebootArgument           string
	CollectMode              string

	JobTimeoutUSec          uint64
	JobRunningTimeoutUSec   uint64
	JobRunningTimeoutSet    bool  // JobRunningTimeoutSec= was given
	SuccessActionExitStatus int16 // -1: unset
	FailureActionExitStatus int16 // -1: unset
}

// Install is the [Install] section; the manager itself only reads
// DefaultInstance=. Names keep the order of the file.
type Install struct {
	Alias           []string
	Also            []string
	WantedBy        []string
	RequiredBy      []string
	UpheldBy        []string
	DefaultInstance string
}

// Tristate is a boolean that can also be left to a default.
type Tristate uint8

// The values of a Tristate.
const (
	Unset Tristate = iota
	No
	Yes
)

// Or resolves t, with def for Unset.
func (t Tristate) Or(def bool) bool {
	if t == Unset {
		return def
	}
	return t == Yes
}

// TristateOf converts a boolean that was set.
func TristateOf(b bool) Tristate {
	if b {
		return Yes
	}
	return No
}

// Opt is a setting whose "not set" differs from every value.
type Opt[T any] struct {
	Value T
	Set   bool
}

// Or gives the value, or def when nothing was set.
func (o Opt[T]) Or(def T) T {
	if o.Set {
		return o.Value
	}
	return def
}

// Some makes a set Opt.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Infinity is "no limit" for times in µs, sizes in bytes and counts.
const Infinity uint64 = 1<<64 - 1

// Where says where p points to, as "file:line"; without a line for what
// isn't in a file.
func (u *Unit) Where(p Pos) string {
	file := ""
	switch {
	case p.File == 0:
		file = u.FragmentPath
		if file == "" {
			file = u.Name
		}
	case p.File <= PosMaxDropIn:
		if int(p.File) > len(u.DropInPaths) {
			return u.Name
		}
		file = u.DropInPaths[p.File-1]
	case p.File == PosLink:
		if p.Line > 0 && int(p.Line) <= len(u.Links) {
			return u.Links[p.Line-1]
		}
		return u.Name + " (link)"
	case p.File == PosImplicit:
		return u.Name + " (implicit)"
	case p.File == PosDefault:
		return u.Name + " (DefaultDependencies=)"
	case p.File == PosTransient:
		return u.Name + " (transient)"
	case p.File == PosProc:
		return u.Name + " (kernel)"
	default:
		return u.Name + " (udev)"
	}
	if p.Line == 0 {
		return file
	}
	return file + ":" + strconv.FormatUint(uint64(p.Line), 10)
}
