package bus

import (
	"errors"

	"github.com/godbus/dbus/v5"
)

// maxValues bounds what one generic Decode builds: Go values are several
// times larger than their wire form, and the sender chooses the types.
const maxValues = 1 << 18

var errManyValues = errors.New("message: too many values in one argument list")

// Decode reads values of signature sig as Go values, for rare complex
// arguments; hot ones have typed methods.
//
//	y byte   n int16  q uint16  i int32  u uint32  x int64  t uint64
//	d float64  b bool  s string  o ObjectPath  g Signature  v Variant
//	h UnixFD: the descriptor itself, which stays the message's
//	(…)      []any
//	a(…)     [][]any
//	ax       []T for basic types and v; ay is []byte
//	a{sv} a{ss}  maps; other dictionaries []DictEntry, in wire order
//	a of arrays  []any, each element as above
//
// Types are as godbus gives them, except where that needs reflection: Go keeps
// every type made by reflection for ever, and here the sender would choose
// which and how many.
func (d *Decoder) Decode(sig string) ([]any, error) {
	if err := checkSignature(sig); err != nil {
		return nil, err
	}
	var out []any
	for sig != "" {
		var first string
		first, sig = splitType(sig)
		v := d.value(first)
		if d.err != nil {
			return nil, d.err
		}
		out = append(out, v)
	}
	return out, nil
}

// value reads one value of a signature that has been checked.
func (d *Decoder) value(sig string) any {
	if d.values++; d.values > maxValues {
		d.fail(errManyValues)
	}
	if d.depth >= maxDepth {
		d.fail(errDepth)
	}
	if d.err != nil {
		return nil
	}
	switch sig[0] {
	case 'v':
		return d.VariantValue()
	case '(':
		return d.structValue(sig[1 : len(sig)-1])
	case 'a':
		d.depth++
		v := d.arrayValue(sig[1:])
		d.depth--
		return v
	}
	return d.basicValue(sig[0])
}

func (d *Decoder) basicValue(c byte) any {
	switch c {
	case 'y':
		return d.Byte()
	case 'b':
		return d.Bool()
	case 'n':
		return d.Int16()
	case 'q':
		return d.Uint16()
	case 'i':
		return d.Int32()
	case 'u':
		return d.Uint32()
	case 'x':
		return d.Int64()
	case 't':
		return d.Uint64()
	case 'd':
		return d.Double()
	case 's':
		return d.String()
	case 'o':
		return d.ObjectPath()
	case 'g':
		return makeSignature(d.Signature())
	case 'h':
		return UnixFD(d.UnixFD())
	}
	d.fail(errors.New("signature: not a basic type"))
	return nil
}

// VariantValue reads a variant with its value, as Decode would give it.
func (d *Decoder) VariantValue() Variant {
	s := d.Variant()
	if d.err != nil {
		return Variant{}
	}
	d.depth++
	v := d.value(s)
	d.depth--
	if d.err != nil {
		return Variant{}
	}
	return dbus.MakeVariantWithSignature(v, makeSignature(s))
}

func (d *Decoder) structValue(fields string) []any {
	d.depth++
	d.Struct()
	var out []any
	for fields != "" && d.err == nil {
		var first string
		first, fields = splitType(fields)
		out = append(out, d.value(first))
	}
	d.depth--
	return out
}

// arrayValue reads an array whose elements have signature elem.
func (d *Decoder) arrayValue(elem string) any {
	switch elem[0] {
	case 'y':
		return d.ByteArray()
	case 'b':
		return sliceOf(d, 'b', d.Bool)
	case 'n':
		return sliceOf(d, 'n', d.Int16)
	case 'q':
		return sliceOf(d, 'q', d.Uint16)
	case 'i':
		return sliceOf(d, 'i', d.Int32)
	case 'u':
		return sliceOf(d, 'u', d.Uint32)
	case 'x':
		return sliceOf(d, 'x', d.Int64)
	case 't':
		return sliceOf(d, 't', d.Uint64)
	case 'd':
		return sliceOf(d, 'd', d.Double)
	case 's':
		return sliceOf(d, 's', d.String)
	case 'o':
		return sliceOf(d, 'o', d.ObjectPath)
	case 'g':
		return sliceOf(d, 'g', func() Signature { return makeSignature(d.Signature()) })
	case 'h':
		return sliceOf(d, 'h', func() UnixFD { return UnixFD(d.UnixFD()) })
	case 'v':
		return sliceOf(d, 'v', d.VariantValue)
	case '(':
		return sliceOf(d, '(', func() []any { return d.structValue(elem[1 : len(elem)-1]) })
	case '{':
		return d.dictValue(elem)
	}
	return sliceOf(d, 'a', func() any { return d.value(elem) })
}

func sliceOf[T any](d *Decoder, elem byte, read func() T) []T {
	out := []T{}
	for a := d.BeginArray(elem); d.More(a); {
		if d.values++; d.values > maxValues {
			d.fail(errManyValues)
			break
		}
		out = append(out, read())
	}
	return out
}

func (d *Decoder) dictValue(entry string) any {
	switch entry {
	case "{sv}":
		return mapOf(d, d.VariantValue)
	case "{ss}":
		return mapOf(d, d.String)
	}
	value := entry[2 : len(entry)-1]
	return sliceOf(d, '{', func() DictEntry {
		d.Struct()
		return DictEntry{Key: d.basicValue(entry[1]), Value: d.value(value)}
	})
}

// mapOf reads a dictionary with string keys. Of equal keys the last counts.
func mapOf[V any](d *Decoder, read func() V) map[string]V {
	out := map[string]V{}
	for a := d.BeginArray('{'); d.More(a); {
		if d.values++; d.values > maxValues {
			d.fail(errManyValues)
			break
		}
		d.Struct()
		key := d.String()
		out[key] = read()
	}
	return out
}

// makeSignature turns text that has been checked into a godbus Signature.
func makeSignature(s string) Signature {
	sig, err := dbus.ParseSignature(s)
	if err != nil {
		return Signature{}
	}
	return sig
}
