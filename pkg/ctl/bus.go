package ctl

import (
	"errors"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
)

const (
	busName       = "org.freedesktop.systemd1"
	managerIface  = "org.freedesktop.systemd1.Manager"
	unitIface     = "org.freedesktop.systemd1.Unit"
	jobIface      = "org.freedesktop.systemd1.Job"
	propertyIface = "org.freedesktop.DBus.Properties"
)

var (
	errNoRuntimeDir = errors.New("$XDG_RUNTIME_DIR is not set")
	errNotBooted    = unix.EHOSTDOWN
)

// longCall is the time allowed for calls that make the manager reload everything.
const longCall = 90 * 2 * time.Second

// call calls a method of the manager with Go values.
func (s *systemctl) call(member string, args ...any) (*bus.Message, error) {
	return callManager(s.bus, member, args...)
}

func callManager(c *bus.Client, member string, args ...any) (*bus.Message, error) {
	return c.Call(makeCall(bus.ManagerPath, managerIface, member, args...))
}

func makeCall(path bus.ObjectPath, iface, member string, args ...any) *bus.Message {
	m := bus.NewCall(busName, path, iface, member)
	if len(args) > 0 {
		var e bus.Encoder
		m.SetBody(e.Append(args...), &e)
	}
	return m
}

// callString calls a method that answers with one string or path.
func (s *systemctl) callString(member string, args ...any) (string, error) {
	r, err := s.call(member, args...)
	if err != nil {
		return "", err
	}
	d := r.Decoder()
	if r.Signature == "o" {
		return string(d.ObjectPath()), d.Err()
	}
	return d.String(), d.Err()
}

// getProperty reads one property.
func getProperty(c *bus.Client, path bus.ObjectPath, iface, name string) (any, error) {
	r, err := c.Call(makeCall(path, propertyIface, "Get", iface, name))
	if err != nil {
		return nil, err
	}
	d := r.Decoder()
	v := d.VariantValue()
	return v.Value(), d.Err()
}

func (s *systemctl) managerProperty(name string) (any, error) {
	return getProperty(s.bus, bus.ManagerPath, managerIface, name)
}

func (s *systemctl) managerString(name string) string {
	v, err := s.managerProperty(name)
	if err != nil {
		return ""
	}
	text, _ := v.(string)
	return text
}

// busProperty is one property with its signature, in the order of the answer.
type busProperty struct {
	name, sig string
	value     any
}

// getAll reads all properties of an object, of all its interfaces with iface "".
func getAll(c *bus.Client, path bus.ObjectPath, iface string) ([]busProperty, error) {
	r, err := c.Call(makeCall(path, propertyIface, "GetAll", iface))
	if err != nil {
		return nil, err
	}
	return decodeProperties(r)
}

func decodeProperties(r *bus.Message) ([]busProperty, error) {
	d, err := r.Args("a{sv}")
	if err != nil {
		return nil, err
	}
	var out []busProperty
	for a := d.BeginArray('{'); d.More(a); {
		d.Struct()
		name := d.String()
		v := d.VariantValue()
		out = append(out, busProperty{name: name, sig: v.Signature().String(), value: v.Value()})
	}
	return out, d.Err()
}

// properties looks values up by name, with the zero value for what isn't there.
type properties map[string]any

func indexProperties(list []busProperty) properties {
	m := make(properties, len(list))
	for _, p := range list {
		m[p.name] = p.value
	}
	return m
}

func (p properties) str(name string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case bus.ObjectPath:
		return string(v)
	}
	return ""
}

func (p properties) strings(name string) []string {
	v, _ := p[name].([]string)
	return v
}

func (p properties) boolean(name string) bool {
	v, _ := p[name].(bool)
	return v
}

// number gives any integer type; infinity and missing ones as they are.
func (p properties) number(name string) uint64 {
	return toUint(p[name])
}

func toUint(v any) uint64 {
	switch n := v.(type) {
	case uint64:
		return n
	case uint32:
		return uint64(n)
	case uint16:
		return uint64(n)
	case byte:
		return uint64(n)
	case int64:
		return uint64(n)
	case int32:
		return uint64(int64(n))
	}
	return 0
}

func (p properties) has(name string) bool {
	_, ok := p[name]
	return ok
}

// unitProperties reads all properties of a unit.
func unitProperties(c *bus.Client, name string) (properties, error) {
	list, err := getAll(c, bus.UnitPath(name), "")
	if err != nil {
		return nil, err
	}
	return indexProperties(list), nil
}

// unitProperty reads one property of a unit's own Unit interface.
func (s *systemctl) unitProperty(name, property string) (any, error) {
	return getProperty(s.bus, bus.UnitPath(name), unitIface, property)
}

func (s *systemctl) unitString(name, property string) (string, error) {
	v, err := s.unitProperty(name, property)
	text, _ := v.(string)
	return text, err
}

// errorText is what a D-Bus error says to people.
func errorText(err error) string {
	var e *bus.Error
	if !errors.As(err, &e) {
		return errnoText(err)
	}
	switch {
	case e.Name == bus.ErrAccessDenied:
		return "Access denied"
	case e.Name == bus.ErrDisconnected:
		return "Connection reset by peer"
	case e.Name == bus.ErrNoReply:
		return "Connection timed out"
	case e.Message == "":
		return errnoText(e.Errno())
	}
	return e.Message
}

// errnoText is the text of the system error in err as the C library has it, or err's own.
func errnoText(err error) string {
	var no unix.Errno
	if errors.Is(err, exec.ErrNotFound) {
		no = unix.ENOENT
	}
	if no != 0 || errors.As(err, &no) {
		text := no.Error()
		if text != "" {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return err.Error()
}

func hasName(err error, names ...bus.ErrorName) bool {
	for _, n := range names {
		if bus.HasName(err, n) {
			return true
		}
	}
	return false
}

// errorStatus is the exit status for a failed operation on a unit.
func errorStatus(err error) int {
	switch {
	case hasName(err, bus.ErrAccessDenied):
		return exitNoPermission
	case hasName(err, bus.ErrNoSuchUnit, bus.ErrLoadFailed):
		return exitNotInstalled
	case hasName(err, bus.ErrJobTypeNotApplicable, bus.ErrNotSupported):
		return 3 // not implemented
	case hasName(err, bus.ErrUnitMasked):
		return 6 // not configured
	}
	return exitFailure
}
