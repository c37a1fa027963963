package cgroup

import (
	"errors"
	"fmt"
	"strings"
)

// ErrName is wrapped by complaints about names that are no slice or unit.
var ErrName = errors.New("not a unit name")

// reserved are prefixes (up to the first dot) that the kernel uses for its own
// files in a group: the controllers of both cgroup versions, and those that
// systemd counts as such.
var reserved = map[string]bool{
	"cgroup": true, "cpu": true, "cpuacct": true, "cpuset": true, "io": true, "blkio": true, "memory": true,
	"devices": true, "pids": true, "hugetlb": true, "rdma": true, "misc": true, "dmem": true, "freezer": true,
	"net_cls": true, "net_prio": true, "perf_event": true, "irq": true,
	"bpf-firewall": true, "bpf-devices": true, "bpf-foreign": true, "bpf-socket-bind": true,
	"bpf-restrict-network-interfaces": true, "bpf-bind-network-interface": true,
}

// Escape makes a directory name of a unit name: "_" is put before what the
// kernel or this escaping would take for something else.
func Escape(name string) string {
	if needsEscape(name) {
		return "_" + name
	}
	return name
}

func needsEscape(name string) bool {
	switch name {
	case "", "notify_on_release", "release_agent", "tasks":
		return true
	}
	if name[0] == '_' || name[0] == '.' {
		return true
	}
	prefix, _, dot := strings.Cut(name, ".")
	return dot && reserved[prefix]
}

// Unescape is the inverse of [Escape].
func Unescape(dir string) string { return strings.TrimPrefix(dir, "_") }

// SlicePath is the path of a slice unit: "a-b.slice" is
// "a.slice/a-b.slice", "-.slice" is "".
func SlicePath(slice string) (string, error) {
	if slice == "-.slice" {
		return "", nil
	}
	stem, ok := strings.CutSuffix(slice, ".slice")
	if !ok || stem == "" || stem[0] == '-' || stem[len(stem)-1] == '-' || strings.Contains(stem, "--") || strings.Contains(stem, "/") {
		return "", fmt.Errorf("%q: %w: no slice", slice, ErrName)
	}
	var path strings.Builder
	for i := 0; i <= len(stem); i++ {
		if i < len(stem) && stem[i] != '-' {
			continue
		}
		if path.Len() > 0 {
			path.WriteByte('/')
		}
		path.WriteString(Escape(stem[:i] + ".slice"))
	}
	return path.String(), nil
}

// UnitPath is the path of a unit below its slice; for a slice unit only its
// own name counts.
func UnitPath(slice, unit string) (string, error) {
	if strings.HasSuffix(unit, ".slice") {
		return SlicePath(unit)
	}
	if unit == "" || strings.Contains(unit, "/") {
		return "", fmt.Errorf("%q: %w", unit, ErrName)
	}
	if slice == "" {
		return Escape(unit), nil
	}
	at, err := SlicePath(slice)
	if err != nil {
		return "", err
	}
	return join(at, Escape(unit)), nil
}

// UnitOf finds the unit and its slice that a path (of a process, say) is in:
// the slice is the last component of the leading run of slices ("-.slice" if
// there is none), the unit the component after it. A path that ends in a slice
// has that slice as its unit. ok is false for the root.
func UnitOf(path string) (unit, slice string, ok bool) {
	slice = "-.slice"
	for part := range strings.SplitSeq(clean(path), "/") {
		name := Unescape(part)
		if name == "" {
			return "", "", false
		}
		if !strings.HasSuffix(name, ".slice") {
			return name, slice, isUnitName(name)
		}
		slice = name
	}
	return slice, parentSlice(slice), true
}

func parentSlice(slice string) string {
	stem := strings.TrimSuffix(slice, ".slice")
	if i := strings.LastIndexByte(stem, '-'); i > 0 {
		return stem[:i] + ".slice"
	}
	return "-.slice"
}

// isUnitName tells whether a component looks like a unit that has processes.
func isUnitName(name string) bool {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || len(name) > 255 {
		return false
	}
	switch name[i+1:] {
	case "service", "scope", "socket", "mount", "swap":
		return true
	}
	return false
}

// clean removes leading, trailing and doubled slashes.
func clean(path string) string {
	path = strings.Trim(path, "/")
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

func join(dir, name string) string {
	switch {
	case dir == "":
		return name
	case name == "":
		return dir
	}
	return dir + "/" + name
}
