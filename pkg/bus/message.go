package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Type is the type of a message.
type Type byte

// Message types.
const (
	TypeCall   Type = 1
	TypeReply  Type = 2
	TypeError  Type = 3
	TypeSignal Type = 4
)

// String is the name match rules use.
func (t Type) String() string {
	switch t {
	case TypeCall:
		return "method_call"
	case TypeReply:
		return "method_return"
	case TypeError:
		return "error"
	case TypeSignal:
		return "signal"
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Flags of a message.
type Flags byte

// Flags of the specification.
const (
	// FlagNoReply: the caller does not want a reply.
	FlagNoReply Flags = 1
	// FlagNoAutoStart: the bus shall not start the destination for this.
	FlagNoAutoStart Flags = 2
	// FlagInteractive: the caller will wait while a person authorizes.
	FlagInteractive Flags = 4
)

// Message is one message. Empty strings stand for header fields that are not
// there.
//
// A received message owns FDs; see TakeFD and CloseFDs. A message to be sent
// refers to the caller's descriptors, which are duplicated by Conn.Queue.
type Message struct {
	Type  Type
	Flags Flags
	// Serial is chosen by Conn.Queue where it is 0.
	Serial      uint32
	ReplySerial uint32
	Path        ObjectPath
	Interface   string
	Member      string
	ErrorName   string
	Destination string
	Sender      string
	Signature   string
	// Body holds the arguments, little-endian unless BigEndian.
	Body      []byte
	BigEndian bool
	FDs       []int
}

// Header field codes.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSender      = 7
	fieldSignature   = 8
	fieldUnixFDs     = 9
)

// NewCall makes a method call without arguments.
func NewCall(destination string, path ObjectPath, iface, member string) *Message {
	return &Message{Type: TypeCall, Destination: destination, Path: path, Interface: iface, Member: member}
}

// NewSignal makes a signal without arguments.
func NewSignal(path ObjectPath, iface, member string) *Message {
	return &Message{Type: TypeSignal, Flags: FlagNoReply, Path: path, Interface: iface, Member: member}
}

// Reply makes the successful answer to m, a call, without arguments.
func (m *Message) Reply() *Message {
	return &Message{Type: TypeReply, Flags: FlagNoReply, ReplySerial: m.Serial, Destination: m.Sender}
}

// ErrorReply makes the answer to m, a call, that reports err. An *Error keeps
// its name; anything else is mapped by ErrorOf.
func (m *Message) ErrorReply(err error) *Message {
	e := ErrorOf(err)
	r := &Message{Type: TypeError, Flags: FlagNoReply, ReplySerial: m.Serial, Destination: m.Sender, ErrorName: string(e.Name)}
	var enc Encoder
	enc.String(e.Message)
	r.SetBody("s", &enc)
	return r
}

// WantsReply reports whether m is a call whose caller waits for an answer.
func (m *Message) WantsReply() bool { return m.Type == TypeCall && m.Flags&FlagNoReply == 0 }

// SetBody makes e's content the arguments, of signature sig. The message
// refers to e's buffer until it has been queued.
func (m *Message) SetBody(sig string, e *Encoder) {
	m.Signature, m.Body, m.FDs, m.BigEndian = sig, e.Bytes(), e.FDs(), false
}

// Decoder reads the arguments, whatever their signature.
func (m *Message) Decoder() Decoder { return NewDecoder(m.Body, m.BigEndian, m.FDs) }

// Args reads the arguments after checking that they have signature want; the
// error is org.freedesktop.DBus.Error.InvalidArgs.
func (m *Message) Args(want string) (Decoder, error) {
	if m.Signature != want {
		return Decoder{}, &Error{
			Name:    ErrInvalidArgs,
			Message: fmt.Sprintf("%s.%s takes arguments of signature %q, not %q", m.Interface, m.Member, want, m.Signature),
		}
	}
	return m.Decoder(), nil
}

// DecodeArgs reads all arguments as Go values; see Decoder.Decode.
func (m *Message) DecodeArgs() ([]any, error) {
	d := m.Decoder()
	v, err := d.Decode(m.Signature)
	if err != nil {
		return nil, err
	}
	return v, d.Done()
}

// AsError is the error of a TypeError message as an *Error, and nil for others.
func (m *Message) AsError() error {
	if m.Type != TypeError {
		return nil
	}
	e := &Error{Name: ErrorName(m.ErrorName)}
	if m.Signature != "" && m.Signature[0] == 's' {
		d := m.Decoder()
		e.Message = d.String()
	}
	return e
}

// TakeFD hands the descriptor fd, one of m.FDs, to the caller: CloseFDs will
// leave it open. It returns -1 where fd is not one of them.
func (m *Message) TakeFD(fd int) int {
	i := slices.Index(m.FDs, fd)
	if i < 0 || fd < 0 {
		return -1
	}
	m.FDs[i] = -1
	return fd
}

// CloseFDs closes the descriptors nobody has taken. Only for received messages.
func (m *Message) CloseFDs() {
	closeAll(m.FDs)
	m.FDs = nil
}

func closeAll(fds []int) {
	for i, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
			fds[i] = -1
		}
	}
}

// Append appends the wire form of m, little-endian, to dst. m.Serial must be
// set. It checks names and the fields the type requires; the body is taken as
// it is.
func (m *Message) Append(dst []byte) ([]byte, error) {
	dst, err := m.appendHeader(slices.Grow(dst, len(m.Body)+headerGuessBytes))
	if err != nil {
		return dst, err
	}
	return append(dst, m.Body...), nil
}

// headerGuessBytes is more than the header of most messages takes.
const headerGuessBytes = 256

// appendHeader appends everything up to the body.
func (m *Message) appendHeader(dst []byte) ([]byte, error) {
	if err := m.check(); err != nil {
		return dst, err
	}
	if m.BigEndian && len(m.Body) > 0 {
		return dst, errors.New("message: body is big-endian")
	}
	if len(m.FDs) > MaxFDs {
		return dst, fmt.Errorf("message: %d file descriptors", len(m.FDs))
	}
	start := len(dst)
	e := Encoder{buf: dst, base: start}
	e.buf = append(e.buf, 'l', byte(m.Type), byte(m.Flags), 1)
	e.Uint32(uint32(len(m.Body)))
	e.Uint32(m.Serial)
	a := e.BeginArray('(')
	e.textField(fieldPath, "o", string(m.Path))
	e.textField(fieldInterface, "s", m.Interface)
	e.textField(fieldMember, "s", m.Member)
	e.textField(fieldErrorName, "s", m.ErrorName)
	e.uintField(fieldReplySerial, m.ReplySerial)
	e.textField(fieldDestination, "s", m.Destination)
	e.textField(fieldSender, "s", m.Sender)
	if m.Signature != "" {
		e.Struct()
		e.Byte(fieldSignature)
		e.signature("g")
		e.signature(m.Signature)
	}
	e.uintField(fieldUnixFDs, uint32(len(m.FDs)))
	e.EndArray(a)
	e.align(8)
	if n := len(e.buf) - start + len(m.Body); n > MaxMessageBytes {
		return dst, fmt.Errorf("message: %d bytes", n)
	}
	return e.buf, nil
}

func (e *Encoder) textField(code byte, sig, v string) {
	if v != "" {
		e.Struct()
		e.Byte(code)
		e.signature(sig)
		e.text(v)
	}
}

func (e *Encoder) uintField(code byte, v uint32) {
	if v != 0 {
		e.Struct()
		e.Byte(code)
		e.signature("u")
		e.Uint32(v)
	}
}

// check tests the header of a message that is sent or was received.
func (m *Message) check() error {
	switch {
	case m.Serial == 0:
		return errors.New("message: serial is 0")
	case m.Path != "" && !ValidPath(string(m.Path)):
		return fmt.Errorf("message: path %q is not valid", clip(string(m.Path)))
	case m.Interface != "" && !ValidInterface(m.Interface):
		return fmt.Errorf("message: interface %q is not valid", clip(m.Interface))
	case m.Member != "" && !ValidMember(m.Member):
		return fmt.Errorf("message: member %q is not valid", clip(m.Member))
	case m.ErrorName != "" && !ValidErrorName(m.ErrorName):
		return fmt.Errorf("message: error name %q is not valid", clip(m.ErrorName))
	case m.Destination != "" && !ValidBusName(m.Destination):
		return fmt.Errorf("message: destination %q is not valid", clip(m.Destination))
	case m.Sender != "" && !ValidBusName(m.Sender):
		return fmt.Errorf("message: sender %q is not valid", clip(m.Sender))
	case len(m.Body) > 0 && m.Signature == "":
		return errors.New("message: body without signature")
	}
	if err := checkSignature(m.Signature); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return m.checkRequired()
}

// checkRequired tests for the fields each type must have.
func (m *Message) checkRequired() error {
	missing := ""
	switch m.Type {
	case TypeCall:
		if m.Path == "" {
			missing = "path"
		} else if m.Member == "" {
			missing = "member"
		}
	case TypeSignal:
		if m.Path == "" {
			missing = "path"
		} else if m.Interface == "" {
			missing = "interface"
		} else if m.Member == "" {
			missing = "member"
		}
	case TypeError:
		if m.ErrorName == "" {
			missing = "error name"
		} else if m.ReplySerial == 0 {
			missing = "reply serial"
		}
	case TypeReply:
		if m.ReplySerial == 0 {
			missing = "reply serial"
		}
	case 0:
		return errors.New("message: type is 0")
	}
	if missing != "" {
		return fmt.Errorf("message: %v without %s", m.Type, missing)
	}
	return nil
}

// fixedHeaderBytes is the length of the header up to the field array.
const fixedHeaderBytes = 16

// frame is what the first 16 bytes of a message say.
type frame struct {
	big       bool
	fields    int // bytes of the field array
	bodyStart int
	total     int // bytes of the whole message
}

// parseFrame reads the fixed header. ok is false while bytes are missing.
// limit is the largest total accepted.
func parseFrame(b []byte, limit int) (f frame, ok bool, err error) {
	if len(b) > 0 && b[0] != 'l' && b[0] != 'B' {
		return f, false, fmt.Errorf("message: byte order %#02x", b[0])
	}
	if len(b) < fixedHeaderBytes {
		return f, false, nil
	}
	f.big = b[0] == 'B'
	if b[1] == 0 {
		return f, false, errors.New("message: type is 0")
	}
	if b[3] != 1 {
		return f, false, fmt.Errorf("message: protocol version %d", b[3])
	}
	var order binary.ByteOrder = binary.LittleEndian
	if f.big {
		order = binary.BigEndian
	}
	body, fields := uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[12:]))
	if fields > MaxArrayBytes {
		return f, false, fmt.Errorf("message: header of %d bytes", fields)
	}
	start := fixedHeaderBytes + (fields+7)&^7
	if start+body > uint64(limit) {
		return f, false, fmt.Errorf("message: %d bytes, %d allowed", start+body, limit)
	}
	f.fields, f.bodyStart, f.total = int(fields), int(start), int(start+body)
	return f, true, nil
}

// Parse reads one whole message from b, which must hold exactly that. The
// result shares no memory with b. fds become the message's when there is no
// error.
func Parse(b []byte, fds []int) (*Message, error) {
	f, ok, err := parseFrame(b, MaxMessageBytes)
	if err != nil {
		return nil, err
	}
	if !ok || len(b) != f.total {
		return nil, errShort
	}
	m, n, err := f.parse(b)
	if err != nil {
		return nil, err
	}
	if n != len(fds) {
		return nil, fmt.Errorf("message: %d file descriptors announced, %d came", n, len(fds))
	}
	m.FDs = fds
	return m, nil
}

// parse reads the message whose frame is f and returns it with the number of
// descriptors its header announces. b must hold the whole message.
func (f frame) parse(b []byte) (*Message, int, error) {
	m := &Message{Type: Type(b[1]), Flags: Flags(b[2]), BigEndian: f.big}
	h := headerReader{
		// One string for the whole header: its fields are parts of it.
		text: string(b[:f.bodyStart]),
		d:    NewDecoder(b[:f.bodyStart], f.big, nil),
	}
	h.d.pos = 8
	m.Serial = h.d.Uint32()
	for a := h.d.BeginArray('('); h.d.More(a); {
		h.field(m)
	}
	h.d.align(8)
	if err := h.d.Done(); err != nil {
		return nil, 0, fmt.Errorf("message header: %w", err)
	}
	if len(b) > f.bodyStart {
		m.Body = append([]byte(nil), b[f.bodyStart:f.total]...)
	}
	if err := m.check(); err != nil {
		return nil, 0, err
	}
	if h.fds > MaxFDs {
		return nil, 0, fmt.Errorf("message: announces %d file descriptors", h.fds)
	}
	return m, int(h.fds), nil
}

type headerReader struct {
	d    Decoder
	text string
	seen uint16
	fds  uint32
}

// field reads one header field.
func (h *headerReader) field(m *Message) {
	h.d.Struct()
	code := h.d.Byte()
	sig := h.d.Variant()
	if h.d.err != nil {
		return
	}
	want := "s"
	switch code {
	case fieldPath:
		want = "o"
	case fieldReplySerial, fieldUnixFDs:
		want = "u"
	case fieldSignature:
		want = "g"
	case 0:
		h.d.fail(errors.New("field code 0"))
		return
	}
	if code > fieldUnixFDs { // unknown fields are to be ignored
		h.d.skipOne(sig)
		return
	}
	if sig != want {
		h.d.fail(fmt.Errorf("field %d has type %q", code, sig))
		return
	}
	if h.seen&(1<<code) != 0 {
		h.d.fail(fmt.Errorf("field %d is there twice", code))
		return
	}
	h.seen |= 1 << code
	h.store(m, code)
}

func (h *headerReader) store(m *Message, code byte) {
	switch code {
	case fieldPath:
		m.Path = ObjectPath(h.string())
	case fieldInterface:
		m.Interface = h.string()
	case fieldMember:
		m.Member = h.string()
	case fieldErrorName:
		m.ErrorName = h.string()
	case fieldReplySerial:
		if m.ReplySerial = h.d.Uint32(); m.ReplySerial == 0 {
			h.d.fail(errors.New("reply serial is 0"))
		}
	case fieldDestination:
		m.Destination = h.string()
	case fieldSender:
		m.Sender = h.string()
	case fieldSignature:
		m.Signature = h.d.Signature()
	case fieldUnixFDs:
		h.fds = h.d.Uint32()
	}
}

// string reads a non-empty string as a part of the header's text.
func (h *headerReader) string() string {
	b := h.d.stringBytes()
	if len(b) == 0 {
		h.d.fail(errors.New("empty field"))
		return ""
	}
	end := h.d.pos - 1
	return h.text[end-len(b) : end]
}
