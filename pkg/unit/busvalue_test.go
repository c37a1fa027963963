package unit

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// tree is a BusWriter that keeps what is written as values and says its
// signature.
type tree struct {
	stack [][]any
	sigs  []string
	elems []string
}

func newTree() *tree { return &tree{stack: [][]any{nil}, sigs: []string{""}} }

func (t *tree) put(sig string, v any) {
	top := len(t.stack) - 1
	t.stack[top] = append(t.stack[top], v)
	t.sigs[top] += sig
}

func (t *tree) Bool(v bool)     { t.put("b", v) }
func (t *tree) Byte(v byte)     { t.put("y", v) }
func (t *tree) Uint16(v uint16) { t.put("q", v) }
func (t *tree) Int32(v int32)   { t.put("i", v) }
func (t *tree) Uint32(v uint32) { t.put("u", v) }
func (t *tree) Int64(v int64)   { t.put("x", v) }
func (t *tree) Uint64(v uint64) { t.put("t", v) }
func (t *tree) String(v string) { t.put("s", v) }
func (t *tree) Bytes(v []byte)  { t.put("ay", append([]byte{}, v...)) }

func (t *tree) BeginArray(elem string) {
	t.stack, t.sigs, t.elems = append(t.stack, nil), append(t.sigs, ""), append(t.elems, elem)
}

func (t *tree) EndArray() {
	top := len(t.stack) - 1
	items, sig, elem := t.stack[top], t.sigs[top], t.elems[len(t.elems)-1]
	t.stack, t.sigs, t.elems = t.stack[:top], t.sigs[:top], t.elems[:len(t.elems)-1]
	if sig != strings.Repeat(elem, len(items)) {
		panic(fmt.Sprintf("array of %s holds %s", elem, sig))
	}
	t.put("a"+elem, items)
}

func (t *tree) BeginStruct() { t.stack, t.sigs = append(t.stack, nil), append(t.sigs, "") }

func (t *tree) EndStruct() {
	top := len(t.stack) - 1
	items, sig := t.stack[top], t.sigs[top]
	t.stack, t.sigs = t.stack[:top], t.sigs[:top]
	t.put("("+sig+")", items)
}

// signature and value of what was written.
func (t *tree) signature() string { return t.sigs[0] }
func (t *tree) value() any        { return t.stack[0][0] }

// reader reads values; arrays and structs are []any.
type reader struct {
	level [][]any
	err   error
}

func newReader(v any) *reader { return &reader{level: [][]any{{v}}} }

func next[T any](r *reader) T {
	var zero T
	if r.err != nil {
		return zero
	}
	top := len(r.level) - 1
	if len(r.level[top]) == 0 {
		r.err = errors.New("nothing left to read")
		return zero
	}
	v, ok := r.level[top][0].(T)
	if !ok {
		r.err = fmt.Errorf("have %v, want %v", reflect.TypeOf(r.level[top][0]), reflect.TypeOf(zero))
		return zero
	}
	r.level[top] = r.level[top][1:]
	return v
}

func (r *reader) Bool() bool        { return next[bool](r) }
func (r *reader) Byte() byte        { return next[byte](r) }
func (r *reader) Uint16() uint16    { return next[uint16](r) }
func (r *reader) Int32() int32      { return next[int32](r) }
func (r *reader) Uint32() uint32    { return next[uint32](r) }
func (r *reader) Int64() int64      { return next[int64](r) }
func (r *reader) Uint64() uint64    { return next[uint64](r) }
func (r *reader) String() string    { return next[string](r) }
func (r *reader) Bytes() []byte     { return next[[]byte](r) }
func (r *reader) BeginArray(string) { r.level = append(r.level, next[[]any](r)) }
func (r *reader) More() bool        { return r.err == nil && len(r.level[len(r.level)-1]) > 0 }
func (r *reader) BeginStruct()      { r.level = append(r.level, next[[]any](r)) }
func (r *reader) EndStruct()        { r.level = r.level[:len(r.level)-1] }
func (r *reader) EndArray()         { r.level = r.level[:len(r.level)-1] }
func (r *reader) Err() error        { return r.err }
