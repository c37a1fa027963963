package ctl

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// assignment is KEY=VALUE as it is sent: one or more properties of StartTransientUnit or SetUnitProperties.
type assignment struct {
	name, sig string
	write     func(e *bus.Encoder)
}

// busWriter lets the rows of the directive table write to an encoder.
type busWriter struct {
	*bus.Encoder
	marks []bus.ArrayMark
}

func (w *busWriter) Bytes(v []byte) { w.ByteArray(v) }
func (w *busWriter) BeginArray(elem string) {
	w.marks = append(w.marks, w.Encoder.BeginArray(elem[0]))
}
func (w *busWriter) EndArray() {
	n := len(w.marks) - 1
	w.Encoder.EndArray(w.marks[n])
	w.marks = w.marks[:n]
}
func (w *busWriter) BeginStruct() { w.Struct() }
func (w *busWriter) EndStruct()   {}

var (
	errNotAssignment     = errors.New("not an assignment")
	errUnknownAssignment = errors.New("unknown assignment")
)

// assignmentError is the message for an assignment that can't be sent.
func assignmentError(text string, err error) string {
	switch {
	case errors.Is(err, errNotAssignment):
		return "Not an assignment: " + text
	case errors.Is(err, errUnknownAssignment):
		return "Unknown assignment: " + text
	}
	return fmt.Sprintf("Failed to parse %s: Invalid argument", text)
}

// parseAssignment reads KEY=VALUE for units of a type, by the same rows that read unit files.
func parseAssignment(t unit.Type, text string) ([]assignment, error) {
	key, v, ok := strings.Cut(text, "=")
	if !ok {
		return nil, errNotAssignment
	}
	if special := specialAssignment(t, key); special != nil {
		return special(key, v)
	}
	row := findRow(t, key)
	if row == nil {
		return nil, errUnknownAssignment
	}
	u, err := parseRow(t, row, v)
	if err != nil {
		return nil, err
	}
	if row.Alias {
		row = aliasedRow(t, row, u)
	}
	var out []assignment
	for _, p := range append(unit.Properties(t), unit.UnitProperties()...) {
		if p.Row != row && (row.Prop == "" || p.Row.Prop != row.Prop) || p.SetSig == "" || p.SetSig != p.Sig || !primaryProperty(row, p.Name) {
			continue
		}
		out = append(out, assignment{p.Name, p.SetSig, func(e *bus.Encoder) { p.Write(&busWriter{Encoder: e}, u) }})
	}
	if len(out) == 0 {
		return nil, errUnknownAssignment
	}
	return out, nil
}

// primaryProperty leaves out what says the same in another form.
func primaryProperty(row *unit.Row, name string) bool {
	for _, suffix := range []string{"Ex", "Symlink", "Scale", "FileDescriptorName", "FromNUMA"} {
		if strings.HasSuffix(name, suffix) && name != row.Name {
			return false
		}
	}
	return name != "RootHashPath" && name != "RootHashSignaturePath"
}

// findRow finds the directive in the sections that a type of unit has.
func findRow(t unit.Type, key string) *unit.Row {
	if r := unit.Lookup(unit.SectionsOf(t), key); r != nil {
		return r
	}
	return unit.Lookup(unit.InUnit, key)
}

// parseRow reads a value into a unit of its own. Percent signs stand for themselves, as the manager doesn't expand specifiers in what it is sent.
func parseRow(t unit.Type, row *unit.Row, v string) (*unit.Unit, error) {
	try := func(text string) (*unit.Unit, error) {
		u := unit.New("transient."+t.String(), unit.BuiltinDefaults())
		c := &unit.Context{Host: &unit.Host{}, Unit: u}
		if err := row.Parse(c, text); err != nil {
			return nil, err
		}
		for _, m := range c.Messages {
			if m.Level <= unit.LevelWarning {
				return nil, errors.New(m.String())
			}
		}
		return u, nil
	}
	if escaped := unit.EscapeSpecifiers(v); escaped != v {
		if u, err := try(escaped); err == nil {
			return u, nil
		}
	}
	return try(v)
}

type assignmentFunc func(key, v string) ([]assignment, error)

// specialAssignment finds the directives whose properties have another form when they are set.
func specialAssignment(t unit.Type, key string) assignmentFunc {
	switch {
	case strings.HasPrefix(key, "Exec") && key != "ExecPaths" && key != "ExecSearchPath" && findRow(t, key) != nil:
		return execAssignment
	case key == "StandardInput" || key == "StandardOutput" || key == "StandardError":
		return streamAssignment
	case (strings.HasPrefix(key, "Memory") || strings.HasPrefix(key, "StartupMemory") || strings.HasPrefix(key, "DefaultMemory") || strings.HasPrefix(key, "DefaultStartupMemory") || key == "TasksMax") &&
		findRow(t, key) != nil && key != "MemoryPressureThresholdSec" && key != "MemoryPressureWatch" && key != "MemoryAccounting" && key != "MemoryDenyWriteExecute" && key != "MemoryZSwapWriteback" && key != "MemoryKSM":
		return limitAssignment
	case key == "TimeoutSec" && t == unit.TypeService:
		return func(_, v string) ([]assignment, error) {
			a, err := parseAssignment(t, "TimeoutStartSec="+v)
			if err != nil {
				return nil, err
			}
			b, err := parseAssignment(t, "TimeoutStopSec="+v)
			return append(a, b...), err
		}
	case key == "TTYRows" || key == "TTYColumns":
		return func(key, v string) ([]assignment, error) {
			n, err := value.ParseUint(v, 16)
			return one(key, "u", func(e *bus.Encoder) { e.Uint32(uint32(n)) }), err
		}
	case key == "SELinuxContext":
		return func(key, v string) ([]assignment, error) {
			return one(key, "s", func(e *bus.Encoder) { e.String(v) }), nil
		}
	case key == "Delegate":
		return delegateAssignment
	case key == "Markers":
		return func(key, v string) ([]assignment, error) {
			return one(key, "as", func(e *bus.Encoder) { e.Strings(strings.Fields(v)) }), nil
		}
	case t == unit.TypeTimer && strings.HasPrefix(key, "On"):
		return timerAssignment
	case t == unit.TypePath && findRow(t, key) != nil && (strings.HasPrefix(key, "Path") || key == "DirectoryNotEmpty"):
		return pairAssignment("Paths", "")
	case t == unit.TypeSocket && strings.HasPrefix(key, "Listen"):
		return pairAssignment("Listen", "Listen")
	case strings.HasPrefix(key, "Private") || strings.HasPrefix(key, "Protect"):
		return boolOrWordAssignment(t)
	}
	return nil
}

func one(name, sig string, write func(e *bus.Encoder)) []assignment {
	return []assignment{{name, sig, write}}
}

// execAssignment sends commands; flags that a(sasb) has no place for need the form with words.
func execAssignment(key, v string) ([]assignment, error) {
	if v == "" {
		return one(key, "a(sasb)", func(e *bus.Encoder) { e.EndArray(e.BeginArray('(')) }), nil
	}
	commands, err := value.ParseCommand(v, nil)
	if err != nil && len(commands) == 0 {
		return nil, err
	}
	ex := strings.HasSuffix(key, "Ex")
	for _, c := range commands {
		ex = ex || c.Flags&^value.CommandIgnoreFailure&^value.CommandArgv0 != 0
	}
	name, sig := key, "a(sasb)"
	if ex {
		name, sig = strings.TrimSuffix(key, "Ex")+"Ex", "a(sasas)"
	}
	return one(name, sig, func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		for _, c := range commands {
			e.Struct()
			e.String(c.Path)
			e.Strings(c.Argv)
			if ex {
				e.Strings(c.Flags.Names())
			} else {
				e.Bool(c.Flags&value.CommandIgnoreFailure != 0)
			}
		}
		e.EndArray(mark)
	}), nil
}

// streamAssignment sends StandardInput= and its like: files and named descriptors have properties of their own.
func streamAssignment(key, v string) ([]assignment, error) {
	for prefix, suffix := range map[string]string{"fd:": "FileDescriptorName", "file:": "File", "append:": "FileToAppend", "truncate:": "FileToTruncate"} {
		if rest, ok := strings.CutPrefix(v, prefix); ok {
			return one(key+suffix, "s", func(e *bus.Encoder) { e.String(rest) }), nil
		}
	}
	return one(key, "s", func(e *bus.Encoder) { e.String(v) }), nil
}

// limitAssignment sends a limit in bytes or tasks, or with % as a share of what there is.
func limitAssignment(key, v string) ([]assignment, error) {
	number := func(n uint64) []assignment { return one(key, "t", func(e *bus.Encoder) { e.Uint64(n) }) }
	switch {
	case v == "infinity", v == "" && !strings.HasSuffix(key, "Low") && !strings.HasSuffix(key, "Min"):
		return number(math.MaxUint64), nil
	case v == "":
		return number(0), nil
	case strings.HasSuffix(v, "%"):
		n, err := value.ParsePermyriad(v)
		if err != nil {
			return nil, err
		}
		scale := uint32(uint64(n) * math.MaxUint32 / 10000)
		return one(key+"Scale", "u", func(e *bus.Encoder) { e.Uint32(scale) }), nil
	}
	if key == "TasksMax" {
		n, err := value.ParseUint(v, 64)
		return number(n), err
	}
	n, err := value.ParseSize(v, value.Base1024)
	return number(n), err
}

func delegateAssignment(_, v string) ([]assignment, error) {
	if b, err := value.ParseBool(v); err == nil {
		return one("Delegate", "b", func(e *bus.Encoder) { e.Bool(b) }), nil
	}
	return one("DelegateControllers", "as", func(e *bus.Encoder) { e.Strings(strings.Fields(v)) }), nil
}

func timerAssignment(key, v string) ([]assignment, error) {
	switch key {
	case "OnCalendar":
		if _, err := value.ParseCalendar(v); err != nil {
			return nil, err
		}
		return one(key, "s", func(e *bus.Encoder) { e.String(v) }), nil
	case "OnClockChange", "OnTimezoneChange":
		b, err := value.ParseBool(v)
		return one(key, "b", func(e *bus.Encoder) { e.Bool(b) }), err
	case "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec":
		n, err := value.ParseSec(v, value.USecPerSec)
		return one(key, "t", func(e *bus.Encoder) { e.Uint64(uint64(n)) }), err
	}
	return nil, errUnknownAssignment
}

// pairAssignment sends what is a list of kind and value: paths to watch, addresses to listen on.
func pairAssignment(name, cut string) assignmentFunc {
	return func(key, v string) ([]assignment, error) {
		return one(name, "a(ss)", func(e *bus.Encoder) {
			mark := e.BeginArray('(')
			if v != "" {
				e.Struct()
				e.String(strings.TrimPrefix(key, cut))
				e.String(v)
			}
			e.EndArray(mark)
		}), nil
	}
}

// boolOrWordAssignment sends settings that were a boolean once: words that aren't one go to the property with Ex, where there is one.
func boolOrWordAssignment(t unit.Type) assignmentFunc {
	return func(key, v string) ([]assignment, error) {
		row := findRow(t, key)
		if row == nil {
			return nil, errUnknownAssignment
		}
		p, ok := unit.FindProperty(t, key)
		if !ok || p.SetSig == "" {
			return nil, errUnknownAssignment
		}
		b, err := value.ParseBool(v)
		switch {
		case p.SetSig == "b" && err == nil:
			return one(key, "b", func(e *bus.Encoder) { e.Bool(b) }), nil
		case p.SetSig == "s":
			return one(key, "s", func(e *bus.Encoder) { e.String(v) }), nil
		}
		ex, ok := unit.FindProperty(t, key+"Ex")
		if ok && ex.SetSig == "(ss)" {
			word, rest, _ := strings.Cut(v, ":")
			return one(key+"Ex", "(ss)", func(e *bus.Encoder) { e.Struct(); e.String(word); e.String(rest) }), nil
		}
		if ok && ex.SetSig == "s" {
			if _, err := parseRow(t, row, v); err != nil {
				return nil, err
			}
			return one(key+"Ex", "s", func(e *bus.Encoder) { e.String(v) }), nil
		}
		return nil, fmt.Errorf("%s: not a boolean", key)
	}
}

// writeAssignments appends a(sv).
func writeAssignments(e *bus.Encoder, list []assignment) {
	mark := e.BeginArray('(')
	for _, a := range list {
		e.Struct()
		e.String(a.name)
		e.Variant(a.sig)
		a.write(e)
	}
	e.EndArray(mark)
}

// setUnitProperties is set-property.
func setUnitProperties(s *systemctl, _ string, args []string) int {
	n, ok := s.mangle(args[0], ".service", true)
	if !ok || !s.online() {
		return exitFailure
	}
	names, _, ok := s.expandNames([]string{n}, ".service")
	if !ok {
		return exitFailure
	}
	t := unit.TypeOf(n)
	var list []assignment
	for _, a := range args[1:] {
		more, err := parseAssignment(t, a)
		if err != nil {
			s.errorf("%s", assignmentError(a, err))
			return exitFailure
		}
		list = append(list, more...)
	}
	r := 0
	for _, n := range names {
		m := bus.NewCall(busName, bus.ManagerPath, managerIface, "SetUnitProperties")
		var e bus.Encoder
		e.String(n)
		e.Bool(s.o.runtime)
		writeAssignments(&e, list)
		m.SetBody("sba(sv)", &e)
		if _, err := s.bus.Call(m); err != nil {
			s.errorf("Failed to set unit properties on %s: %s", n, errorText(err))
			r = exitFailure
		}
	}
	return r
}

// aliasedRow gives the row that an old name of a directive stands for: the one whose value it has set.
func aliasedRow(t unit.Type, row *unit.Row, u *unit.Unit) *unit.Row {
	fresh := unit.New(u.Name, unit.BuiltinDefaults())
	for _, r := range unit.Rows() {
		if !r.Alias && r.In&(unit.SectionsOf(t)|unit.InUnit) != 0 && r.Settable && strings.Join(r.Format(u), "\n") != strings.Join(r.Format(fresh), "\n") {
			return r
		}
	}
	return row
}
