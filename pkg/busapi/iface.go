package busapi

import (
	"sort"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
)

// iface is one D-Bus interface as a table.
type iface struct {
	name    string
	methods []method
	props   []property
	signals []bus.Signal

	byMethod map[string]*method
	byProp   map[string]*property

	emitting     []*property // those whose value PropertiesChanged carries
	invalidating []string    // those that it only names
	runs         []run       // of properties that are kept encoded, see settings
}

// method is one row. In and Out are signatures; names are "in…,out…" of the arguments for introspection.
type method struct {
	name, in, out string
	args          []string
	run           func(k *call)
	privileged    bool
	noReply       bool
}

// property is one row. Exactly one of the getters is set.
type property struct {
	name, sig string
	entry     []byte // both as they stand in a dictionary
	emits     bus.Emits
	hidden    bool // answers to Get, but is not introspected or in GetAll
	block     bool // comes from a block that types share, see settings
	manager   func(s *Server, e *bus.Encoder)
	unit      func(s *Server, u *engine.Unit, e *bus.Encoder)
	job       func(s *Server, j *engine.Job, e *bus.Encoder)
	set       func(k *call, d *bus.Decoder) error // nil: read-only
}

// finish sorts the tables as introspection shows them and makes the indexes.
func (i *iface) finish() *iface {
	sort.SliceStable(i.methods, func(a, b int) bool { return i.methods[a].name < i.methods[b].name })
	i.byMethod, i.byProp = make(map[string]*method, len(i.methods)), make(map[string]*property, len(i.props))
	for n := range i.methods {
		i.byMethod[i.methods[n].name] = &i.methods[n]
	}
	i.findRuns()
	for n := range i.props {
		p := &i.props[n]
		i.byProp[p.name] = p
		p.entry = bus.PrepareEntry(p.name, p.sig)
		switch {
		case p.hidden:
		case p.emits == bus.EmitsChange:
			i.emitting = append(i.emitting, p)
		case p.emits == bus.EmitsInvalidates:
			i.invalidating = append(i.invalidating, p.name)
		}
	}
	return i
}

// describe gives the interface for introspection.
func (i *iface) describe() bus.Interface {
	out := bus.Interface{Name: i.name, Signals: i.signals}
	for _, m := range i.methods {
		in, o := splitArgs(m.in, m.args, 0)
		outArgs, _ := splitArgs(m.out, m.args, o)
		out.Methods = append(out.Methods, bus.Method{Name: m.name, In: in, Out: outArgs, Privileged: m.privileged, NoReply: m.noReply})
	}
	for _, p := range i.props {
		if !p.hidden {
			out.Properties = append(out.Properties, bus.Property{Name: p.name, Type: p.sig, Writable: p.set != nil, Emits: p.emits})
		}
	}
	return out
}

// splitArgs pairs the complete types of a signature with names from n on.
func splitArgs(sig string, names []string, n int) (args []bus.Arg, next int) {
	for sig != "" {
		one := firstType(sig)
		name := ""
		if n < len(names) {
			name = names[n]
		}
		args = append(args, bus.Arg{Type: one, Name: name})
		sig = sig[len(one):]
		n++
	}
	return args, n
}

// firstType cuts the first complete type off a valid signature.
func firstType(sig string) string {
	i, depth := 0, 0
	for ; i < len(sig); i++ {
		switch sig[i] {
		case 'a':
			continue
		case '(', '{':
			depth++
			continue
		case ')', '}':
			depth--
		}
		if depth == 0 {
			return sig[:i+1]
		}
	}
	return sig
}
