package facts

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MemoryBytes is the memory of the machine; 0 if it is not known. A limit on
// the root control group is the caller's to apply.
func MemoryBytes(root string) uint64 {
	text, _ := read(root, "proc/meminfo")
	for l := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(l, "MemTotal:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 54)
			return n << 10
		}
	}
	return 0
}

// CPUCount is the number of CPUs we may run on; 0 if it is not known.
func CPUCount() int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return 0
	}
	return set.Count()
}

// cpuAliases are names of ConditionCPUFeature= that the kernel spells otherwise.
var cpuAliases = map[string]string{"fma3": "fma", "osxsave": "xsave"}

// CPUFeature tells whether the CPU has a feature of ConditionCPUFeature=; the
// names are those of the flags in /proc/cpuinfo.
func CPUFeature(root, name string) bool {
	name = strings.ToLower(name)
	if alias, ok := cpuAliases[name]; ok {
		name = alias
	}
	text, _ := read(root, "proc/cpuinfo")
	for l := range strings.Lines(text) {
		key, value, _ := strings.Cut(l, ":")
		if key = strings.TrimSpace(key); key != "flags" && key != "Features" {
			continue
		}
		return contains(strings.Fields(value), name)
	}
	return false
}

// ACPower tells whether the machine runs on mains power. A machine without any
// supply that could tell does; so does one whose batteries aren't discharging.
func ACPower(root string) bool {
	dir := filepath.Join(slash(root), "sys/class/power_supply")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	discharging := false
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		if line(at, "scope") == "Device" {
			continue // the battery of a mouse
		}
		switch line(at, "type") {
		case "Mains", "USB":
			if line(at, "type") == "USB" && line(at, "power_role") == "source" {
				continue
			}
			if online := line(at, "online"); online == "1" || online == "2" {
				return true
			}
		case "Battery":
			if line(at, "present") != "0" && line(at, "status") == "Discharging" {
				discharging = true
			}
		}
	}
	return !discharging
}

// Pressure is one pressure stall file: percentages of time, averaged.
type Pressure struct{ Some, Full PressureLine }

// PressureLine has the averages in hundredths of a percent over 10 s, 1 min
// and 5 min, and the total in µs.
type PressureLine struct {
	Avg10, Avg60, Avg300 uint32
	TotalUSec            uint64
}

// SystemPressure reads /proc/pressure/ for "cpu", "memory" or "io".
func SystemPressure(root, resource string) (Pressure, error) {
	text, err := read(root, "proc/pressure/"+resource)
	if err != nil {
		return Pressure{}, err
	}
	return ParsePressure(text), nil
}

// ParsePressure reads the format of /proc/pressure/ and of cgroup pressure
// files (psi in the kernel's documentation).
func ParsePressure(text string) (p Pressure) {
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) == 0 {
			continue
		}
		var v PressureLine
		for _, kv := range f[1:] {
			key, value, _ := strings.Cut(kv, "=")
			switch key {
			case "avg10":
				v.Avg10 = hundredths(value)
			case "avg60":
				v.Avg60 = hundredths(value)
			case "avg300":
				v.Avg300 = hundredths(value)
			case "total":
				v.TotalUSec, _ = strconv.ParseUint(value, 10, 64)
			}
		}
		switch f[0] {
		case "some":
			p.Some = v
		case "full":
			p.Full = v
		}
	}
	return p
}

func hundredths(s string) uint32 {
	whole, frac, _ := strings.Cut(s, ".")
	n, _ := strconv.ParseUint(whole, 10, 24)
	f, _ := strconv.ParseUint((frac + "00")[:2], 10, 8)
	return uint32(n*100 + f)
}

// KernelModuleLoaded tells whether a module is loaded and live, or built in.
func KernelModuleLoaded(root, name string) bool {
	dir := "sys/module/" + strings.ReplaceAll(name, "-", "_")
	if strings.Contains(name, "/") || name == "" || name[0] == '.' || !exists(root, dir) {
		return false
	}
	if !exists(root, dir+"/initstate") {
		return true // built in
	}
	return line(root, dir+"/initstate") == "live"
}
