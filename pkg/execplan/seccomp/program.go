package seccomp

import (
	"errors"
	"fmt"
	"sort"
)

// Insn is one instruction, struct sock_filter.
type Insn struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// MaxProgram is the kernel's limit of instructions.
const MaxProgram = 4096

// ErrTooLong is returned for a filter above MaxProgram.
var ErrTooLong = errors.New("system call filter is too long for the kernel")

// ErrArchitecture is returned where there are no tables.
var ErrArchitecture = errors.New("no system call filters on this architecture")

// Action is what a filter does with a call.
type Action uint32

// The actions; seccomp(2). Errno adds the number to it.
const (
	KillProcess Action = 0x80000000
	Log         Action = 0x7ffc0000
	Allow       Action = 0x7fff0000
	errnoBase   Action = 0x00050000
)

// Errno fails the call with n.
func Errno(n uint16) Action { return errnoBase | Action(n) }

// Instruction codes; linux/bpf_common.h.
const (
	ldWord = 0x20 // A = data[K]
	jmp    = 0x05 // skip K
	jeq    = 0x15
	jge    = 0x35
	jset   = 0x45
	and    = 0x54
	ret    = 0x06
)

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// AUDIT_ARCH_ of the ABIs.
var auditArch = [archs]uint32{archAMD64: 0xc000003e, arch386: 0x40000003, archARM64: 0xc00000b7, archARM: 0x40000028}

// x32Bit marks the numbers of the x32 ABI, which shares amd64's arch word.
const x32Bit = 0x40000000

// argLow is the offset of the low half of argument i (little endian, as all
// architectures with tables are).
func argLow(i int) uint32 { return uint32(offArgs + 8*i) }

// rule is what happens with one call: code runs with nothing loaded and ends
// in a return on every path. A plain action is a one-instruction rule.
type rule []Insn

func returns(a Action) rule { return rule{{Code: ret, K: uint32(a)}} }

// program is a filter for all ABIs of a machine.
type program struct {
	machine string // GOARCH
	// rules of each ABI by number
	rules [archs]map[int32]rule
	// other is for calls without a rule, unknown for those above the table.
	other, unknown Action
}

func newProgram(machine string, other, unknown Action) *program {
	p := &program{machine: machine, other: other, unknown: unknown}
	for i := range p.rules {
		p.rules[i] = make(map[int32]rule)
	}
	return p
}

// abis lists the columns a machine's processes can use.
func abis(machine string) ([]int, error) {
	switch machine {
	case "amd64":
		return []int{archAMD64, arch386}, nil
	case "arm64":
		return []int{archARM64, archARM}, nil
	}
	return nil, fmt.Errorf("%w (%s)", ErrArchitecture, machine)
}

// set gives a call its rule on every ABI that has it.
func (p *program) set(name string, r rule) {
	c, ok := findCall(name)
	if !ok {
		return
	}
	for arch, nr := range c.nr {
		if nr >= 0 {
			p.rules[arch][nr] = r
		}
	}
}

func (p *program) setOn(arch int, name string, r rule) {
	if nr := number(arch, name); nr >= 0 {
		p.rules[arch][nr] = r
	}
}

// assemble puts the ABIs one behind the other.
func (p *program) assemble() ([]Insn, error) {
	list, err := abis(p.machine)
	if err != nil {
		return nil, err
	}
	code := []Insn{{Code: ldWord, K: offArch}}
	for _, arch := range list {
		body := p.abi(arch)
		code = append(code, Insn{Code: jeq, K: auditArch[arch], JT: 1}, Insn{Code: jmp, K: uint32(len(body))})
		code = append(code, body...)
	}
	code = append(code, returns(KillProcess)...)
	if len(code) > MaxProgram {
		return nil, fmt.Errorf("%w: %d instructions", ErrTooLong, len(code))
	}
	return code, nil
}

func (p *program) abi(arch int) []Insn {
	code := []Insn{{Code: ldWord, K: offNumber}}
	if arch == archAMD64 {
		// x32 has other numbers and no users: every filter refuses it.
		refuse := returns(Errno(enosys))
		code = append(code, Insn{Code: jge, K: x32Bit, JF: uint8(len(refuse))})
		code = append(code, refuse...)
	}
	return append(code, tree(p.ranges(arch))...)
}

const enosys = 38

// span is a run of numbers with the same rule.
type span struct {
	first uint32
	rule  rule
}

// ranges cuts the numbers of an ABI into spans, the last of which is open.
func (p *program) ranges(arch int) []span {
	named := make([]int32, 0, len(calls))
	for _, c := range calls {
		if c.nr[arch] >= 0 {
			named = append(named, c.nr[arch])
		}
	}
	sort.Slice(named, func(i, j int) bool { return named[i] < named[j] })
	var spans []span
	add := func(first uint32, r rule) {
		if n := len(spans); n > 0 && same(spans[n-1].rule, r) {
			return
		}
		spans = append(spans, span{first, r})
	}
	next := uint32(0)
	for _, nr := range named {
		if uint32(nr) > next {
			add(next, returns(p.unknown))
		}
		r, ok := p.rules[arch][nr]
		if !ok {
			r = returns(p.other)
		}
		add(uint32(nr), r)
		next = uint32(nr) + 1
	}
	add(next, returns(p.unknown))
	return spans
}

func same(a, b rule) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// tree is a binary search over spans for the number in A.
func tree(spans []span) []Insn {
	if len(spans) == 1 {
		return spans[0].rule
	}
	mid := len(spans) / 2
	low, high := tree(spans[:mid]), tree(spans[mid:])
	code := make([]Insn, 0, len(low)+len(high)+2)
	if len(low) < 256 {
		code = append(code, Insn{Code: jge, K: spans[mid].first, JT: uint8(len(low))})
	} else {
		code = append(code, Insn{Code: jge, K: spans[mid].first, JF: 1}, Insn{Code: jmp, K: uint32(len(low))})
	}
	return append(append(code, low...), high...)
}
