package unit

import "strings"

// Property is one bus property that comes from a directive.
type Property struct {
	Name   string
	Sig    string // signature to read; "" can't be read
	SetSig string // signature to set; "" can't be set
	Emits  Emits
	Row    *Row
	form   int
}

// Write encodes the property's value of u.
func (p *Property) Write(w BusWriter, u *Unit) { p.Row.impl.write(w, target{u: u}, p.form) }

// WriteManager encodes the value of a property of the manager.
func (p *Property) WriteManager(w BusWriter, m *ManagerConfig) {
	p.Row.impl.write(w, target{m: m}, p.form)
}

// SectionProperties lists the properties of the directives in a section,
// which is one bit of Sections, sorted as the table is. Hidden ones are there
// with hidden set.
func SectionProperties(section Sections, hidden bool) []Property {
	var out []Property
	for _, r := range table {
		if r.In&section != 0 && r.Prop != "" && r.Hidden == hidden {
			out = r.appendProperties(out)
		}
	}
	return out
}

// Properties lists the configuration properties of the type's own interface,
// org.freedesktop.systemd1.Service and so on.
func Properties(t Type) []Property {
	return SectionProperties(SectionFromString(t.Section()), false)
}

// UnitProperties lists the configuration properties of the interface
// org.freedesktop.systemd1.Unit.
func UnitProperties() []Property { return SectionProperties(InUnit, false) }

func (r *Row) appendProperties(out []Property) []Property {
	for i, f := range r.impl.forms() {
		p := Property{Name: r.Prop + f.suffix, Sig: f.sig, Emits: r.Emits, Row: r, form: i}
		if r.Settable {
			p.SetSig = f.setSig
		}
		out = append(out, p)
	}
	return out
}

// FindProperty finds a property of units of type t by name, whether it can
// only be read, only be set, or is hidden.
func FindProperty(t Type, name string) (Property, bool) {
	section := SectionFromString(t.Section()) | InUnit
	for _, r := range table {
		if r.In&section == 0 || r.Prop == "" || !strings.HasPrefix(name, r.Prop) {
			continue
		}
		for _, p := range r.appendProperties(nil) {
			if p.Name == name {
				return p, true
			}
		}
	}
	return Property{}, false
}

// SectionFor names the section the directive is written to in a file of a
// unit of type t.
func (r *Row) SectionFor(t Type) string {
	if r.In&InUnit != 0 {
		return "Unit"
	}
	return t.Section()
}

// Format gives the values of the assignments that make what u has.
func (r *Row) Format(u *Unit) []string { return r.impl.format(target{u: u}) }

// FormatManager is Format for rows of section [Manager].
func (r *Row) FormatManager(m *ManagerConfig) []string { return r.impl.format(target{m: m}) }

// Parse applies one assignment to u, as if it were read from a file.
func (r *Row) Parse(c *Context, text string) error {
	c.row = r
	defer func() { c.row = nil }()
	return r.impl.parse(c, c.target(), text)
}

// IsDefault says whether u has for the directive what a unit has that sets
// nothing.
func (r *Row) IsDefault(u *Unit) bool {
	empty := &Unit{Name: u.Name, Type: u.Type, defaults: u.Defaults(), Unit: u.Defaults().Unit, UnitExtra: noExtra}
	return equalStrings(r.impl.format(target{u: u}), r.impl.format(target{u: empty}))
}

func equalStrings(a, b []string) bool {
	if len(a) != len(b) {
		return len(a)+len(b) == 1 && strings.Join(append(a, b...), "") == ""
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// unsupportedRows are the rows a start has to be refused for.
func unsupportedRows() []*Row {
	var out []*Row
	for _, r := range table {
		if r.Unsupported && !r.Alias {
			out = append(out, r)
		}
	}
	return out
}

// UnsupportedExec names the settings u has set to something other than the
// default that aren't applied to processes yet, so that a start can fail
// rather than run without them.
func (u *Unit) UnsupportedExec() []string {
	if u.Exec == nil {
		return nil
	}
	var out []string
	section := SectionFromString(u.Type.Section())
	for _, r := range unsupportedRows() {
		if r.In&section != 0 && !r.IsDefault(u) {
			out = append(out, r.Name)
		}
	}
	return out
}
