package bus

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultSystemAddress is where the system bus listens when
// $DBUS_SYSTEM_BUS_ADDRESS does not say otherwise.
const defaultSystemAddress = "unix:path=/run/dbus/system_bus_socket"

// Address is one transport of a D-Bus address list.
type Address struct {
	// Transport is the word before the colon, such as unix.
	Transport string
	// Keys holds the parameters, unescaped.
	Keys map[string]string
}

// ParseAddress parses a list of addresses separated by semicolons, to be tried
// in order: unix:path=/run/bus,guid=…;unix:abstract=x.
func ParseAddress(s string) ([]Address, error) {
	var list []Address
	for part := range strings.SplitSeq(s, ";") {
		if part == "" {
			continue
		}
		transport, rest, ok := strings.Cut(part, ":")
		if !ok || transport == "" {
			return nil, fmt.Errorf("address %q: no transport", clip(part))
		}
		a := Address{Transport: transport, Keys: map[string]string{}}
		for kv := range strings.SplitSeq(rest, ",") {
			if kv == "" {
				continue
			}
			k, v, ok := strings.Cut(kv, "=")
			if !ok || k == "" {
				return nil, fmt.Errorf("address %q: %q is not key=value", clip(part), clip(kv))
			}
			if _, twice := a.Keys[k]; twice {
				return nil, fmt.Errorf("address %q: %s= is there twice", clip(part), k)
			}
			text, err := unescapeAddress(v)
			if err != nil {
				return nil, fmt.Errorf("address %q: %w", clip(part), err)
			}
			a.Keys[k] = text
		}
		list = append(list, a)
	}
	if len(list) == 0 {
		return nil, errors.New("address: empty")
	}
	return list, nil
}

func unescapeAddress(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return "", errors.New("% is not followed by two hex digits")
		}
		b.WriteByte(byte(unhex(s[i+1])<<4 | unhex(s[i+2])))
		i += 2
	}
	return b.String(), nil
}

// EscapeAddress escapes a value for use in an address.
func EscapeAddress(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isWord(c) || strings.IndexByte("-/.\\*", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// Socket is the unix socket an address stands for. getenv gives
// $XDG_RUNTIME_DIR for unix:runtime=yes.
func (a Address) Socket(getenv func(string) string) (*unix.SockaddrUnix, error) {
	if a.Transport != "unix" {
		return nil, fmt.Errorf("address %s: transport is not supported", clip(a.Transport))
	}
	name := ""
	switch {
	case a.Keys["path"] != "":
		name = a.Keys["path"]
	case a.Keys["abstract"] != "":
		name = "@" + a.Keys["abstract"]
	case a.Keys["runtime"] == "yes":
		dir := getenv("XDG_RUNTIME_DIR")
		if dir == "" {
			return nil, errors.New("address unix:runtime=yes: $XDG_RUNTIME_DIR is not set")
		}
		name = dir + "/bus"
	default:
		return nil, errors.New("address unix: none of path=, abstract=, runtime=yes")
	}
	if strings.IndexByte(name, 0) >= 0 || len(name) > 107 {
		return nil, fmt.Errorf("address unix: %q is no socket name", clip(name))
	}
	return &unix.SockaddrUnix{Name: name}, nil
}

// SystemAddress is the address list of the system bus.
func SystemAddress() string {
	if a := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); a != "" {
		return a
	}
	return defaultSystemAddress
}

// UserAddress is the address list of the user's session bus, empty where the
// environment does not name one.
func UserAddress() string {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" {
		return a
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return "unix:path=" + EscapeAddress(dir+"/bus")
	}
	return ""
}
