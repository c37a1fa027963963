package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

var (
	errShort   = errors.New("message: ends inside a value")
	errPadding = errors.New("message: padding is not zero")
	errDepth   = errors.New("message: containers nested too deeply")
)

// Decoder reads values from a message body in either byte order.
//
// Reads never panic. After the first error, kept in Err, every read returns
// the zero value and More returns false, so a caller may read a whole
// argument list and check once at the end.
type Decoder struct {
	data  []byte
	pos   int
	end   int // exclusive bound of the innermost open array
	depth int
	big   bool
	fds   []int
	// values counts what the generic Decode has built; see maxValues.
	values int
	err    error
}

// ArrayReader is an open array; see Decoder.BeginArray.
type ArrayReader struct {
	end, outer int
}

// NewDecoder reads body in little-endian order (big: big-endian), with fds as
// the descriptors that type h refers to.
func NewDecoder(body []byte, big bool, fds []int) Decoder {
	return Decoder{data: body, end: len(body), big: big, fds: fds}
}

// Err is the first error, or nil.
func (d *Decoder) Err() error { return d.err }

// Rest is the number of bytes not read yet.
func (d *Decoder) Rest() int { return len(d.data) - d.pos }

// Done returns Err, or an error when bytes are left over.
func (d *Decoder) Done() error {
	if d.err == nil && d.pos != len(d.data) {
		d.fail(fmt.Errorf("message: %d bytes after the last argument", len(d.data)-d.pos))
	}
	return d.err
}

func (d *Decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// take aligns to align and returns the next n bytes, or nil after an error.
func (d *Decoder) take(align, n int) []byte {
	d.align(align)
	if d.err != nil {
		return nil
	}
	if n < 0 || n > d.end-d.pos {
		d.fail(errShort)
		return nil
	}
	b := d.data[d.pos : d.pos+n]
	d.pos += n
	return b
}

func (d *Decoder) align(n int) {
	if d.err != nil {
		return
	}
	for d.pos&(n-1) != 0 {
		if d.pos >= d.end {
			d.fail(errShort)
			return
		}
		if d.data[d.pos] != 0 {
			d.fail(errPadding)
			return
		}
		d.pos++
	}
}

// Byte reads type y.
func (d *Decoder) Byte() byte {
	if b := d.take(1, 1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads type b, which must be 0 or 1.
func (d *Decoder) Bool() bool {
	v := d.Uint32()
	if v > 1 {
		d.fail(fmt.Errorf("boolean: value %d", v))
	}
	return v == 1
}

// Int16 reads type n.
func (d *Decoder) Int16() int16 { return int16(d.Uint16()) }

// Uint16 reads type q.
func (d *Decoder) Uint16() uint16 {
	b := d.take(2, 2)
	if b == nil {
		return 0
	}
	if d.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

// Int32 reads type i.
func (d *Decoder) Int32() int32 { return int32(d.Uint32()) }

// Uint32 reads type u.
func (d *Decoder) Uint32() uint32 {
	b := d.take(4, 4)
	if b == nil {
		return 0
	}
	if d.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

// Int64 reads type x.
func (d *Decoder) Int64() int64 { return int64(d.Uint64()) }

// Uint64 reads type t.
func (d *Decoder) Uint64() uint64 {
	b := d.take(8, 8)
	if b == nil {
		return 0
	}
	if d.big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

// Double reads type d.
func (d *Decoder) Double() float64 { return math.Float64frombits(d.Uint64()) }

// String reads type s.
func (d *Decoder) String() string { return string(d.stringBytes()) }

// stringBytes reads a string without copying it.
func (d *Decoder) stringBytes() []byte {
	n := d.Uint32()
	if uint64(n) >= uint64(d.end-d.pos) { // one more byte for the NUL
		d.fail(errShort)
		return nil
	}
	b := d.take(1, int(n)+1)
	if b == nil {
		return nil
	}
	if err := checkText(b); err != nil {
		d.fail(err)
		return nil
	}
	return b[:n]
}

// checkText checks a string with its terminator.
func checkText(b []byte) error {
	n := len(b) - 1
	if b[n] != 0 {
		return errors.New("string: not terminated")
	}
	for _, c := range b[:n] {
		if c == 0 {
			return errors.New("string: contains NUL")
		}
	}
	if !utf8.Valid(b[:n]) {
		return errors.New("string: not UTF-8")
	}
	return nil
}

// ObjectPath reads type o.
func (d *Decoder) ObjectPath() ObjectPath {
	s := d.String()
	if d.err == nil && !ValidPath(s) {
		d.fail(fmt.Errorf("object path %q: not valid", clip(s)))
		return ""
	}
	return ObjectPath(s)
}

// Signature reads type g, as text.
func (d *Decoder) Signature() string {
	n := int(d.Byte())
	b := d.take(1, n+1)
	if b == nil {
		return ""
	}
	if b[n] != 0 {
		d.fail(errors.New("signature: not terminated"))
		return ""
	}
	s := internSignature(b[:n])
	if err := checkSignature(s); err != nil {
		d.fail(err)
		return ""
	}
	return s
}

// UnixFD reads type h and returns the descriptor it refers to. It stays the
// property of the message; see Message.TakeFD.
func (d *Decoder) UnixFD() int {
	i := d.fdIndex()
	if d.err != nil {
		return -1
	}
	return d.fds[i]
}

// fdIndex reads type h as an index into fds and checks it.
func (d *Decoder) fdIndex() int {
	i := d.Uint32()
	if d.err == nil && uint64(i) >= uint64(len(d.fds)) {
		d.fail(fmt.Errorf("file descriptor: index %d of %d", i, len(d.fds)))
	}
	if d.err != nil {
		return -1
	}
	return int(i)
}

// BeginArray opens an array whose element type begins with elem ('s' for as,
// '(' for a(…), '{' for a{…}):
//
//	for a := d.BeginArray('s'); d.More(a); {
//		names = append(names, d.String())
//	}
func (d *Decoder) BeginArray(elem byte) ArrayReader {
	n := d.Uint32()
	if n > MaxArrayBytes {
		d.fail(errArrayLong)
	}
	d.align(alignOf(elem))
	if d.err == nil && int(n) > d.end-d.pos {
		d.fail(errShort)
	}
	if size := fixedSize(elem); d.err == nil && size > 1 && int(n)%size != 0 {
		d.fail(fmt.Errorf("array: %d bytes are not whole elements", n))
	}
	a := ArrayReader{end: d.pos + int(n), outer: d.end}
	if d.err == nil {
		d.end = a.end
	}
	return a
}

// More reports whether the array has a further element. When it has not, the
// array is closed: call it until it says no, or SkipArray to leave early.
func (d *Decoder) More(a ArrayReader) bool {
	if d.err != nil {
		return false
	}
	if d.pos < a.end {
		return true
	}
	d.end = a.outer
	return false
}

// SkipArray leaves an array before its end; what is left in it is not checked.
func (d *Decoder) SkipArray(a ArrayReader) {
	if d.err == nil {
		d.pos, d.end = a.end, a.outer
	}
}

// Struct begins a structure or a dictionary entry.
func (d *Decoder) Struct() { d.align(8) }

// Variant begins a variant and returns the signature of its value, which the
// caller reads next.
func (d *Decoder) Variant() string {
	s := d.Signature()
	if d.err != nil {
		return ""
	}
	if err := checkSingle(s); err != nil {
		d.fail(err)
		return ""
	}
	return s
}

// ByteArray reads type ay, as a copy.
func (d *Decoder) ByteArray() []byte {
	a := d.BeginArray('y')
	if d.err != nil {
		return nil
	}
	b := append([]byte{}, d.data[d.pos:a.end]...)
	d.SkipArray(a)
	return b
}

// Strings reads type as.
func (d *Decoder) Strings() []string {
	v := []string{}
	for a := d.BeginArray('s'); d.More(a); {
		v = append(v, d.String())
	}
	return v
}

// Skip passes over values of signature sig, checking them.
func (d *Decoder) Skip(sig string) {
	for sig != "" && d.err == nil {
		var first string
		first, sig = splitType(sig)
		d.skipOne(first)
	}
}

// skipOne passes over one value. The signature has been checked before.
func (d *Decoder) skipOne(sig string) {
	if d.depth >= maxDepth {
		d.fail(errDepth)
		return
	}
	switch sig[0] {
	case 'b':
		d.Bool()
	case 's':
		d.stringBytes()
	case 'o':
		d.ObjectPath()
	case 'g':
		d.Signature()
	case 'h':
		d.fdIndex()
	case 'v':
		d.depth++
		if s := d.Variant(); d.err == nil {
			d.skipOne(s)
		}
		d.depth--
	case '(':
		d.depth++
		d.Struct()
		d.Skip(sig[1 : len(sig)-1])
		d.depth--
	case '{':
		d.Struct()
		d.Skip(sig[1 : len(sig)-1])
	case 'a':
		d.skipElements(sig[1:])
	default:
		n := fixedSize(sig[0])
		d.take(n, n)
	}
}

func (d *Decoder) skipElements(elem string) {
	d.depth++
	a := d.BeginArray(elem[0])
	if fixedSize(elem[0]) > 0 && elem[0] != 'b' && elem[0] != 'h' {
		d.SkipArray(a)
	} else {
		for d.More(a) {
			d.skipOne(elem)
		}
	}
	d.depth--
}

// ValidateBody checks that body holds exactly the values of signature sig.
func ValidateBody(sig string, body []byte, big bool, fds []int) error {
	if err := checkSignature(sig); err != nil {
		return err
	}
	d := NewDecoder(body, big, fds)
	d.Skip(sig)
	return d.Done()
}

// signatures holds the texts that occur all the time, so that reading a
// variant does not allocate. It is never written after start-up.
var signatures = func() map[string]string {
	m := map[string]string{}
	for _, s := range strings.Fields("y b n q i u x t d s o g h v as ao ay au at a(ss) a(sv) a{sv} a{ss} a(sasb) a(st) ss ssa(sv)a(sa(sv)) sba(sv) sa{sv}as") {
		m[s] = s
	}
	return m
}()

func internSignature(b []byte) string {
	if s, ok := signatures[string(b)]; ok {
		return s
	}
	return string(b)
}

// clip shortens foreign text for an error message.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
