package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Infinity is "max" in the limits below and "not set" in the weights.
const Infinity = ^uint64(0)

// CPUWeightIdle is CPUWeight=idle.
const CPUWeightIdle = uint64(0)

const (
	weightDefault    = 100
	cpuPeriodUSec    = 100_000
	cpuPeriodMaxUSec = 1_000_000
	cpuPeriodMinUSec = 1_000
	cpuQuotaMinUSec  = 1_000
)

// Resources are the limits of one group, as the directives of
// systemd.resource-control(5) leave them. [NoResources] has none of them.
type Resources struct {
	CPUWeight              uint64 // 1-10000, CPUWeightIdle, Infinity: default
	CPUQuotaPerSecUSec     uint64 // µs of CPU time per second, Infinity: none
	CPUQuotaPeriodUSec     uint64 // Infinity: 100 ms
	AllowedCPUs            string // cpuset list, "": all
	AllowedMemoryNodes     string
	CPUSetPartition        string // "", member, root or isolated
	IOWeight               uint64 // 1-10000, Infinity: default
	IODevices              []IODevice
	MemoryMin, MemoryLow   uint64 // bytes
	MemoryHigh, MemoryMax  uint64 // bytes or Infinity
	MemorySwapMax          uint64
	MemoryZSwapMax         uint64
	NoMemoryZSwapWriteback bool
	MemoryOOMGroup         bool
	TasksMax               uint64 // or Infinity
}

// IODevice has the limits for one block device.
type IODevice struct {
	Device              string // "major:minor"
	Weight              uint64 // 0: none set
	ReadBPS, WriteBPS   uint64 // bytes per second, Infinity: none
	ReadIOPS, WriteIOPS uint64
	LatencyTargetUSec   uint64 // Infinity: none
}

// NoIODevice has no limits for a device.
func NoIODevice(device string) IODevice {
	return IODevice{Device: device, ReadBPS: Infinity, WriteBPS: Infinity, ReadIOPS: Infinity, WriteIOPS: Infinity, LatencyTargetUSec: Infinity}
}

// NoResources is a set without any limit.
func NoResources() Resources {
	return Resources{
		CPUWeight: Infinity, CPUQuotaPerSecUSec: Infinity, CPUQuotaPeriodUSec: Infinity, IOWeight: Infinity,
		MemoryHigh: Infinity, MemoryMax: Infinity, MemorySwapMax: Infinity, MemoryZSwapMax: Infinity,
		TasksMax: Infinity,
	}
}

// Equal reports whether r and o leave a group with the same limits.
func (r Resources) Equal(o Resources) bool {
	return r.CPUWeight == o.CPUWeight && r.CPUQuotaPerSecUSec == o.CPUQuotaPerSecUSec && r.CPUQuotaPeriodUSec == o.CPUQuotaPeriodUSec &&
		r.AllowedCPUs == o.AllowedCPUs && r.AllowedMemoryNodes == o.AllowedMemoryNodes && r.CPUSetPartition == o.CPUSetPartition &&
		r.IOWeight == o.IOWeight && slices.Equal(r.IODevices, o.IODevices) && r.MemoryMin == o.MemoryMin && r.MemoryLow == o.MemoryLow &&
		r.MemoryHigh == o.MemoryHigh && r.MemoryMax == o.MemoryMax && r.MemorySwapMax == o.MemorySwapMax && r.MemoryZSwapMax == o.MemoryZSwapMax &&
		r.NoMemoryZSwapWriteback == o.NoMemoryZSwapWriteback && r.MemoryOOMGroup == o.MemoryOOMGroup && r.TasksMax == o.TasksMax
}

// A Value is one write to one attribute file.
type Value struct {
	File, Content string
	// Controller has to be available in the group, or there is no such file.
	Controller Mask
	// Optional files depend on the kernel's version or configuration: their
	// absence is no failure.
	Optional bool
}

// row is one attribute: its file, its controller, and its content, which for
// an unset value is what takes a limit back.
type row struct {
	file       string
	controller Mask
	optional   bool
	content    func(r *Resources) string
}

// rows is every attribute with one value, in the order of writing.
var rows = []row{
	{"cpu.idle", CPU, true, func(r *Resources) string { return oneZero(r.CPUWeight == CPUWeightIdle) }},
	{"cpu.weight", CPU, false, func(r *Resources) string { return weight(r.CPUWeight) }},
	{"cpu.max", CPU, false, cpuMax},
	{"cpuset.cpus", CPUSet, false, func(r *Resources) string { return r.AllowedCPUs }},
	{"cpuset.mems", CPUSet, false, func(r *Resources) string { return r.AllowedMemoryNodes }},
	{"cpuset.cpus.partition", CPUSet, true, func(r *Resources) string { return orDefault(r.CPUSetPartition, "member") }},
	{"io.weight", IO, true, func(r *Resources) string { return "default " + weight(r.IOWeight) }},
	{"io.bfq.weight", IO, true, func(r *Resources) string { return bfqWeight(r.IOWeight) }},
	{"memory.min", Memory, false, func(r *Resources) string { return strconv.FormatUint(r.MemoryMin, 10) }},
	{"memory.low", Memory, false, func(r *Resources) string { return strconv.FormatUint(r.MemoryLow, 10) }},
	{"memory.high", Memory, false, func(r *Resources) string { return limit(r.MemoryHigh) }},
	{"memory.max", Memory, false, func(r *Resources) string { return limit(r.MemoryMax) }},
	{"memory.swap.max", Memory, true, func(r *Resources) string { return limit(r.MemorySwapMax) }},
	{"memory.zswap.max", Memory, true, func(r *Resources) string { return limit(r.MemoryZSwapMax) }},
	{"memory.zswap.writeback", Memory, true, func(r *Resources) string { return oneZero(!r.NoMemoryZSwapWriteback) }},
	{"memory.oom.group", Memory, true, func(r *Resources) string { return oneZero(r.MemoryOOMGroup) }},
	{"pids.max", PIDs, false, func(r *Resources) string { return limit(r.TasksMax) }},
}

// Files lists the attribute files [Changes] may write, for documentation and
// tests.
func Files() []string {
	list := []string{"io.max", "io.latency"}
	for _, r := range rows {
		list = append(list, r.file)
	}
	slices.Sort(list)
	return list
}

// Needs are the controllers without which r has no effect. How a group dies for memory matters only where memory is limited or counted anyway.
func (r Resources) Needs() Mask {
	r.MemoryOOMGroup = false
	var m Mask
	for _, v := range r.Values() {
		m |= v.Controller
	}
	return m
}

// Values is what a new group, whose attributes are at their defaults, needs.
func (r Resources) Values() []Value { return Changes(NoResources(), r) }

// Changes is what takes a group from the limits old to those of r.
func Changes(old, r Resources) []Value {
	var list []Value
	for _, row := range rows {
		content := row.content(&r)
		if content == row.content(&old) {
			continue
		}
		if row.file == "cpu.weight" && r.CPUWeight == CPUWeightIdle {
			continue // cpu.idle says it; the kernel refuses a weight then
		}
		list = append(list, Value{row.file, content, row.controller, row.optional})
	}
	return append(list, deviceChanges(old.IODevices, r.IODevices)...)
}

// deviceChanges compares device by device; one that is not listed any more is
// set back.
func deviceChanges(old, now []IODevice) []Value {
	var list []Value
	add := func(file, content string) {
		list = append(list, Value{file, content, IO, true})
	}
	find := func(in []IODevice, device string) IODevice {
		for _, d := range in {
			if d.Device == device {
				return d
			}
		}
		return NoIODevice(device)
	}
	var names []string
	for _, d := range slices.Concat(now, old) {
		if !slices.Contains(names, d.Device) {
			names = append(names, d.Device)
		}
	}
	for _, name := range names {
		was, is := find(old, name), find(now, name)
		if was.Weight != is.Weight {
			w := "default"
			if is.Weight != 0 {
				w = strconv.FormatUint(is.Weight, 10)
			}
			add("io.weight", name+" "+w)
			if is.Weight != 0 {
				w = bfqWeight(is.Weight)
			}
			add("io.bfq.weight", name+" "+w)
		}
		if a, b := was.limits(), is.limits(); a != b {
			add("io.max", name+" "+b)
		}
		if was.LatencyTargetUSec != is.LatencyTargetUSec {
			add("io.latency", name+" target="+limit(is.LatencyTargetUSec))
		}
	}
	return list
}

func (d IODevice) limits() string {
	return fmt.Sprintf("rbps=%s wbps=%s riops=%s wiops=%s", limit(d.ReadBPS), limit(d.WriteBPS), limit(d.ReadIOPS), limit(d.WriteIOPS))
}

func oneZero(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func weight(w uint64) string {
	if w == Infinity {
		w = weightDefault
	}
	return strconv.FormatUint(w, 10)
}

func limit(v uint64) string {
	if v == Infinity {
		return "max"
	}
	return strconv.FormatUint(v, 10)
}

// bfqWeight maps 1-10000 to the 1-1000 that the BFQ scheduler takes, so that
// the default stays the default.
func bfqWeight(w uint64) string {
	switch {
	case w == Infinity:
		w = weightDefault
	case w > weightDefault:
		w = weightDefault + (w-weightDefault)*(1000-weightDefault)/(10000-weightDefault)
	}
	return strconv.FormatUint(w, 10)
}

// cpuMax is "quota period" in µs. The kernel takes periods of 1 ms to 1 s and
// quotas from 1 ms, so a small share of a short period gets a longer one.
func cpuMax(r *Resources) string {
	period := r.CPUQuotaPeriodUSec
	if period == Infinity || period == 0 {
		period = cpuPeriodUSec
	}
	if q := r.CPUQuotaPerSecUSec; q != Infinity && q > 0 {
		period = max(period, (1_000_000*cpuQuotaMinUSec+q-1)/q)
	}
	period = min(max(period, cpuPeriodMinUSec), cpuPeriodMaxUSec)
	if r.CPUQuotaPerSecUSec == Infinity {
		return fmt.Sprintf("max %d", period)
	}
	hi := r.CPUQuotaPerSecUSec / 1_000_000 * period
	quota := hi + r.CPUQuotaPerSecUSec%1_000_000*period/1_000_000
	return fmt.Sprintf("%d %d", max(quota, cpuQuotaMinUSec), period)
}

// An AttributeError is one attribute that could not be written.
type AttributeError struct {
	Path  string // as ControlGroup= shows it
	Value Value
	Err   error
}

// Error names group, file and content.
func (e *AttributeError) Error() string {
	return fmt.Sprintf("cgroup %s: %s: write %q: %v", e.Path, e.Value.File, e.Value.Content, e.Err)
}

// Unwrap is the errno.
func (e *AttributeError) Unwrap() error { return e.Err }

// Apply writes values, each for itself, and returns what could not be written.
// Optional files that are not there are passed over.
func (t *Tree) Apply(path string, values []Value) []error {
	var errs []error
	for _, v := range values {
		err := t.write(path, v.File, v.Content)
		if errors.Is(err, unix.ENOSPC) && v.Content == "" {
			err = t.widen(path, v.File)
		}
		if err == nil || v.Optional && errors.Is(err, unix.ENOENT) {
			continue
		}
		var errno unix.Errno
		if errors.As(err, &errno) {
			err = errno
		}
		errs = append(errs, &AttributeError{t.Absolute(path), v, err})
	}
	return errs
}

// widen takes a limit of the CPUs or memory nodes back. The kernel refuses the
// empty set while there are processes in the group, and leaves them where they
// are when the controller is taken away: so the group gets all that its parent
// has.
//
// DEVIATION: with systemd the processes of a unit whose AllowedCPUs= is taken back stay on the CPUs they had.
func (t *Tree) widen(path, file string) error {
	if file != "cpuset.cpus" && file != "cpuset.mems" {
		return unix.ENOSPC
	}
	dir, _ := splitLast(clean(path))
	all, err := t.Read(dir, file+".effective")
	if err != nil {
		return err
	}
	return t.write(path, file, strings.TrimSpace(all))
}

// ParseCPUList reads the list format of cpuset.cpus ("0-3,8") into a mask of
// whole bytes, CPU 0 in bit 0 of byte 0.
func ParseCPUList(list string) ([]byte, error) {
	var mask []byte
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		if part == "" {
			continue
		}
		lo, hi, ranged := strings.Cut(part, "-")
		if !ranged {
			hi = lo
		}
		a, err1 := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil || a < 0 || a > b || b >= 8192 {
			return nil, fmt.Errorf("CPU list %q: %w", list, unix.EINVAL)
		}
		for len(mask) <= b/8 {
			mask = append(mask, 0)
		}
		for i := a; i <= b; i++ {
			mask[i/8] |= 1 << (i % 8)
		}
	}
	return mask, nil
}
