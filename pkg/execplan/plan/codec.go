package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
)

// MaxEncoded bounds an encoded plan in bytes. Arguments and environment of a
// program are bounded by the kernel far below.
const MaxEncoded = 16 << 20

// ErrCodec is wrapped by every complaint about bytes that are no plan.
var ErrCodec = errors.New("plan codec")

// The fingerprints of what is encoded.
var (
	planShape    = fingerprint(reflect.TypeFor[Plan]())
	failureShape = fingerprint(reflect.TypeFor[Failure]())
)

func shape(t reflect.Type) uint64 {
	if t == reflect.TypeFor[Plan]() {
		return planShape
	}
	return failureShape
}

// Encode writes v, a pointer to a struct of this package, as bytes.
func Encode[T Plan | Failure](v *T) []byte {
	t := reflect.TypeFor[T]()
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 4096), shape(t))
	return appendValue(b, reflect.ValueOf(v).Elem())
}

// Message is a Failure as it goes through the status pipe: its length in four
// bytes, then what Encode makes of it. One without a status is a notice.
func Message(f *Failure) []byte {
	b := Encode(f)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// NextMessage cuts the first message off b. It gives nil while b holds only a
// part of one.
func NextMessage(b []byte) (f *Failure, rest []byte, err error) {
	const head = 4
	if len(b) < head {
		return nil, b, nil
	}
	n := binary.LittleEndian.Uint32(b)
	if n > MaxFailure {
		return nil, nil, fmt.Errorf("%w: a message of %d bytes", ErrCodec, n)
	}
	if uint32(len(b)-head) < n {
		return nil, b, nil
	}
	f, err = Decode[Failure](b[head : head+n])
	return f, b[head+n:], err
}

// Decode reads what Encode wrote.
func Decode[T Plan | Failure](b []byte) (*T, error) {
	t := reflect.TypeFor[T]()
	if len(b) > MaxEncoded || len(b) < 8 || binary.LittleEndian.Uint64(b) != shape(t) {
		return nil, fmt.Errorf("%w: %d bytes do not start like a %s of this build", ErrCodec, len(b), t.Name())
	}
	v := new(T)
	r := reader{rest: b[8:]}
	r.value(reflect.ValueOf(v).Elem())
	if r.bad || len(r.rest) != 0 {
		return nil, fmt.Errorf("%w: %s is cut or has %d bytes too many", ErrCodec, t.Name(), len(r.rest))
	}
	return v, nil
}

// fingerprint is a hash of the names and kinds of all fields in order.
func fingerprint(t reflect.Type) uint64 {
	h := fnv.New64a()
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		h.Write([]byte{byte(t.Kind())})
		switch t.Kind() {
		case reflect.Struct:
			for i := range t.NumField() {
				h.Write([]byte(t.Field(i).Name))
				walk(t.Field(i).Type)
			}
		case reflect.Slice, reflect.Array, reflect.Pointer:
			walk(t.Elem())
		}
	}
	walk(t)
	return h.Sum64()
}

func appendValue(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.String:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		return append(b, v.String()...)
	case reflect.Slice:
		// nil and empty stay different: some settings tell them apart.
		if v.IsNil() {
			return append(b, 0)
		}
		b = binary.AppendUvarint(b, uint64(v.Len())+1)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(b, v.Bytes()...)
		}
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
		return b
	case reflect.Array:
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
		return b
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return appendValue(append(b, 1), v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			b = appendValue(b, v.Field(i))
		}
		return b
	default:
		// Only reached by a field of a new kind; every test encodes a plan.
		panic("plan codec: " + v.Type().String())
	}
}

type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) fail() { r.bad, r.rest = true, nil }

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) value(v reflect.Value) {
	if r.bad {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		if b := r.take(1); len(b) == 1 {
			v.SetBool(b[0] != 0)
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n := r.uint()
		if v.OverflowUint(n) {
			r.fail()
			return
		}
		v.SetUint(n)
	case reflect.Int32, reflect.Int64:
		n := r.int()
		if v.OverflowInt(n) {
			r.fail()
			return
		}
		v.SetInt(n)
	case reflect.String:
		v.SetString(string(r.take(r.uint())))
	case reflect.Slice:
		r.slice(v)
	case reflect.Array:
		for i := range v.Len() {
			r.value(v.Index(i))
		}
	case reflect.Pointer:
		if b := r.take(1); len(b) == 1 && b[0] != 0 {
			v.Set(reflect.New(v.Type().Elem()))
			r.value(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			r.value(v.Field(i))
		}
	}
}

func (r *reader) slice(v reflect.Value) {
	n := r.uint()
	if n == 0 || r.bad {
		return
	}
	n--
	// Every element takes a byte or more, so no length can ask for more
	// elements than there are bytes.
	if n > uint64(len(r.rest)) {
		r.fail()
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(append(make([]byte, 0, n), r.take(n)...))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
	for i := range int(n) {
		r.value(v.Index(i))
	}
}
