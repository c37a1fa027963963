package unit

import "strings"

// Setting is one line of a drop-in or transient fragment.
type Setting struct {
	Section string
	Key     string
	Value   string
}

// FormatSettings writes settings as the text of a unit file, with a header
// wherever the section changes.
func FormatSettings(list []Setting) string {
	var b strings.Builder
	section := ""
	for _, s := range list {
		if s.Section != section {
			if section != "" {
				b.WriteByte('\n')
			}
			section = s.Section
			b.WriteString("[" + section + "]\n")
		}
		b.WriteString(s.Key)
		b.WriteByte('=')
		b.WriteString(continueLines(s.Value))
		b.WriteByte('\n')
	}
	return b.String()
}

// continueLines keeps line feeds within a value from ending it.
func continueLines(v string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`, "\x00", "").Replace(v)
}

// SetMode is when a property is set.
type SetMode uint8

// A transient unit is being made, or a loaded unit is changed.
const (
	SetTransient SetMode = iota
	SetRuntime
)

// SetProperty sets one property of u, which must be nobody else's, to the
// value r gives, whose signature is PropertySignature's. The value takes the
// same way as text in a file. The settings for a drop-in come back; errors are
// *LoadError with a D-Bus error name. Call Refinish after the last property.
func SetProperty(host *Host, u *Unit, name string, r BusReader, mode SetMode) ([]Setting, error) {
	c := &Context{Host: host, Unit: u, pos: Pos{File: PosTransient}}
	if f := specialProperties[name]; f != nil && mode == SetTransient && f.in&SectionsOf(u.Type) != 0 {
		return f.set(c, u, r)
	}
	p, ok := FindProperty(u.Type, name)
	if !ok || p.SetSig == "" || mode == SetRuntime && !p.Row.AtRuntime {
		return nil, &LoadError{ErrReadOnlyProp, "Cannot set property " + name + ", or unknown property."}
	}
	texts, err := p.Row.impl.text(r, target{u: u}, p.form)
	if err != nil {
		return nil, invalidProperty(name, err)
	}
	return c.set(p.Row, name, texts)
}

// PropertySignature gives the signature a client has to send for a property of
// units of type t, "" if it can't be set in this mode.
func PropertySignature(t Type, name string, mode SetMode) string {
	if f := specialProperties[name]; f != nil && mode == SetTransient && f.in&SectionsOf(t) != 0 {
		return f.sig
	}
	p, ok := FindProperty(t, name)
	if !ok || mode == SetRuntime && !p.Row.AtRuntime {
		return ""
	}
	return p.SetSig
}

func invalidProperty(name string, err error) error {
	return &LoadError{ErrInvalidArgs, "Invalid value of property " + name + ": " + err.Error()}
}

// set assigns texts to a row, all or the first fault.
func (c *Context) set(row *Row, name string, texts []string) ([]Setting, error) {
	var out []Setting
	for _, text := range texts {
		if err := row.Parse(c, text); err != nil {
			return nil, invalidProperty(name, err)
		}
		out = append(out, Setting{Section: row.SectionFor(c.Unit.Type), Key: row.Name, Value: text})
	}
	return out, nil
}

// LikeControlGroup gives the settings by which a unit of type t gets the control group settings of u, its slice included. What was delegated to u is
// not delegated once more.
func LikeControlGroup(u *Unit, t Type) []Setting {
	var out []Setting
	for _, r := range table {
		if r.In&InCgroup != InCgroup || r.In&SectionsOf(t) == 0 || r.Alias || r.Name == "Delegate" || r.Name == "DelegateSubgroup" || r.IsDefault(u) {
			continue
		}
		for _, text := range r.Format(u) {
			out = append(out, Setting{Section: r.SectionFor(t), Key: r.Name, Value: text})
		}
	}
	return out
}

// special are properties that spread over several directives or have none.
type special struct {
	in  Sections
	sig string
	set func(c *Context, u *Unit, r BusReader) ([]Setting, error)
}

var specialProperties map[string]*special

func init() {
	specialProperties = map[string]*special{
		"Conditions":      {InUnit, "a(sbbs)", setConditions("Condition")},
		"Asserts":         {InUnit, "a(sbbs)", setConditions("Assert")},
		"Listen":          {InSocket, "a(ss)", setPairs("Listen", InSocket, "Listen")},
		"Paths":           {InPath, "a(ss)", setPairs("Paths", InPath, "")},
		"TimersCalendar":  {InTimer, "a(ss)", setPairs("TimersCalendar", InTimer, "")},
		"TimersMonotonic": {InTimer, "a(st)", setMonotonic},
		"PIDs":            {InScope, "au", setPIDs},
		"Controller":      {InScope, "s", setController},
		"User":            {InScope, "s", setOwner("User", func(b *Scope) *string { return &b.User })},
		"Group":           {InScope, "s", setOwner("Group", func(b *Scope) *string { return &b.Group })},
		"SmackLabelIPin":  {InSocket, "s", setAs("SmackLabelIPIn")}, // a misspelling clients rely on
	}
}

// setPairs assigns the second string of each pair to the directive the first
// one names.
func setPairs(prop string, in Sections, prefix string) func(c *Context, u *Unit, r BusReader) ([]Setting, error) {
	return func(c *Context, _ *Unit, r BusReader) ([]Setting, error) {
		pairs := readPairs(r)
		if err := r.Err(); err != nil {
			return nil, invalidProperty(prop, err)
		}
		var out []Setting
		for _, p := range pairs {
			row := Lookup(in, prefix+p[0])
			if row == nil || row.Legacy != "" {
				return nil, invalidProperty(prop, errText("type ", quoted(p[0]), " isn't known"))
			}
			s, err := c.set(row, prop, []string{escaped(p[1])})
			if err != nil {
				return nil, err
			}
			out = append(out, s...)
		}
		return out, nil
	}
}

func setMonotonic(c *Context, _ *Unit, r BusReader) ([]Setting, error) {
	const prop = "TimersMonotonic"
	var out []Setting
	r.BeginArray("(st)")
	for r.More() {
		r.BeginStruct()
		base, usec := r.String(), r.Uint64()
		r.EndStruct()
		base = strings.TrimSuffix(strings.TrimSuffix(base, "USec"), "Sec") + "Sec"
		row := Lookup(InTimer, base)
		if row == nil || !strings.HasPrefix(base, "On") {
			return nil, invalidProperty(prop, errText("timer ", quoted(base), " isn't known"))
		}
		s, err := c.set(row, prop, []string{formatUSec(usec)})
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	r.EndArray()
	if err := r.Err(); err != nil {
		return nil, invalidProperty(prop, err)
	}
	return out, nil
}

func setConditions(kindWord string) func(c *Context, u *Unit, r BusReader) ([]Setting, error) {
	return func(c *Context, _ *Unit, r BusReader) ([]Setting, error) {
		prop := kindWord + "s"
		var out []Setting
		r.BeginArray("(sbbs)")
		for r.More() {
			r.BeginStruct()
			cond := Condition{Type: r.String(), Trigger: r.Bool(), Negate: r.Bool(), Param: r.String()}
			r.EndStruct()
			row := Lookup(InUnit, cond.Type)
			if row == nil || !strings.HasPrefix(cond.Type, kindWord) {
				return nil, invalidProperty(prop, errText("condition ", quoted(cond.Type), " isn't known"))
			}
			s, err := c.set(row, prop, []string{cond.format()})
			if err != nil {
				return nil, err
			}
			out = append(out, s...)
		}
		r.EndArray()
		if err := r.Err(); err != nil {
			return nil, invalidProperty(prop, err)
		}
		if len(out) == 0 {
			*conditionList(c.Unit.extra(), kindWord) = nil
			row := Lookup(InUnit, kindWord+"PathExists")
			out = []Setting{{Section: "Unit", Key: row.Name}}
		}
		return out, nil
	}
}

// setPIDs: the processes a scope takes over aren't written to a file.
func setPIDs(_ *Context, u *Unit, r BusReader) ([]Setting, error) {
	s := own(&u.extra().Scope, &u.Defaults().Scope)
	r.BeginArray("u")
	for r.More() {
		pid := r.Uint32()
		if pid > 1<<31-1 {
			return nil, invalidProperty("PIDs", errText("pid is out of range"))
		}
		s.PIDs = append(s.PIDs, pid)
	}
	r.EndArray()
	if err := r.Err(); err != nil {
		return nil, invalidProperty("PIDs", err)
	}
	return nil, nil
}

func setController(_ *Context, u *Unit, r BusReader) ([]Setting, error) {
	name := r.String()
	if err := r.Err(); err != nil {
		return nil, invalidProperty("Controller", err)
	}
	if name != "" && !busNameValid(name) && !uniqueNameValid(name) {
		return nil, invalidProperty("Controller", errText("bus name ", quoted(name), " is not valid"))
	}
	own(&u.extra().Scope, &u.Defaults().Scope).Controller = name
	return nil, nil
}

// setOwner: whom a delegated scope belongs to isn't a directive.
func setOwner(prop string, get func(b *Scope) *string) func(c *Context, u *Unit, r BusReader) ([]Setting, error) {
	return func(_ *Context, u *Unit, r BusReader) ([]Setting, error) {
		name := r.String()
		if err := r.Err(); err != nil {
			return nil, invalidProperty(prop, err)
		}
		if name != "" && !userNameValid(name) {
			return nil, invalidProperty(prop, errText("name ", quoted(name), " is not valid"))
		}
		*get(own(&u.extra().Scope, &u.Defaults().Scope)) = name
		return nil, nil
	}
}

// setAs sets a property by the directive of another name.
func setAs(directive string) func(c *Context, u *Unit, r BusReader) ([]Setting, error) {
	return func(c *Context, u *Unit, r BusReader) ([]Setting, error) {
		row := Lookup(SectionsOf(u.Type), directive)
		texts, err := row.impl.text(r, target{u: u}, 0)
		if err != nil {
			return nil, invalidProperty(directive, err)
		}
		return c.set(row, directive, texts)
	}
}

func uniqueNameValid(s string) bool {
	const longest = 255
	return len(s) > 1 && len(s) <= longest && s[0] == ':' &&
		onlyChars(s[1:], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
}
