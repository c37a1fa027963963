package cgroup

import "strings"

// A Mask is a set of controllers.
type Mask uint16

// The controllers of cgroup2 that attributes below belong to.
const (
	CPU Mask = 1 << iota
	CPUSet
	IO
	Memory
	PIDs
	HugeTLB
	RDMA
	Misc
	DMem

	controllerCount = 9
)

// All has every controller known here.
const All Mask = 1<<controllerCount - 1

var controllerNames = [controllerCount]string{
	"cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc", "dmem",
}

// ParseMask reads a list of controller names separated by blanks, the format
// of cgroup.controllers. Names that are not known here are left out.
func ParseMask(list string) Mask {
	var m Mask
	for name := range strings.FieldsSeq(list) {
		if c, ok := ParseController(name); ok {
			m |= c
		}
	}
	return m
}

// ParseController returns the one-bit mask of a controller name.
func ParseController(name string) (Mask, bool) {
	for i, n := range controllerNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// Names are the names of the controllers in m, in a fixed order.
func (m Mask) Names() []string {
	var list []string
	for i, n := range controllerNames {
		if m>>i&1 == 1 {
			list = append(list, n)
		}
	}
	return list
}

// String is the names separated by blanks.
func (m Mask) String() string { return strings.Join(m.Names(), " ") }

// toggles is the text for cgroup.subtree_control.
func (m Mask) toggles(sign string) string {
	names := m.Names()
	for i := range names {
		names[i] = sign + names[i]
	}
	return strings.Join(names, " ")
}
