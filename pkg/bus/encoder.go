package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Encoder appends values in little-endian wire form. The zero value is ready;
// Reset keeps its buffer, so one Encoder serves any number of messages
// without allocating.
//
// The caller writes values in the order of the signature it will announce:
// the Encoder aligns, but does not know the signature. ValidateBody checks
// the two against each other, for tests.
//
// Errors are kept and returned by Err; after the first one further output is
// of no use.
type Encoder struct {
	buf []byte
	// base is the offset in buf that alignment counts from: 0 for a body,
	// the start of the message when a header is appended to a queue.
	base int
	fds  []int
	err  error
}

// ArrayMark remembers an open array; EndArray closes it.
type ArrayMark struct {
	length int // offset of the length field
	start  int // offset of the first element
}

var errArrayLong = errors.New("array: longer than 64 MiB")

// Reset forgets all content and errors and keeps the buffer.
func (e *Encoder) Reset() {
	if cap(e.buf) > bufferMax {
		e.buf = nil
	}
	e.buf, e.base, e.fds, e.err = e.buf[:0], 0, e.fds[:0], nil
}

// Shrink gives up a buffer that is larger than most messages need. It may be
// called between messages.
func (e *Encoder) Shrink() {
	if cap(e.buf) > bufferKept {
		*e = Encoder{}
	}
}

// Large reports whether Shrink would give up something.
func (e *Encoder) Large() bool { return cap(e.buf) > bufferKept }

// The largest buffers, in bytes, that Reset and Shrink keep: a list of ten
// thousand units takes megabytes, and is asked for either now and then or
// every few seconds.
const (
	bufferMax  = 4 << 20
	bufferKept = 256 << 10
)

// Grow makes room for n more bytes at once, for content whose size is about
// known and large.
func (e *Encoder) Grow(n int) { e.buf = slices.Grow(e.buf, n) }

// Bytes is the content so far. It is valid until the next append or Reset.
func (e *Encoder) Bytes() []byte { return e.buf[e.base:] }

// FDs are the descriptors UnixFD was called with, in index order.
func (e *Encoder) FDs() []int { return e.fds }

// Len is the number of bytes so far.
func (e *Encoder) Len() int { return len(e.buf) - e.base }

// Err is the first error, or nil.
func (e *Encoder) Err() error { return e.err }

func (e *Encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// align pads with zeros to a multiple of n, a power of two.
func (e *Encoder) align(n int) {
	if over := (len(e.buf) - e.base) & (n - 1); over != 0 {
		e.buf = append(e.buf, zeros[:n-over]...)
	}
}

var zeros [8]byte

// Byte appends type y.
func (e *Encoder) Byte(v byte) { e.buf = append(e.buf, v) }

// Bool appends type b.
func (e *Encoder) Bool(v bool) {
	var u uint32
	if v {
		u = 1
	}
	e.Uint32(u)
}

// Int16 appends type n.
func (e *Encoder) Int16(v int16) { e.Uint16(uint16(v)) }

// Uint16 appends type q.
func (e *Encoder) Uint16(v uint16) {
	e.align(2)
	e.buf = binary.LittleEndian.AppendUint16(e.buf, v)
}

// Int32 appends type i.
func (e *Encoder) Int32(v int32) { e.Uint32(uint32(v)) }

// Uint32 appends type u.
func (e *Encoder) Uint32(v uint32) {
	e.align(4)
	e.buf = binary.LittleEndian.AppendUint32(e.buf, v)
}

// Int64 appends type x.
func (e *Encoder) Int64(v int64) { e.Uint64(uint64(v)) }

// Uint64 appends type t.
func (e *Encoder) Uint64(v uint64) {
	e.align(8)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, v)
}

// Double appends type d.
func (e *Encoder) Double(v float64) { e.Uint64(math.Float64bits(v)) }

// String appends type s. The wire can carry neither NUL nor invalid UTF-8;
// such bytes become U+FFFD, because a reply with one strange description is
// worth more to its reader than no reply.
func (e *Encoder) String(v string) {
	if !validText(v) {
		v = strings.ReplaceAll(strings.ToValidUTF8(v, "\uFFFD"), "\x00", "\uFFFD")
	}
	e.text(v)
}

func (e *Encoder) text(v string) {
	if len(v) > MaxMessageBytes {
		e.fail(fmt.Errorf("string: %d bytes are more than a message holds", len(v)))
		v = ""
	}
	// The bulk of every large reply is strings, so this is done in one go.
	at := len(e.buf) + -(len(e.buf)-e.base)&3
	end := at + 4 + len(v) + 1
	if end > cap(e.buf) {
		e.buf = slices.Grow(e.buf, end-len(e.buf))
	}
	b := e.buf[:end]
	clear(b[len(e.buf):at])
	binary.LittleEndian.PutUint32(b[at:], uint32(len(v)))
	copy(b[at+4:], v)
	b[end-1] = 0
	e.buf = b
}

// ObjectPath appends type o. An invalid path is an error.
func (e *Encoder) ObjectPath(v ObjectPath) {
	if !ValidPath(string(v)) {
		e.fail(fmt.Errorf("object path %q: not valid", v))
		v = "/"
	}
	e.text(string(v))
}

// UnitPath appends the object path of a unit as type o.
func (e *Encoder) UnitPath(name string) {
	e.align(4)
	length := len(e.buf)
	e.buf = append(e.buf, 0, 0, 0, 0)
	e.buf = appendUnitPath(e.buf, name)
	binary.LittleEndian.PutUint32(e.buf[length:], uint32(len(e.buf)-length-4))
	e.buf = append(e.buf, 0)
}

// Signature appends type g. An invalid signature is an error.
func (e *Encoder) Signature(v string) {
	if err := checkSignature(v); err != nil {
		e.fail(err)
		v = ""
	}
	e.signature(v)
}

func (e *Encoder) signature(v string) {
	e.buf = append(e.buf, byte(len(v)))
	e.buf = append(e.buf, v...)
	e.buf = append(e.buf, 0)
}

// UnixFD appends type h: the index of fd in the message's descriptors.
// The descriptor stays the caller's.
func (e *Encoder) UnixFD(fd int) {
	if fd < 0 {
		e.fail(fmt.Errorf("file descriptor %d: not open", fd))
	}
	if len(e.fds) >= MaxFDs {
		e.fail(fmt.Errorf("file descriptors: more than %d in one message", MaxFDs))
		return
	}
	e.Uint32(uint32(len(e.fds)))
	e.fds = append(e.fds, fd)
}

// BeginArray opens an array whose element type begins with elem: 's' for as,
// '(' for a(…), '{' for a{…}.
func (e *Encoder) BeginArray(elem byte) ArrayMark {
	e.align(4)
	length := len(e.buf)
	e.buf = append(e.buf, 0, 0, 0, 0)
	e.align(alignOf(elem))
	return ArrayMark{length: length, start: len(e.buf)}
}

// EndArray closes the array and fills in its length.
func (e *Encoder) EndArray(m ArrayMark) {
	n := len(e.buf) - m.start
	if n > MaxArrayBytes {
		e.fail(errArrayLong)
		return
	}
	binary.LittleEndian.PutUint32(e.buf[m.length:], uint32(n))
}

// Struct begins a structure or a dictionary entry; they have no end marker.
func (e *Encoder) Struct() { e.align(8) }

// Variant begins a variant whose one value has signature sig; the caller
// appends the value next. sig is program text: it must be valid.
func (e *Encoder) Variant(sig string) { e.signature(sig) }

// ByteArray appends type ay.
func (e *Encoder) ByteArray(v []byte) {
	if len(v) > MaxArrayBytes {
		e.fail(errArrayLong)
		v = nil
	}
	e.Uint32(uint32(len(v)))
	e.buf = append(e.buf, v...)
}

// Strings appends type as.
func (e *Encoder) Strings(v []string) {
	m := e.BeginArray('s')
	for _, s := range v {
		e.String(s)
	}
	e.EndArray(m)
}

// VariantBool appends a variant of type b.
func (e *Encoder) VariantBool(v bool) { e.signature("b"); e.Bool(v) }

// VariantInt32 appends a variant of type i.
func (e *Encoder) VariantInt32(v int32) { e.signature("i"); e.Int32(v) }

// VariantUint32 appends a variant of type u.
func (e *Encoder) VariantUint32(v uint32) { e.signature("u"); e.Uint32(v) }

// VariantInt64 appends a variant of type x.
func (e *Encoder) VariantInt64(v int64) { e.signature("x"); e.Int64(v) }

// VariantUint64 appends a variant of type t.
func (e *Encoder) VariantUint64(v uint64) { e.signature("t"); e.Uint64(v) }

// VariantString appends a variant of type s.
func (e *Encoder) VariantString(v string) { e.signature("s"); e.String(v) }

// VariantPath appends a variant of type o.
func (e *Encoder) VariantPath(v ObjectPath) { e.signature("o"); e.ObjectPath(v) }

// VariantStrings appends a variant of type as.
func (e *Encoder) VariantStrings(v []string) { e.signature("as"); e.Strings(v) }

// Entry begins the entry key of an a{sv} dictionary; a Variant… call follows.
func (e *Encoder) Entry(key string) { e.align(8); e.String(key) }

// Prepared begins an entry of an a{sv} dictionary as Entry and Variant do, with
// what PrepareEntry made; the value follows.
func (e *Encoder) Prepared(entry []byte) { e.align(8); e.buf = append(e.buf, entry...) }

// PrepareEntry encodes a key and the signature of its value, for dictionaries
// that are sent often with the same keys.
func PrepareEntry(key, sig string) []byte {
	var e Encoder
	e.Entry(key)
	e.Variant(sig)
	return e.Bytes()
}

// validText reports whether the wire can carry s as a string.
func validText(s string) bool {
	// Eight bytes at a time, as long as all of them are ASCII and none is NUL; what is left, or isn't, is looked at one by one.
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		if (x|x-ones)&tops != 0 {
			break
		}
		b = b[8:]
	}
	for i, c := range b {
		if c == 0 || c >= utf8.RuneSelf {
			return bytes.IndexByte(b[i:], 0) < 0 && utf8.Valid(b[i:])
		}
	}
	return true
}
