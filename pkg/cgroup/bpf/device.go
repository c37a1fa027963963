package bpf

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Access to a device (BPF_DEVCG_ACC_…).
const (
	Mknod = 1 << iota
	Read
	Write

	allAccess = Mknod | Read | Write
)

// Kinds of device nodes (BPF_DEVCG_DEV_…).
const (
	Block     = 1
	Character = 2
)

// A DeviceRule allows some access to one device, to all of a major number, or to all of a kind.
type DeviceRule struct {
	Kind         uint8
	Access       uint8
	Major, Minor uint32
	AnyMajor     bool // and any minor
	AnyMinor     bool
}

// deviceProgram allows what one of the rules allows as a whole, and nothing else. Rules about the same devices are taken together, so that
// "r" here and "w" there let a node be opened for both.
func deviceProgram(rules []DeviceRule) []instruction {
	const accessReg, kindReg, majorReg, minorReg = r2, r3, r4, r5
	var a assembler
	a.load(accessReg, r1, 0)
	a.copy(kindReg, accessReg)
	a.add(opAndImm, kindReg, 0, 0, 0xffff)
	a.add(opRshImm, accessReg, 0, 0, 16)
	a.load(majorReg, r1, 4)
	a.load(minorReg, r1, 8)
	for _, r := range joined(rules) {
		skip := []int{a.onlyIf(kindReg, uint32(r.Kind))}
		if r.Access&allAccess != allAccess {
			a.copy(r1, accessReg)
			a.add(opAndImm, r1, 0, 0, int32(allAccess&^r.Access))
			skip = append(skip, a.onlyIf(r1, 0))
		}
		if !r.AnyMajor {
			skip = append(skip, a.onlyIf(majorReg, r.Major))
			if !r.AnyMinor {
				skip = append(skip, a.onlyIf(minorReg, r.Minor))
			}
		}
		a.verdict(1)
		a.land(skip...)
	}
	a.verdict(0)
	return a.code
}

func joined(rules []DeviceRule) (out []DeviceRule) {
	at := map[DeviceRule]int{}
	for _, r := range rules {
		key := r
		key.Access = 0
		if i, ok := at[key]; ok {
			out[i].Access |= r.Access
			continue
		}
		at[key] = len(out)
		out = append(out, r)
	}
	return out
}

// devicePrograms are those that were loaded last: most units that limit devices do it in one of a few ways, and a program can be attached to any number
// of groups, while the verifier takes longer than all the rest of it.
var devicePrograms struct {
	sync.Mutex
	list []deviceEntry // the newest first
}

type deviceEntry struct {
	code    []instruction
	program Program
}

// deviceProgramsMax bounds the descriptors that are kept for it.
const deviceProgramsMax = 4

// loadDevices gives a descriptor of its own for the program.
func loadDevices(rules []DeviceRule) (Program, error) {
	code := deviceProgram(rules)
	k := &devicePrograms
	k.Lock()
	defer k.Unlock()
	at := slices.IndexFunc(k.list, func(e deviceEntry) bool { return slices.Equal(e.code, code) })
	if at < 0 {
		p, err := load(nameDevices, unix.BPF_PROG_TYPE_CGROUP_DEVICE, unix.BPF_CGROUP_DEVICE, code)
		if err != nil {
			return p, err
		}
		if len(k.list) == deviceProgramsMax {
			k.list[deviceProgramsMax-1].program.Close()
			k.list = k.list[:deviceProgramsMax-1]
		}
		k.list = slices.Insert(k.list, 0, deviceEntry{code, p})
		at = 0
	}
	p := k.list[at].program
	fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 3)
	return Program{fd, p.name}, err
}
