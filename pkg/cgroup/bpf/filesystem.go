package bpf

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What the kernel calls a program of a group that is asked by its security hooks.
const (
	progTypeLSM     = 29
	attachLSMCgroup = AttachType(43)
)

const (
	opLoad64 = 0x79 // dst = *(u64 *)(src + off)
	jumpEq32 = 0x16 // 32 bit
)

// gplLicense is what the kernel asks of programs for security hooks: this one is under either license.
var gplLicense = []byte("Dual MIT/GPL\x00")

// magicMax bounds the numbers of file systems; the verifier would take more.
const magicMax = 1024

// RestrictFileSystems lets the processes of a group open files only on file systems whose magic number is in the list, or with allow false, on all but
// those. It takes a kernel whose security modules include bpf, and the group's directory. A list that was set before is replaced.
func RestrictFileSystems(dir int, magic []uint32, allow bool) error {
	if len(magic) > magicMax {
		return fmt.Errorf("%d file systems: %w", len(magic), unix.E2BIG)
	}
	t, err := kernelTypes()
	if err != nil {
		return err
	}
	hook := t.find(kindFunc, "bpf_lsm_file_open")
	if hook == 0 {
		return fmt.Errorf("%w: no hook bpf_lsm_file_open", ErrTypes)
	}
	code, err := fileSystemCode(t, magic, allow)
	if err != nil {
		return err
	}
	p, err := loadFor(namePrefix+"filesystems", progTypeLSM, attachLSMCgroup, hook, gplLicense, code)
	if err != nil {
		return err
	}
	defer p.Close()
	return install(dir, attachLSMCgroup, p)
}

// fileSystemCode is the program: 1 lets the file be opened, 0 is EPERM.
func fileSystemCode(t *types, magic []uint32, allow bool) ([]instruction, error) {
	a := &assembler{}
	a.add(opLoad64, r1, r1, 0, 0) // the file, first argument of the hook
	for _, step := range [][2]string{{"file", "f_inode"}, {"inode", "i_sb"}, {"super_block", "s_magic"}} {
		offset, err := t.member(step[0], step[1])
		if err != nil {
			return nil, err
		}
		a.add(opLoad64, r1, r1, offset, 0)
	}
	var found []int
	for _, m := range magic {
		found = append(found, a.branch(jumpEq32, r1, int32(m)))
	}
	yes, no := int32(1), int32(0)
	if !allow {
		yes, no = no, yes
	}
	a.verdict(no)
	a.land(found...)
	a.verdict(yes)
	return a.code, nil
}
