package bus

import (
	"fmt"
	"reflect"
)

// Append appends Go values of the types Decode returns, of godbus' types, and
// of structs, slices and maps of those, and returns their signature. It uses
// reflection: for tools and rare replies. A type D-Bus cannot represent is an
// error.
func (e *Encoder) Append(values ...any) (sig string) {
	for _, v := range values {
		s, err := signatureOf(reflect.ValueOf(v), 0)
		if err != nil {
			e.fail(err)
			return sig
		}
		sig += s
		e.Value(s, v)
	}
	return sig
}

// Value appends v as one complete type sig. Structures may be []any or Go
// structs with exported fields in order, dictionaries []DictEntry or maps.
func (e *Encoder) Value(sig string, v any) {
	if err := checkSingle(sig); err != nil {
		e.fail(err)
		return
	}
	if _, raw := v.(UnixFD); v == nil || (raw && sig != "h") {
		e.fail(fmt.Errorf("value %v: not of type %q", v, sig))
		return
	}
	e.value(sig, reflect.ValueOf(v))
}

// VariantOf appends a variant.
func (e *Encoder) VariantOf(v Variant) {
	sig := v.Signature().String()
	e.signature(sig)
	e.Value(sig, v.Value())
}

var (
	variantType   = reflect.TypeFor[Variant]()
	signatureType = reflect.TypeFor[Signature]()
	pathType      = reflect.TypeFor[ObjectPath]()
	fdType        = reflect.TypeFor[UnixFD]()
	dictType      = reflect.TypeFor[DictEntry]()
)

// value appends v under a signature that has been checked.
func (e *Encoder) value(sig string, v reflect.Value) {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	if !v.IsValid() {
		e.fail(fmt.Errorf("value: nil for type %q", sig))
		return
	}
	switch sig[0] {
	case 'v':
		if x, ok := v.Interface().(Variant); ok {
			e.VariantOf(x)
			return
		}
	case '(':
		e.structure(sig[1:len(sig)-1], v)
		return
	case 'a':
		e.array(sig[1:], v)
		return
	default:
		if e.basic(sig[0], v) {
			return
		}
	}
	e.fail(fmt.Errorf("value of Go type %v: not of type %q", v.Type(), sig))
}

// basic appends v as basic type c, or returns false where it has another type.
func (e *Encoder) basic(c byte, v reflect.Value) bool {
	k := v.Kind()
	switch {
	case c == 'y' && k == reflect.Uint8:
		e.Byte(byte(v.Uint()))
	case c == 'b' && k == reflect.Bool:
		e.Bool(v.Bool())
	case c == 'n' && k == reflect.Int16:
		e.Int16(int16(v.Int()))
	case c == 'q' && k == reflect.Uint16:
		e.Uint16(uint16(v.Uint()))
	case c == 'i' && (k == reflect.Int32 || k == reflect.Int) && v.Type() != fdType:
		if int64(int32(v.Int())) != v.Int() {
			return false
		}
		e.Int32(int32(v.Int()))
	case c == 'u' && k == reflect.Uint32:
		e.Uint32(uint32(v.Uint()))
	case c == 'x' && k == reflect.Int64:
		e.Int64(v.Int())
	case c == 't' && k == reflect.Uint64:
		e.Uint64(v.Uint())
	case c == 'd' && k == reflect.Float64:
		e.Double(v.Float())
	case c == 's' && k == reflect.String:
		e.String(v.String())
	case c == 'o' && k == reflect.String:
		e.ObjectPath(ObjectPath(v.String()))
	case c == 'g' && v.Type() == signatureType:
		e.Signature(v.Interface().(Signature).String())
	case c == 'h' && v.Type() == fdType:
		e.UnixFD(int(v.Int()))
	default:
		return false
	}
	return true
}

func (e *Encoder) structure(fields string, v reflect.Value) {
	var at func(int) reflect.Value
	n := 0
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		at, n = v.Index, v.Len()
	case reflect.Struct:
		at, n = v.Field, v.NumField()
	default:
		e.fail(fmt.Errorf("value of Go type %v: not a structure", v.Type()))
		return
	}
	e.Struct()
	i := 0
	for ; fields != "" && e.err == nil; i++ {
		var first string
		first, fields = splitType(fields)
		if i >= n || !at(i).CanInterface() {
			e.fail(fmt.Errorf("value of Go type %v: no field %d for %q", v.Type(), i, first))
			return
		}
		e.value(first, at(i))
	}
	if i != n {
		e.fail(fmt.Errorf("value of Go type %v: %d fields are too many", v.Type(), n))
	}
}

func (e *Encoder) array(elem string, v reflect.Value) {
	if elem[0] == '{' {
		e.dict(elem, v)
		return
	}
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		e.fail(fmt.Errorf("value of Go type %v: not an array", v.Type()))
		return
	}
	m := e.BeginArray(elem[0])
	for i := 0; i < v.Len() && e.err == nil; i++ {
		e.value(elem, v.Index(i))
	}
	e.EndArray(m)
}

func (e *Encoder) dict(entry string, v reflect.Value) {
	key, value := entry[1:2], entry[2:len(entry)-1]
	m := e.BeginArray('{')
	switch {
	case v.Kind() == reflect.Map:
		for it := v.MapRange(); it.Next() && e.err == nil; {
			e.Struct()
			e.value(key, it.Key())
			e.value(value, it.Value())
		}
	case v.Kind() == reflect.Slice && v.Type().Elem() == dictType:
		for i := 0; i < v.Len() && e.err == nil; i++ {
			e.Struct()
			e.value(key, v.Index(i).Field(0))
			e.value(value, v.Index(i).Field(1))
		}
	default:
		e.fail(fmt.Errorf("value of Go type %v: not a dictionary", v.Type()))
	}
	e.EndArray(m)
}

// basicKinds are the signatures of Go kinds that map to one basic type.
var basicKinds = map[reflect.Kind]string{
	reflect.Uint8: "y", reflect.Bool: "b", reflect.Int16: "n", reflect.Uint16: "q",
	reflect.Int32: "i", reflect.Int: "i", reflect.Uint32: "u", reflect.Int64: "x",
	reflect.Uint64: "t", reflect.Float64: "d", reflect.String: "s",
}

// signatureOf deduces the signature of a Go value. Where an element is an
// interface (a []any from Decode), the value inside decides.
func signatureOf(v reflect.Value, depth int) (string, error) {
	if depth > maxDepth {
		return "", errDepth
	}
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	if !v.IsValid() {
		return "", fmt.Errorf("value: nil has no type")
	}
	switch v.Type() {
	case variantType:
		return "v", nil
	case signatureType:
		return "g", nil
	case pathType:
		return "o", nil
	case fdType:
		return "h", nil
	}
	if s, ok := basicKinds[v.Kind()]; ok {
		return s, nil
	}
	return compositeOf(v, depth)
}

func compositeOf(v reflect.Value, depth int) (string, error) {
	switch v.Kind() {
	case reflect.Struct:
		s := ""
		for i := range v.NumField() {
			f, err := signatureOf(v.Field(i), depth+1)
			if err != nil {
				return "", err
			}
			s += f
		}
		return "(" + s + ")", nil
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Interface {
			return anyStructOf(v, depth)
		}
		elem := reflect.Zero(v.Type().Elem())
		if v.Len() > 0 {
			elem = v.Index(0)
		}
		s, err := signatureOf(elem, depth+1)
		return "a" + s, err
	case reflect.Map:
		k, err := signatureOf(reflect.Zero(v.Type().Key()), depth+1)
		if err != nil {
			return "", err
		}
		s, err := signatureOf(reflect.Zero(v.Type().Elem()), depth+1)
		return "a{" + k + s + "}", err
	}
	return "", fmt.Errorf("value of Go type %v: no D-Bus type", v.Type())
}

// anyStructOf is the signature of a []any: a structure.
func anyStructOf(v reflect.Value, depth int) (string, error) {
	s := ""
	for i := range v.Len() {
		f, err := signatureOf(v.Index(i), depth+1)
		if err != nil {
			return "", err
		}
		s += f
	}
	if s == "" {
		return "", fmt.Errorf("structure: no values")
	}
	return "(" + s + ")", nil
}
