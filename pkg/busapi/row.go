package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/unit"
)

// writer lets the rows of pkg/unit write into an Encoder.
type writer struct {
	e     *bus.Encoder
	marks []bus.ArrayMark
}

// into makes w write to e. The Server keeps one: everything is encoded on the loop, and one per property would be garbage.
func (w *writer) into(e *bus.Encoder) *writer {
	w.e, w.marks = e, w.marks[:0]
	return w
}

func (w *writer) Bool(v bool)     { w.e.Bool(v) }
func (w *writer) Byte(v byte)     { w.e.Byte(v) }
func (w *writer) Uint16(v uint16) { w.e.Uint16(v) }
func (w *writer) Int32(v int32)   { w.e.Int32(v) }
func (w *writer) Uint32(v uint32) { w.e.Uint32(v) }
func (w *writer) Int64(v int64)   { w.e.Int64(v) }
func (w *writer) Uint64(v uint64) { w.e.Uint64(v) }
func (w *writer) String(v string) { w.e.String(v) }
func (w *writer) Bytes(v []byte)  { w.e.ByteArray(v) }
func (w *writer) BeginStruct()    { w.e.Struct() }
func (w *writer) EndStruct()      {}

func (w *writer) BeginArray(elem string) { w.marks = append(w.marks, w.e.BeginArray(elem[0])) }

func (w *writer) EndArray() {
	last := len(w.marks) - 1
	w.e.EndArray(w.marks[last])
	w.marks = w.marks[:last]
}

// reader lets the rows read a client's value.
type reader struct {
	d      *bus.Decoder
	arrays []bus.ArrayReader
}

func (r *reader) Bool() bool     { return r.d.Bool() }
func (r *reader) Byte() byte     { return r.d.Byte() }
func (r *reader) Uint16() uint16 { return r.d.Uint16() }
func (r *reader) Int32() int32   { return r.d.Int32() }
func (r *reader) Uint32() uint32 { return r.d.Uint32() }
func (r *reader) Int64() int64   { return r.d.Int64() }
func (r *reader) Uint64() uint64 { return r.d.Uint64() }
func (r *reader) String() string { return r.d.String() }
func (r *reader) Bytes() []byte  { return r.d.ByteArray() }
func (r *reader) BeginStruct()   { r.d.Struct() }
func (r *reader) EndStruct()     {}
func (r *reader) Err() error     { return r.d.Err() }

func (r *reader) BeginArray(elem string) { r.arrays = append(r.arrays, r.d.BeginArray(elem[0])) }
func (r *reader) More() bool             { return r.d.Err() == nil && r.d.More(r.arrays[len(r.arrays)-1]) }
func (r *reader) EndArray()              { r.arrays = r.arrays[:len(r.arrays)-1] }

func emitsOf(e unit.Emits) bus.Emits {
	switch e {
	case unit.EmitsTrue:
		return bus.EmitsChange
	case unit.EmitsFalse:
		return bus.EmitsNothing
	case unit.Invalidates:
		return bus.EmitsInvalidates
	}
	return bus.EmitsConst
}

// rowProperties derives the properties of the settings in a section. Those that have a run-time row of the same name are left to it.
func rowProperties(section unit.Sections, have []property) (list []property) {
	taken := map[string]bool{}
	for _, p := range have {
		taken[p.name] = true
	}
	for _, hidden := range []bool{false, true} {
		for _, p := range unit.SectionProperties(section, hidden) {
			if p.Sig == "" || taken[p.Name] {
				continue
			}
			taken[p.Name] = true
			list = append(list, property{name: p.Name, sig: p.Sig, emits: emitsOf(p.Emits), hidden: hidden, block: p.Row.In&unit.InUnit == 0 && p.Row.In != section,
				unit: func(s *Server, u *engine.Unit, e *bus.Encoder) { p.Write(s.rows.into(e), u.Config()) }})
		}
	}
	return list
}
