package bus

import "github.com/godbus/dbus/v5"

// The argument types are godbus' own, so that a value decoded here can be
// handed to a godbus client and the other way round.
type (
	// ObjectPath is an object path, such as
	// /org/freedesktop/systemd1/unit/nginx_2eservice.
	ObjectPath = dbus.ObjectPath
	// Signature is a type signature as a value (wire type g).
	Signature = dbus.Signature
	// Variant is a value with its signature (wire type v).
	Variant = dbus.Variant
	// UnixFD is a file descriptor number (wire type h).
	UnixFD = dbus.UnixFD
)

// DictEntry is one entry of a dictionary in wire order, as Decode returns it
// for dictionaries that have no Go map type of their own (see Decode).
type DictEntry struct {
	Key, Value any
}

// MakeVariant wraps v, with the signature deduced from its Go type. It panics
// for Go types D-Bus cannot represent, so v must not be foreign data.
func MakeVariant(v any) Variant { return dbus.MakeVariant(v) }

// Limits of the specification that hold for every message.
const (
	// MaxMessageBytes is the length of the longest message, header included.
	MaxMessageBytes = 128 << 20
	// MaxArrayBytes is the length of the longest array, its padding excluded.
	MaxArrayBytes = 64 << 20
	// MaxSignatureBytes is the length of the longest signature.
	MaxSignatureBytes = 255
	// MaxNameBytes is the length of the longest bus, interface, member or
	// error name.
	MaxNameBytes = 255
	// MaxFDs is the number of descriptors one message can carry: the kernel's
	// SCM_MAX_FD.
	MaxFDs = 253

	// maxArrayDepth and maxStructDepth bound one signature, maxDepth the sum
	// over all containers of a message, variants included.
	maxArrayDepth  = 32
	maxStructDepth = 32
	maxDepth       = 64
)
