package unit

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

var (
	ioClasses     = map[string]int32{"none": 0, "realtime": 1, "best-effort": 2, "idle": 3}
	cpuPolicies   = map[string]int32{"other": 0, "fifo": 1, "rr": 2, "batch": 3, "idle": 5}
	numaPolicies  = map[string]int32{"default": 0, "preferred": 1, "bind": 2, "interleave": 3, "local": 4}
	kNUMAPolicy   = namesOnly(kCodeEnum("NUMA policy", numaPolicies, true, -1))
	cpuPolicyKind = kCodeEnum("CPU scheduling policy", cpuPolicies, false, 0)
)

// namesOnly is a kind that doesn't take numbers.
func namesOnly(k *kind[int32]) *kind[int32] {
	return &kind[int32]{name: k.name, format: k.format, bus: k.bus, parse: func(c *Context, cur *int32, text string) error {
		if _, err := value.ParseInt(text, 32); err == nil {
			return errText("value ", quoted(text), " is a number")
		}
		return k.parse(c, cur, text)
	}}
}

// What processes have that set nothing (ioprio_set(2)).
const (
	ioClassBestEffort = 2
	ioPriorityNormal  = 4
)

// execKind makes a kind that sets several fields of Exec from one that sets
// one number.
func execKind(k *kind[int32], get func(e *Exec) int32, set func(e *Exec, v int32, empty bool)) *kind[Exec] {
	return &kind[Exec]{
		name: k.name,
		parse: func(c *Context, e *Exec, text string) error {
			var v int32
			if text != "" {
				if err := k.parse(c, &v, text); err != nil {
					return err
				}
			}
			set(e, v, text == "")
			return nil
		},
		format: func(e *Exec) []string {
			v := get(e)
			return k.format(&v)
		},
		bus: []form[Exec]{{sig: "i",
			write: func(w BusWriter, e *Exec) { w.Int32(get(e)) },
			read: func(r BusReader, e *Exec) ([]string, error) {
				v := get(e)
				return k.bus[0].read(r, &v)
			}}},
	}
}

var kIOClass = execKind(kCodeEnum("IO scheduling class", ioClasses, false, 0),
	func(e *Exec) int32 { return e.IOSchedulingClass.Or(ioClassBestEffort) },
	func(e *Exec, v int32, empty bool) {
		if empty {
			e.IOSchedulingSet, e.IOSchedulingClass, e.IOSchedulingPriority = false, Opt[int32]{}, ioPriorityNormal
			return
		}
		e.IOSchedulingSet, e.IOSchedulingClass = true, Some(v)
	})

var kIOPriority = execKind(kInt32Range(0, 7),
	func(e *Exec) int32 { return e.IOSchedulingPriority },
	func(e *Exec, v int32, empty bool) {
		if empty {
			e.IOSchedulingSet, e.IOSchedulingClass, e.IOSchedulingPriority = false, Opt[int32]{}, ioPriorityNormal
			return
		}
		if !e.IOSchedulingClass.Set {
			e.IOSchedulingClass = Some[int32](ioClassBestEffort)
		}
		e.IOSchedulingSet, e.IOSchedulingPriority = true, v
	})

var kCPUPolicy = execKind(cpuPolicyKind,
	func(e *Exec) int32 { return e.CPUSchedulingPolicy },
	func(e *Exec, v int32, _ bool) { e.CPUSchedulingSet, e.CPUSchedulingPolicy = true, v })

var kCPUPriority = execKind(kInt32Range(0, 99),
	func(e *Exec) int32 { return e.CPUSchedulingPriority },
	func(e *Exec, v int32, _ bool) { e.CPUSchedulingSet, e.CPUSchedulingPriority = true, v })

// kCPUAffinity is CPUAffinity=: CPUs, or "numa" for those of NUMAMask=.
var kCPUAffinity = &kind[Exec]{
	name: "list of CPUs and ranges, or numa",
	parse: func(c *Context, e *Exec, text string) error {
		if text == "numa" {
			e.CPUAffinityFromNUMA = true
			return nil
		}
		if err := kCPUSet.parse(c, &e.CPUAffinity, text); err != nil {
			return err
		}
		e.CPUAffinityFromNUMA = false
		return nil
	},
	format: func(e *Exec) []string {
		if e.CPUAffinityFromNUMA {
			return []string{"numa"}
		}
		return kCPUSet.format(&e.CPUAffinity)
	},
	bus: []form[Exec]{
		{sig: "ay", write: func(w BusWriter, e *Exec) { w.Bytes(wholeWords(e.CPUAffinity)) },
			read: func(r BusReader, e *Exec) ([]string, error) { return kCPUSet.bus[0].read(r, &e.CPUAffinity) }},
		{suffix: "FromNUMA", sig: "b", write: func(w BusWriter, e *Exec) { w.Bool(e.CPUAffinityFromNUMA) },
			read: func(r BusReader, e *Exec) ([]string, error) {
				if r.Bool() {
					return one("numa")
				}
				return one(formatBits(e.CPUAffinity))
			}},
	},
}

// kNUMAMask is NUMAMask=: nodes, or "all".
var kNUMAMask = &kind[[]byte]{
	name: "list of nodes and ranges, or all",
	parse: func(c *Context, cur *[]byte, text string) error {
		if text == "all" {
			set := make([]byte, 1024/8) // as many nodes as a kernel can be built for
			for i := range set {
				set[i] = 0xff
			}
			*cur = set
			return nil
		}
		return kCPUSet.parse(c, cur, text)
	},
	format: kCPUSet.format,
	bus:    kCPUSet.bus,
}

var coredumpFilterNames = [...]string{
	"private-anonymous", "shared-anonymous", "private-file-backed", "shared-file-backed", "elf-headers",
	"private-huge", "shared-huge", "private-dax", "shared-dax",
}

const (
	coredumpFilterAll     = 1<<len(coredumpFilterNames) - 1
	coredumpFilterDefault = 1<<0 | 1<<1 | 1<<4 | 1<<5 // core(5)
)

// kCoredumpFilter is CoredumpFilter=: names, or a hexadecimal mask.
var kCoredumpFilter = &kind[Opt[uint64]]{
	name: "list of mapping types, or a hexadecimal mask",
	parse: func(_ *Context, cur *Opt[uint64], text string) error {
		if text == "" {
			*cur = Opt[uint64]{}
			return nil
		}
		list, err := value.SplitWords(text, "", value.WordUnquote)
		if err != nil {
			return err
		}
		mask := cur.Value
		for _, w := range list {
			m, err := coredumpMask(w)
			if err != nil {
				return err
			}
			mask |= m
		}
		*cur = Some(mask)
		return nil
	},
	format: func(v *Opt[uint64]) []string {
		if !v.Set {
			return []string{""}
		}
		return []string{"0x" + strconv.FormatUint(v.Value, 16)}
	},
	bus: []form[Opt[uint64]]{{sig: "t",
		write: func(w BusWriter, v *Opt[uint64]) { w.Uint64(v.Or(coredumpFilterDefault)) },
		read: func(r BusReader, _ *Opt[uint64]) ([]string, error) {
			return []string{"", "0x" + strconv.FormatUint(r.Uint64(), 16)}, nil
		}}},
}

func coredumpMask(word string) (uint64, error) {
	switch word {
	case "default":
		return coredumpFilterDefault, nil
	case "all":
		return coredumpFilterAll, nil
	}
	for i, n := range coredumpFilterNames {
		if n == word {
			return 1 << i, nil
		}
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(word, "0x"), 16, 64)
	if err != nil {
		return 0, errText("mapping type ", quoted(word), " isn't known")
	}
	return n, nil
}

// timerSlackDefault is what processes have that set nothing (prctl(2)).
const timerSlackDefault = 50000

// kTimerSlack is TimerSlackNSec=.
var kTimerSlack = &kind[uint64]{name: kNSec.name, parse: kNSec.parse, format: kNSec.format,
	bus: []form[uint64]{{sig: "t",
		write: func(w BusWriter, v *uint64) {
			if *v == Infinity {
				w.Uint64(timerSlackDefault)
				return
			}
			w.Uint64(*v)
		},
		read: kNSec.bus[0].read}}}

// kTTYSize is TTYRows= and TTYColumns=; empty text unsets.
var kTTYSize = simple("number", func(_ *Context, s string) (uint32, error) {
	if s == "" {
		return unset32, nil
	}
	v, err := value.ParseUint(s, 32)
	return uint32(v), err
}, func(v uint32) string {
	if v == unset32 {
		return ""
	}
	return formatUint32(v)
}, form[uint32]{sig: "q", setSig: "u",
	write: func(w BusWriter, v *uint32) { w.Uint16(uint16(*v)) },
	read: func(r BusReader, _ *uint32) ([]string, error) {
		v := r.Uint32()
		if v == unset32 {
			return one("")
		}
		return one(formatUint32(v))
	}})
