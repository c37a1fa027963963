package cgroup

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Usage is what a group uses; a field is Infinity where the controller (or the
// kernel's file) is not there, the value org.freedesktop.systemd1(5) has for
// "not known".
type Usage struct {
	MemoryCurrent, MemoryPeak           uint64 // bytes
	MemorySwapCurrent, MemorySwapPeak   uint64
	MemoryZSwapCurrent                  uint64
	CPUUsageNSec                        uint64
	TasksCurrent                        uint64
	IOReadBytes, IOWriteBytes           uint64
	IOReadOperations, IOWriteOperations uint64
	OOMKills, ManagedOOMKills           uint64
	CPUs, MemoryNodes                   []byte // that may be used, bit masks; nil where not known
}

// Usage reads everything, some ten files, for GetAll and status; those of a
// controller that is off aren't tried. For a single property use the functions
// below.
func (t *Tree) Usage(path string) Usage {
	u := Usage{
		MemoryCurrent: Infinity, MemoryPeak: Infinity, MemorySwapCurrent: Infinity, MemorySwapPeak: Infinity, MemoryZSwapCurrent: Infinity,
		CPUUsageNSec: Infinity, TasksCurrent: Infinity, OOMKills: Infinity, ManagedOOMKills: Infinity,
		IOReadBytes: Infinity, IOWriteBytes: Infinity, IOReadOperations: Infinity, IOWriteOperations: Infinity,
	}
	if !t.exists(path) {
		return u
	}
	u.CPUUsageNSec = t.CPUUsageNSec(path)
	u.ManagedOOMKills = t.xattrNumber(path, "user.oomd_kill")
	if t.maybeOn(path, Memory) {
		u.MemoryCurrent = t.Number(path, "memory.current")
		u.MemoryPeak = t.Number(path, "memory.peak")
		u.MemorySwapCurrent = t.Number(path, "memory.swap.current")
		u.MemorySwapPeak = t.Number(path, "memory.swap.peak")
		u.MemoryZSwapCurrent = t.Number(path, "memory.zswap.current")
		u.OOMKills = t.OOMKills(path)
	}
	if t.maybeOn(path, PIDs) {
		u.TasksCurrent = t.Number(path, "pids.current")
	}
	if t.maybeOn(path, IO) {
		u.IOReadBytes, u.IOWriteBytes, u.IOReadOperations, u.IOWriteOperations = t.IO(path)
	}
	if t.maybeOn(path, CPUSet) {
		u.CPUs, u.MemoryNodes = t.list(path, "cpuset.cpus.effective"), t.list(path, "cpuset.mems.effective")
	}
	return u
}

// Consumed reads what is worth knowing of a group that is about to go: time, peaks and transfers.
func (t *Tree) Consumed(path string) Usage {
	u := Usage{CPUUsageNSec: t.CPUUsageNSec(path), MemoryPeak: Infinity, MemorySwapPeak: Infinity,
		IOReadBytes: Infinity, IOWriteBytes: Infinity, IOReadOperations: Infinity, IOWriteOperations: Infinity}
	if t.maybeOn(path, Memory) {
		u.MemoryPeak, u.MemorySwapPeak = t.Number(path, "memory.peak"), t.Number(path, "memory.swap.peak")
	}
	if t.maybeOn(path, IO) {
		u.IOReadBytes, u.IOWriteBytes, u.IOReadOperations, u.IOWriteOperations = t.IO(path)
	}
	return u
}

// exists reports whether the group's directory is there.
func (t *Tree) exists(path string) bool {
	return t.groups[clean(path)] != nil ||
		unix.Faccessat(t.rootFD, orDot(clean(path)), unix.F_OK, 0) == nil
}

// maybeOn is false if the group is known not to have the files of a
// controller: its parent doesn't enable it, or there is no such group.
func (t *Tree) maybeOn(path string, controller Mask) bool {
	g := t.groups[clean(path)]
	if g == nil {
		return t.exists(path)
	}
	if g.parent == nil {
		return t.status.Controllers&controller != 0
	}
	return g.parent.enabled&controller != 0
}

// Number reads a file with one number; Infinity for "max" and where there is
// no such file.
func (t *Tree) Number(path, file string) uint64 {
	text, err := t.readShort(path, file)
	if err != nil {
		return Infinity
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return Infinity
	}
	return n
}

// CPUUsageNSec is the CPU time of the group and of all that was below it, from
// cpu.stat, which is there without any controller.
func (t *Tree) CPUUsageNSec(path string) uint64 {
	usec := t.keyed(path, "cpu.stat", "usage_usec")
	if usec == Infinity {
		return Infinity
	}
	return usec * 1000
}

// OOMKills is how many processes of the group the kernel killed for memory.
func (t *Tree) OOMKills(path string) uint64 { return t.keyed(path, "memory.events", "oom_kill") }

func (t *Tree) keyed(path, file, key string) uint64 {
	text, err := t.readShort(path, file)
	if err != nil {
		return Infinity
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if name == key {
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				return n
			}
		}
	}
	return Infinity
}

// IO sums up io.stat over all devices; Infinity each where it is not there.
func (t *Tree) IO(path string) (readBytes, writeBytes, readOps, writeOps uint64) {
	text, err := t.Read(path, "io.stat")
	if err != nil {
		return Infinity, Infinity, Infinity, Infinity
	}
	return parseIOStat(text)
}

func parseIOStat(text string) (readBytes, writeBytes, readOps, writeOps uint64) {
	for word := range strings.FieldsSeq(text) {
		key, value, ok := strings.Cut(word, "=")
		n, err := strconv.ParseUint(value, 10, 64)
		if !ok || err != nil {
			continue
		}
		switch key {
		case "rbytes":
			readBytes += n
		case "wbytes":
			writeBytes += n
		case "rios":
			readOps += n
		case "wios":
			writeOps += n
		}
	}
	return readBytes, writeBytes, readOps, writeOps
}

// list reads a file in the format of cpuset.cpus.
func (t *Tree) list(path, file string) []byte {
	text, err := t.Read(path, file)
	if err != nil {
		return nil
	}
	mask, _ := ParseCPUList(text)
	return mask
}
