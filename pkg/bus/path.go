package bus

import (
	"strconv"
	"strings"
)

// Object paths of the manager, see org.freedesktop.systemd1(5).
const (
	ManagerPath ObjectPath = "/org/freedesktop/systemd1"
	ManagerName            = "org.freedesktop.systemd1"

	unitPrefix = "/org/freedesktop/systemd1/unit/"
	jobPrefix  = "/org/freedesktop/systemd1/job/"
)

// EscapeLabel turns any string into one element of an object path: letters
// stay, digits stay but not in front, every other byte becomes _xx in lower
// case hex, the empty string "_". See sd_bus_path_encode(3).
func EscapeLabel(s string) string {
	if s == "" {
		return "_"
	}
	return string(appendLabel(make([]byte, 0, len(s)+8), s))
}

func appendLabel(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && isDigit(c) {
			b = append(b, c)
		} else {
			b = append(b, '_', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// UnescapeLabel undoes EscapeLabel. An underscore that no two hex digits
// follow stands for itself.
func UnescapeLabel(s string) string {
	if s == "_" {
		return ""
	}
	if strings.IndexByte(s, '_') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '_' && i+2 < len(s) {
			h, l := unhex(s[i+1]), unhex(s[i+2])
			if h >= 0 && l >= 0 {
				b = append(b, byte(h<<4|l))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// UnitPath is the object path of a unit:
// nginx.service → /org/freedesktop/systemd1/unit/nginx_2eservice.
func UnitPath(name string) ObjectPath {
	return ObjectPath(appendUnitPath(make([]byte, 0, len(unitPrefix)+len(name)+8), name))
}

func appendUnitPath(b []byte, name string) []byte {
	b = append(b, unitPrefix...)
	if name == "" {
		return append(b, '_')
	}
	return appendLabel(b, name)
}

// UnitFromPath undoes UnitPath. ok is false for paths that are no unit's.
func UnitFromPath(p ObjectPath) (name string, ok bool) {
	label, ok := strings.CutPrefix(string(p), unitPrefix)
	if !ok || label == "" || strings.IndexByte(label, '/') >= 0 {
		return "", false
	}
	return UnescapeLabel(label), true
}

// JobPath is the object path of a job.
func JobPath(id uint32) ObjectPath {
	b := make([]byte, 0, len(jobPrefix)+10)
	b = append(b, jobPrefix...)
	return ObjectPath(strconv.AppendUint(b, uint64(id), 10))
}

// JobFromPath undoes JobPath. ok is false for paths that are no job's.
func JobFromPath(p ObjectPath) (id uint32, ok bool) {
	label, ok := strings.CutPrefix(string(p), jobPrefix)
	if !ok || label == "" || len(label) > 10 || label[0] == '0' && label != "0" {
		return 0, false
	}
	var v uint64
	for i := 0; i < len(label); i++ {
		if !isDigit(label[i]) {
			return 0, false
		}
		v = v*10 + uint64(label[i]-'0')
	}
	if v > 1<<32-1 {
		return 0, false
	}
	return uint32(v), true
}
