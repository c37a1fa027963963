package bus

import "strings"

// Interface describes a D-Bus interface for introspection.
type Interface struct {
	Name       string
	Methods    []Method
	Signals    []Signal
	Properties []Property
}

// Method describes a method.
type Method struct {
	Name       string
	In, Out    []Arg
	Deprecated bool
	// Privileged marks what sd-bus calls privileged: the caller needs
	// authorization, and buses may not relay it for others.
	Privileged bool
	// NoReply marks methods that are never answered.
	NoReply bool
}

// Arg is an argument: one complete type and a name, which may be empty.
type Arg struct {
	Type string
	Name string
}

// Signal describes a signal.
type Signal struct {
	Name       string
	Args       []Arg
	Deprecated bool
}

// Emits is how changes of a property are announced.
type Emits byte

// Values of org.freedesktop.DBus.Property.EmitsChangedSignal.
const (
	EmitsChange      Emits = iota // PropertiesChanged carries the value
	EmitsInvalidates              // PropertiesChanged carries the name only
	EmitsConst                    // never changes
	EmitsNothing                  // changes unannounced
)

// String is the annotation's value.
func (e Emits) String() string {
	switch e {
	case EmitsInvalidates:
		return "invalidates"
	case EmitsConst:
		return "const"
	case EmitsNothing:
		return "false"
	}
	return "true"
}

// Property describes a property.
type Property struct {
	Name       string
	Type       string
	Writable   bool
	Emits      Emits
	Deprecated bool
	// Explicit properties are left out of GetAll.
	Explicit bool
}

const introspectHead = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node>
`

// StandardInterfaces are those every object has.
var StandardInterfaces = []Interface{
	{Name: "org.freedesktop.DBus.Peer", Methods: []Method{
		{Name: "Ping"},
		{Name: "GetMachineId", Out: []Arg{{"s", "machine_uuid"}}},
	}},
	{Name: "org.freedesktop.DBus.Introspectable", Methods: []Method{
		{Name: "Introspect", Out: []Arg{{"s", "xml_data"}}},
	}},
	{Name: "org.freedesktop.DBus.Properties", Methods: []Method{
		{Name: "Get", In: []Arg{{"s", "interface_name"}, {"s", "property_name"}}, Out: []Arg{{"v", "value"}}},
		{Name: "GetAll", In: []Arg{{"s", "interface_name"}}, Out: []Arg{{"a{sv}", "props"}}},
		{Name: "Set", In: []Arg{{"s", "interface_name"}, {"s", "property_name"}, {"v", "value"}}},
	}, Signals: []Signal{
		{Name: "PropertiesChanged", Args: []Arg{{"s", "interface_name"}, {"a{sv}", "changed_properties"}, {"as", "invalidated_properties"}}},
	}},
}

// Introspection is the answer to org.freedesktop.DBus.Introspectable.Introspect
// for an object with these interfaces, to which the standard ones are added,
// and these child nodes (one path element each).
func Introspection(interfaces []Interface, children []string) string {
	var x xmlWriter
	x.b.WriteString(introspectHead)
	for _, list := range [][]Interface{StandardInterfaces, interfaces} {
		for i := range list {
			x.iface(&list[i])
		}
	}
	for _, c := range children {
		x.open(1, "node", "name", c)
		x.end(true, "", 0)
	}
	x.b.WriteString("</node>\n")
	return x.b.String()
}

type xmlWriter struct {
	b strings.Builder
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// open writes an element's start up to its attributes; empty ones are left out.
func (x *xmlWriter) open(depth int, element string, attrs ...string) {
	x.b.WriteString(strings.Repeat(" ", depth) + "<" + element)
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			x.b.WriteString(" " + attrs[i] + `="` + xmlEscaper.Replace(attrs[i+1]) + `"`)
		}
	}
}

// end closes what open left open: as an empty element, or for content.
func (x *xmlWriter) end(empty bool, element string, depth int) {
	switch {
	case empty:
		x.b.WriteString("/>\n")
	case element == "":
		x.b.WriteString(">\n")
	default:
		x.b.WriteString(strings.Repeat(" ", depth) + "</" + element + ">\n")
	}
}

func (x *xmlWriter) iface(i *Interface) {
	x.open(1, "interface", "name", i.Name)
	x.end(false, "", 0)
	for _, m := range i.Methods {
		notes := annotations(m.Deprecated, m.Privileged, false)
		if m.NoReply {
			notes = append(notes, [2]string{"org.freedesktop.DBus.Method.NoReply", "true"})
		}
		x.member("method", m.Name, m.In, "in", m.Out, notes)
	}
	for _, p := range i.Properties {
		x.property(p)
	}
	for _, s := range i.Signals {
		x.member("signal", s.Name, s.Args, "", nil, annotations(s.Deprecated, false, false))
	}
	x.end(false, "interface", 1)
}

func (x *xmlWriter) member(element, name string, in []Arg, direction string, out []Arg, notes [][2]string) {
	x.open(2, element, "name", name)
	if len(in)+len(out)+len(notes) == 0 {
		x.end(true, "", 0)
		return
	}
	x.end(false, "", 0)
	for _, a := range in {
		x.open(3, "arg", "type", a.Type, "name", a.Name, "direction", direction)
		x.end(true, "", 0)
	}
	for _, a := range out {
		x.open(3, "arg", "type", a.Type, "name", a.Name, "direction", "out")
		x.end(true, "", 0)
	}
	x.notes(notes)
	x.end(false, element, 2)
}

func (x *xmlWriter) property(p Property) {
	access := "read"
	if p.Writable {
		access = "readwrite"
	}
	notes := annotations(p.Deprecated, false, p.Explicit)
	if p.Emits != EmitsChange {
		notes = append(notes, [2]string{"org.freedesktop.DBus.Property.EmitsChangedSignal", p.Emits.String()})
	}
	x.open(2, "property", "name", p.Name, "type", p.Type, "access", access)
	if len(notes) == 0 {
		x.end(true, "", 0)
		return
	}
	x.end(false, "", 0)
	x.notes(notes)
	x.end(false, "property", 2)
}

func (x *xmlWriter) notes(notes [][2]string) {
	for _, n := range notes {
		x.open(3, "annotation", "name", n[0], "value", n[1])
		x.end(true, "", 0)
	}
}

func annotations(deprecated, privileged, explicit bool) (notes [][2]string) {
	if deprecated {
		notes = append(notes, [2]string{"org.freedesktop.DBus.Deprecated", "true"})
	}
	if privileged {
		notes = append(notes, [2]string{"org.freedesktop.systemd1.Privileged", "true"})
	}
	if explicit {
		notes = append(notes, [2]string{"org.freedesktop.systemd1.Explicit", "true"})
	}
	return notes
}
