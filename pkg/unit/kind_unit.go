package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// custom is the impl of rows that don't have a field of their own.
type custom struct {
	name     string
	parseFn  func(c *Context, t target, text string) error
	formatFn func(t target) []string
	bus      []formInfo
	writeFn  func(w BusWriter, t target, i int)
	textFn   func(r BusReader, t target, i int) ([]string, error)
}

func (r *custom) kindName() string                              { return r.name }
func (r *custom) parse(c *Context, t target, text string) error { return r.parseFn(c, t, text) }
func (r *custom) format(t target) []string                      { return r.formatFn(t) }
func (r *custom) forms() []formInfo                             { return r.bus }
func (r *custom) write(w BusWriter, t target, i int)            { r.writeFn(w, t, i) }
func (r *custom) text(b BusReader, t target, i int) ([]string, error) {
	texts, err := r.textFn(b, t, i)
	if err == nil {
		err = b.Err()
	}
	return texts, err
}

func customRow(in Sections, name string, impl *custom, doc, example string, opts ...option) *Row {
	r := &Row{Name: name, In: in, Kind: impl.name, Doc: doc, Example: example, impl: impl}
	if len(impl.bus) > 0 {
		r.Prop = name
	}
	for _, o := range opts {
		o(r)
	}
	return r
}

// resolveName expands specifiers in the name of another unit and fills in
// templates: with the unit's own instance, or its prefix if it has none.
func (c *Context) resolveName(word string) (string, error) {
	name, err := c.expandName(word)
	if err != nil {
		return "", err
	}
	return c.fillTemplate(name)
}

// fillTemplate checks a name and makes an instance of a template.
func (c *Context) fillTemplate(name string) (string, error) {
	switch Form(name) {
	case 0:
		return "", errText("unit name ", quoted(name), " is not valid")
	case NameTemplate:
		if c.Unit == nil {
			return name, nil
		}
		prefix, instance, _, _ := SplitName(c.Unit.Name)
		if instance == "" {
			instance = prefix
		}
		full := InstanceOf(name, instance)
		if full == "" {
			return "", errText("template ", quoted(name), " can't take instance ", quoted(instance))
		}
		name = full
	}
	return c.intern(name), nil
}

// depImpl is a list of units that all get one dependency.
func depImpl(d DepType) *custom {
	return &custom{
		name: "list of units",
		parseFn: func(c *Context, t target, text string) error {
			var faults []error
			r := value.WordReader{Rest: text, Flags: value.WordUnquote | value.WordRetainEscape}
			for {
				word, ok, err := r.Next()
				if err != nil {
					return joinErrors(append(faults, err))
				}
				if !ok {
					return joinErrors(faults)
				}
				name, err := c.resolveName(word)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				c.addDep(d, name, c.pos)
			}
		},
		formatFn: func(t target) []string {
			if names := t.u.depNames(d); len(names) > 0 {
				return []string{strings.Join(names, " ")}
			}
			return nil
		},
		bus:     []formInfo{{sig: "as", setSig: "as"}},
		writeFn: func(w BusWriter, t target, _ int) { writeStrings(w, t.u.depNames(d)) },
		textFn: func(r BusReader, _ target, _ int) ([]string, error) {
			names := readStrings(r)
			for _, n := range names {
				if !ValidName(n, NameAny) {
					return nil, errText("unit name ", quoted(n), " is not valid")
				}
			}
			return one(strings.Join(names, " "))
		},
	}
}

// depsIndexed is from how many dependencies on an index is worth its memory.
const depsIndexed = 32

// depKey is what makes two dependencies the same.
type depKey struct {
	kind DepType
	name string
}

// addDep adds a dependency unless the unit has it already. A second origin
// adds nothing to what is known about why.
func (c *Context) addDep(d DepType, name string, pos Pos) {
	u := c.Unit
	if c.deps == nil && len(u.Deps) >= depsIndexed {
		c.deps = make(map[depKey]struct{}, 2*len(u.Deps))
		for i := range u.Deps {
			c.deps[depKey{u.Deps[i].Type, u.Deps[i].Name}] = struct{}{}
		}
	}
	if c.deps != nil {
		key := depKey{d, name}
		if _, have := c.deps[key]; have {
			return
		}
		c.deps[key] = struct{}{}
	} else {
		for i := range u.Deps {
			if u.Deps[i].Type == d && u.Deps[i].Name == name {
				return
			}
		}
	}
	u.Deps = append(u.Deps, Dep{Type: d, Name: name, Origin: pos})
}

func (u *Unit) depNames(d DepType) []string {
	var out []string
	for i := range u.Deps {
		if u.Deps[i].Type == d {
			out = append(out, u.Deps[i].Name)
		}
	}
	return out
}

// mountPathsImpl is RequiresMountsFor= and WantsMountsFor=.
func mountPathsImpl(list func(b *UnitExtra) *[]PathDep) *custom {
	return &custom{
		name: "list of paths",
		parseFn: func(c *Context, t target, text string) error {
			paths, err := words(c, text, value.WordUnquote|value.WordCUnescape, checkAbsolute)
			for _, p := range paths {
				l := list(t.u.extra())
				*l = append(*l, PathDep{Path: p, Origin: c.pos})
			}
			return err
		},
		formatFn: func(t target) []string { return formatWords(pathsOf(*list(t.u.UnitExtra))) },
		bus:      []formInfo{{sig: "as", setSig: "as"}},
		writeFn:  func(w BusWriter, t target, _ int) { writeStrings(w, pathsOf(*list(t.u.UnitExtra))) },
		textFn: func(r BusReader, _ target, _ int) ([]string, error) {
			return assignList(readStrings(r))
		},
	}
}

func pathsOf(list []PathDep) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Path
	}
	return out
}

func conditionList(b *UnitExtra, name string) *[]Condition {
	if strings.HasPrefix(name, "Assert") {
		return &b.Asserts
	}
	return &b.Conditions
}

// conditionImpl is one Condition…= or Assert…=. Empty text drops all
// conditions, whatever their type.
func conditionImpl(name string, path bool) *custom {
	argument := "argument, ! and | in front"
	if path {
		argument = "path, ! and | in front"
	}
	return &custom{
		name: argument,
		parseFn: func(c *Context, t target, text string) error {
			list := conditionList(t.u.extra(), name)
			if text == "" {
				*list = nil
				return nil
			}
			cond := Condition{Type: name}
			if text[0] == '|' {
				cond.Trigger, text = true, text[1:]
			}
			text = trimLeft(text)
			if strings.HasPrefix(text, "!") {
				cond.Negate, text = true, text[1:]
			}
			param, err := c.expand(trimLeft(text))
			if err == nil && path {
				param, err = checkAbsolute(param)
			}
			if err != nil {
				return err
			}
			cond.Param = strings.Clone(param)
			*list = append(*list, cond)
			return nil
		},
		formatFn: func(t target) []string {
			var out []string
			for _, cond := range *conditionList(t.u.UnitExtra, name) {
				if cond.Type == name {
					out = append(out, cond.format())
				}
			}
			return out
		},
	}
}

func (c Condition) format() string {
	s := ""
	if c.Trigger {
		s = "|"
	}
	if c.Negate {
		s += "!"
	}
	return s + escaped(c.Param)
}

// kExitCode is an exit status from 0 to 255, empty text unsets.
var kExitCode = simple("exit status", func(_ *Context, s string) (int16, error) {
	if s == "" {
		return -1, nil
	}
	n, err := value.ParseIntRange(s, 0, 255)
	return int16(n), err
}, func(v int16) string {
	if v < 0 {
		return ""
	}
	return formatInt32(int32(v))
}, form[int16]{sig: "i", write: func(w BusWriter, v *int16) { w.Int32(int32(*v)) },
	read: func(r BusReader, _ *int16) ([]string, error) {
		n := r.Int32()
		if n < 0 {
			return one("")
		}
		return one(formatInt32(n))
	}})

// kDocumentation is a list of URIs.
var kDocumentation = kWords("list of URIs", wordsPlain, func(s string) (string, error) {
	for _, scheme := range [...]string{"http:", "https:", "ftp:", "file:", "info:", "man:"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok && rest != "" && value.TextIsValid(rest) {
			return strings.Clone(s), nil
		}
	}
	return "", errText("URI ", quoted(s), " is not one of http, https, ftp, file, info, man")
})

// kUnitName is the name of one unit, of type t or of any if t is TypeInvalid.
func kUnitName(t Type) *kind[string] {
	return simple("unit", func(c *Context, s string) (string, error) {
		if s == "" {
			return "", nil
		}
		name, err := c.expandName(s)
		switch {
		case err != nil:
			return "", err
		case !ValidName(name, NamePlain|NameInstance):
			return "", errText("unit name ", quoted(name), " is not valid")
		case t != TypeInvalid && TypeOf(name) != t:
			return "", errText("unit ", quoted(name), " is not a ", t.String())
		}
		return c.intern(name), nil
	}, same, form[string]{sig: "s", write: busString.write,
		read: func(r BusReader, _ *string) ([]string, error) { return one(r.String()) }})
}

// kSockets is the list of Sockets=.
var kSockets = listKind("list of sockets", func(c *Context, text string) ([]string, error) {
	return words(c, text, wordsPlain, func(s string) (string, error) {
		name, err := c.resolveName(s)
		if err == nil && TypeOf(name) != TypeSocket {
			err = errText("unit ", quoted(name), " is not a socket")
		}
		return name, err
	})
}, func(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return []string{strings.Join(list, " ")}
})
