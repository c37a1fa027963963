package unit

import (
	"slices"
	"strings"
)

// File is the text of a fragment or drop-in and where it is from.
type File struct {
	Path string
	Text string
}

// Link is a symlink in a .wants/, .requires/ or .upholds/ directory that
// gives the unit a dependency.
type Link struct {
	Path string
	Type DepType
	Name string
}

// Source is everything that defines one unit.
type Source struct {
	Name     string
	Names    []string // aliases; nil is Name alone
	Fragment *File    // nil if there is none
	DropIns  []File   // in the order they apply
	Links    []Link
	// Optional: the unit may exist without a fragment, as devices, slices and
	// what the kernel mounted do.
	Optional  bool
	Transient bool
	// SkipInstall passes over [Install], which a manager has no use for.
	SkipInstall bool
}

// Load reads a unit from the text of its files: the fragment, then links,
// then drop-ins, each adding to or replacing what came before. It never
// fails; what is wrong is in LoadState, LoadError and the messages.
func Load(host *Host, d *Defaults, src *Source) (*Unit, []Message) {
	if d == nil {
		d = builtinDefaults
	}
	u := newShared(src.Name, d)
	c := &Context{Host: host, Unit: u}
	if len(src.Names) > 0 {
		u.Names = src.Names
	}
	u.Transient = src.Transient
	c.skipInstall = src.SkipInstall
	if f := src.Fragment; f != nil {
		u.FragmentPath = f.Path
		u.LoadState = StateLoaded
		c.file, c.pos = f.Path, Pos{}
		c.read(f.Text, SectionsOf(u.Type))
	}
	for i, l := range src.Links {
		u.extra().Links = append(u.Links, l.Path)
		c.file = l.Path
		name, err := c.fillTemplate(l.Name)
		if err != nil {
			c.say(LevelWarning, err.Error())
			continue
		}
		c.addDep(l.Type, name, Pos{File: PosLink, Line: uint32(i + 1)})
	}
	if len(src.DropIns) > 0 {
		u.extra().DropInPaths = make([]string, 0, len(src.DropIns))
	}
	for i := range src.DropIns {
		if i+1 >= int(PosMaxDropIn) {
			break
		}
		f := &src.DropIns[i]
		u.DropInPaths = append(u.DropInPaths, f.Path)
		c.file, c.pos = f.Path, Pos{File: uint16(i + 1)}
		c.read(f.Text, SectionsOf(u.Type))
	}
	if src.Fragment == nil && !src.Optional && !src.Transient {
		u.LoadState = StateNotFound
		u.extra().LoadError = &LoadError{ErrNoSuchUnit, "Unit " + u.Name + " not found."}
		return u, c.finishMessages()
	}
	u.LoadState = StateLoaded
	if c.brokenBy == 0 {
		c.finish()
	}
	u.Deps = slices.Clone(u.Deps) // made by appending: up to half of it would stay empty
	switch {
	case c.brokenBy != 0:
		u.failLoad(loadErrors[c.brokenBy])
	case u.Type == TypeSlice && !ValidSlice(u.Name):
		u.failLoad(loadErrors[FaultEncoding])
	}
	return u, c.finishMessages()
}

func (u *Unit) failLoad(e LoadError) {
	u.LoadState = StateError
	u.extra().LoadError = &LoadError{e.Name, "Unit " + u.Name +
		" failed to load properly, please adjust/correct and reload service manager: " + e.Message}
}

// ReadManagerConfig applies system.conf or user.conf and drop-ins to m.
func ReadManagerConfig(host *Host, m *ManagerConfig, files []File) []Message {
	c := &Context{Host: host, Manager: m}
	for i := range files {
		c.file, c.pos = files[i].Path, Pos{}
		c.read(files[i].Text, InManager)
	}
	if host != nil && host.TasksTotal > 0 {
		m.ResolveShares(host.TasksTotal)
	}
	return c.finishMessages()
}

func (c *Context) finishMessages() []Message {
	if c.dropped > 0 {
		c.Messages = append(c.Messages, Message{Level: LevelWarning, File: c.Messages[0].File,
			Text: formatUint32(uint32(c.dropped)) + " more messages are left out"})
	}
	return c.Messages
}

// sectionState is which section lines are in, looked up once per section.
type sectionState struct {
	name string
	bit  Sections
}

// read applies the lines of one file.
func (c *Context) read(text string, allowed Sections) {
	if len(text) > FileMax {
		c.say(LevelError, "File is larger than 16 MiB, ignoring it.")
		c.broken(FaultLength)
		return
	}
	lex := NewLexer(text)
	var s sectionState
	c.stop = false
	for !c.stop {
		line, ok := lex.Next()
		if !ok {
			return
		}
		c.pos.Line = line.Number
		switch {
		case line.Fatal != 0:
			c.say(LevelError, line.Fault)
			c.broken(line.Fatal)
		case line.Fault != "":
			c.warn(line.Fault)
		case line.Key == "":
			s = c.enter(line.Section, allowed)
		case s.bit != 0:
			c.apply(s.bit, line)
		}
	}
}

// enter starts a section, or says why it is skipped.
func (c *Context) enter(name string, allowed Sections) sectionState {
	bit := SectionFromString(name) & allowed
	if bit == InInstall && c.skipInstall {
		return sectionState{name: name}
	}
	if bit == 0 && !strings.HasPrefix(name, "X-") {
		if SectionFromString(name) != 0 && c.Unit != nil {
			c.warn("Unknown section '", name, "' in a unit of type ", c.Unit.Type.String(), ", ignoring.")
		} else {
			c.warn("Unknown section '", printable(name), "', ignoring.")
		}
	}
	return sectionState{name: name, bit: bit}
}

// apply looks up the directive of a line and assigns to it.
func (c *Context) apply(section Sections, line Line) {
	row := Lookup(section, line.Key)
	if row != nil {
		c.assign(row, line.Value)
		return
	}
	if strings.HasPrefix(line.Key, "X-") {
		return
	}
	text := "Unknown key '" + printable(line.Key) + "' in section [" + line.Section + "], ignoring."
	if near := Suggest(section, line.Key); near != "" {
		text += " Did you mean " + near + "=?"
	} else if other := sectionOf(line.Key); other != "" {
		text += " It belongs into section [" + other + "]."
	}
	c.say(LevelWarning, text)
}

// sectionOf names a section that has the directive.
func sectionOf(key string) string {
	if r := byName[key]; r != nil && r.In != InManager {
		return r.In.Names()[0]
	}
	return ""
}

// broken notes that the fragment can't be read; a broken drop-in only loses
// itself.
func (c *Context) broken(kind FaultKind) {
	if c.pos.File == 0 && c.brokenBy == 0 {
		c.brokenBy = kind
	}
}

// fail notes the first reason why the unit can't be used.
func (c *Context) fail(reason string) {
	if c.badText == "" {
		m := Message{File: c.file, Line: c.pos.Line, Text: reason}
		c.badText = m.String()
	}
}

func printable(s string) string {
	q := quoted(s)
	return q[1 : len(q)-1]
}
