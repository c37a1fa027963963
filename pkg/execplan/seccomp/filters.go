package seccomp

import (
	"fmt"
	"strings"
)

const (
	eperm        = 1
	eafnosupport = 97
)

// named is what a list says about one call.
type named struct {
	action Action
	has    bool // an errno of its own
}

// List makes the filter of SystemCallFilter= or SystemCallLog=. Names are
// calls and groups, with "~" in front to take them out of the list again, and
// ":number" (or ":kill") behind for an errno of their own. With allow, what is
// not in the list (and not in @default) meets with deny; otherwise what is.
// Names nobody knows are ignored, as older and newer systems have other calls,
// and returned in unknown.
func List(machine string, allow bool, names []string, deny Action) (code []Insn, unknown []string, err error) {
	list := map[string]named{}
	if allow {
		names = append([]string{"@default"}, names...)
	}
	for _, entry := range names {
		missing, err := apply(list, allow, entry)
		if err != nil {
			return nil, unknown, fmt.Errorf("%s: %w", entry, err)
		}
		unknown = append(unknown, missing...)
	}
	other, newer := Allow, Allow
	if allow {
		other, newer = deny, Errno(enosys)
	}
	p := newProgram(machine, other, newer)
	// order-free: one rule per call, and the program is sorted when it is assembled
	for c, n := range list {
		switch {
		case n.has:
			p.set(c, returns(n.action))
		case allow:
			p.set(c, returns(Allow))
		default:
			p.set(c, returns(deny))
		}
	}
	code, err = p.assemble()
	return code, unknown, err
}

// LogList makes the filter of SystemCallLog=: the calls of the list are logged
// and made, or with only false all but those.
func LogList(machine string, only bool, names []string) ([]Insn, error) {
	list := map[string]named{}
	for _, entry := range names {
		if _, err := apply(list, only, entry); err != nil {
			return nil, fmt.Errorf("%s: %w", entry, err)
		}
	}
	listed, other := Log, Allow
	if !only {
		listed, other = Allow, Log
	}
	p := newProgram(machine, other, other)
	// order-free: one rule per call, and the program is sorted when it is assembled
	for c := range list {
		p.set(c, returns(listed))
	}
	return p.assemble()
}

// apply adds one entry to a list, or takes it away.
func apply(list map[string]named, allow bool, entry string) (unknown []string, err error) {
	entry, remove := strings.CutPrefix(entry, "~")
	name, suffix, has := strings.Cut(entry, ":")
	n := named{has: has}
	if has {
		if n.action, err = suffixAction(suffix); err != nil {
			return nil, err
		}
	}
	calls, unknown := Expand([]string{name})
	for _, c := range calls {
		// A removal with an errno of its own from an allow list denies with that.
		if remove && !(allow && has) {
			delete(list, c)
			continue
		}
		list[c] = n
	}
	return unknown, nil
}

func suffixAction(s string) (Action, error) {
	const maxErrno = 4095
	if s == "kill" {
		return KillProcess, nil
	}
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' || n > maxErrno {
			return 0, fmt.Errorf("errno %q is not a number", s)
		}
		n = n*10 + int(c-'0')
	}
	if s == "" || n > maxErrno {
		return 0, fmt.Errorf("errno %q is not a number", s)
	}
	return Errno(uint16(n)), nil
}

// Deny makes a filter that fails the named calls and groups with errno.
func Deny(machine string, names []string, errno uint16) ([]Insn, error) {
	code, _, err := List(machine, false, names, Errno(errno))
	return code, err
}

// AddressFamilies makes the filter of RestrictAddressFamilies=: socket(2) with
// a family outside (allow) or inside (not allow) of families fails with
// EAFNOSUPPORT. i386's socketcall(2) hides its arguments in memory and passes.
func AddressFamilies(machine string, allow bool, families []uint32) ([]Insn, error) {
	p := newProgram(machine, Allow, Allow)
	in, out := returns(Errno(eafnosupport))[0], returns(Allow)[0]
	if allow {
		in, out = out, in
	}
	r := rule{{Code: ldWord, K: argLow(0)}}
	for _, f := range families {
		r = append(r, Insn{Code: jeq, K: f, JF: 1}, in)
	}
	p.set("socket", append(r, out))
	return p.assemble()
}

// newTime is CLONE_NEWTIME. It shares its bit with the exit signal in the
// flags of clone(2), which therefore does not have it.
const newTime = 0x80

const cloneNewMask = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | newTime

// Namespaces makes the filter of RestrictNamespaces=: kinds outside retain
// (CLONE_NEW… flags) can neither be made nor joined. clone3 keeps its flags in
// memory and is refused with ENOSYS, so that programs use clone.
func Namespaces(machine string, retain uint32) ([]Insn, error) {
	forbidden := uint32(cloneNewMask) &^ retain
	refuse := returns(Errno(eperm))[0]
	pass := returns(Allow)[0]
	flags := func(mask uint32) rule {
		return rule{{Code: ldWord, K: argLow(0)}, {Code: jset, K: mask, JF: 1}, refuse, pass}
	}
	p := newProgram(machine, Allow, Allow)
	p.set("unshare", flags(forbidden))
	p.set("clone", flags(forbidden&^newTime))
	p.set("clone3", returns(Errno(enosys)))
	if forbidden == cloneNewMask {
		p.set("setns", rule{refuse})
	} else {
		// Type 0 joins whatever the descriptor is for.
		p.set("setns", rule{
			{Code: ldWord, K: argLow(1)},
			{Code: jeq, K: 0, JF: 1}, refuse,
			{Code: jset, K: forbidden, JF: 1}, refuse, pass,
		})
	}
	return p.assemble()
}

// WriteExecute makes the filter of MemoryDenyWriteExecute=: no mapping that is
// writable and executable, and none made executable afterwards.
func WriteExecute(machine string) ([]Insn, error) {
	const protWrite, protExec, shmExec = 0x2, 0x4, 0o100000
	refuse, pass := returns(Errno(eperm))[0], returns(Allow)[0]
	p := newProgram(machine, Allow, Allow)
	both := rule{
		{Code: ldWord, K: argLow(2)},
		{Code: and, K: protWrite | protExec},
		{Code: jeq, K: protWrite | protExec, JF: 1}, refuse, pass,
	}
	exec := rule{{Code: ldWord, K: argLow(2)}, {Code: jset, K: protExec, JF: 1}, refuse, pass}
	for _, arch := range []int{archAMD64, archARM64} {
		p.setOn(arch, "mmap", both)
	}
	// The old mmap of i386 has its arguments in memory: refused.
	p.setOn(arch386, "mmap", rule{refuse})
	for _, arch := range []int{arch386, archARM} {
		p.setOn(arch, "mmap2", both)
	}
	p.set("mprotect", exec)
	p.set("pkey_mprotect", exec)
	p.set("shmat", rule{{Code: ldWord, K: argLow(2)}, {Code: jset, K: shmExec, JF: 1}, refuse, pass})
	return p.assemble()
}

// Realtime makes the filter of RestrictRealtime=: no scheduling policy but the
// time-sharing ones.
func Realtime(machine string) ([]Insn, error) {
	const other, batch, idle = 0, 3, 5
	refuse, pass := returns(Errno(eperm))[0], returns(Allow)[0]
	p := newProgram(machine, Allow, Allow)
	p.set("sched_setscheduler", rule{
		{Code: ldWord, K: argLow(1)},
		{Code: jeq, K: other, JF: 1}, pass,
		{Code: jeq, K: batch, JF: 1}, pass,
		{Code: jeq, K: idle, JF: 1}, pass, refuse,
	})
	// DEVIATION: systemd lets sched_setattr pass. Its policy is in memory, where
	// a filter can't look, so it is refused.
	p.set("sched_setattr", rule{refuse})
	return p.assemble()
}

// SUIDSGID makes the filter of RestrictSUIDSGID=: no call that sets the
// set-user-id or set-group-id bit of a file.
func SUIDSGID(machine string) ([]Insn, error) {
	const bits, oCreat, oTmpfile = 0o6000, 0o100, 0o20000000
	refuse, pass := returns(Errno(eperm))[0], returns(Allow)[0]
	mode := func(arg int) rule {
		return rule{{Code: ldWord, K: argLow(arg)}, {Code: jset, K: bits, JF: 1}, refuse, pass}
	}
	// The mode of open counts only when a file may be made.
	open := func(flags, arg int) rule {
		return append(rule{{Code: ldWord, K: argLow(flags)}, {Code: jset, K: oCreat | oTmpfile, JT: 1}, pass}, mode(arg)...)
	}
	p := newProgram(machine, Allow, Allow)
	// order-free: as above
	for name, arg := range map[string]int{
		"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1, "mknodat": 2, "creat": 1,
	} {
		p.set(name, mode(arg))
	}
	p.set("open", open(1, 2))
	p.set("openat", open(2, 3))
	// Arguments in memory: programs fall back to openat.
	p.set("openat2", returns(Errno(enosys)))
	return p.assemble()
}

// Personality makes the filter of LockPersonality=: only persona, the one in
// force, and asking for it are allowed.
func Personality(machine string, persona uint32) ([]Insn, error) {
	const ask = 0xffffffff
	refuse, pass := returns(Errno(eperm))[0], returns(Allow)[0]
	p := newProgram(machine, Allow, Allow)
	p.set("personality", rule{
		{Code: ldWord, K: argLow(0)},
		{Code: jeq, K: persona, JF: 1}, pass,
		{Code: jeq, K: ask, JF: 1}, pass, refuse,
	})
	return p.assemble()
}

// KernelLogs makes the filter of ProtectKernelLogs=.
func KernelLogs(machine string) ([]Insn, error) { return Deny(machine, []string{"syslog"}, eperm) }

// KernelModules makes the filter of ProtectKernelModules=.
func KernelModules(machine string) ([]Insn, error) { return Deny(machine, []string{"@module"}, eperm) }

// Clock makes the filter of ProtectClock=.
func Clock(machine string) ([]Insn, error) { return Deny(machine, []string{"@clock"}, eperm) }

// Hostname makes the filter of ProtectHostname=.
func Hostname(machine string) ([]Insn, error) {
	return Deny(machine, []string{"sethostname", "setdomainname"}, eperm)
}

// RawIO makes the filter of PrivateDevices=.
func RawIO(machine string) ([]Insn, error) { return Deny(machine, []string{"@raw-io"}, eperm) }

// Architectures makes the filter of SystemCallArchitectures=: ABIs outside the
// list kill the process. Names are those of systemd; native is the machine's.
func Architectures(machine string, names []string) ([]Insn, error) {
	list, err := abis(machine)
	if err != nil {
		return nil, err
	}
	abiName := [archs]string{"x86-64", "x86", "arm64", "arm"}
	allowed := map[string]bool{}
	for _, n := range names {
		if n == "native" {
			n = abiName[list[0]]
		}
		allowed[n] = true
	}
	code := []Insn{{Code: ldWord, K: offArch}}
	for _, arch := range list {
		body := returns(KillProcess)
		if allowed[abiName[arch]] {
			body = returns(Allow)
		}
		if arch == archAMD64 {
			x32 := returns(KillProcess)[0]
			if allowed["x32"] {
				x32 = returns(Allow)[0]
			}
			body = append(rule{{Code: ldWord, K: offNumber}, {Code: jge, K: x32Bit, JF: 1}, x32}, body...)
		}
		code = append(code, Insn{Code: jeq, K: auditArch[arch], JF: uint8(len(body))})
		code = append(code, body...)
	}
	return append(code, returns(KillProcess)...), nil
}
