package kernel

import (
	"golang.org/x/sys/unix"
)

// Setgroups sets the supplementary groups; setgroups(2).
func (l *OpList) Setgroups(status uint8, gids []uint32) {
	var list []byte
	for i := range gids {
		list = append(list, bytesOf(&gids[i])...)
	}
	l.Syscall(OpGroups, status, unix.SYS_SETGROUPS, Value(uintptr(len(gids))), l.Bytes(list))
}

// Setresgid sets real, effective and saved group id.
func (l *OpList) Setresgid(status uint8, gid uint32) {
	g := Value(uintptr(gid))
	l.Syscall(OpGroup, status, unix.SYS_SETRESGID, g, g, g)
}

// Setresuid sets real, effective and saved user id. In a child that shares our
// memory this also clears our dumpable flag (see prctl(2), PR_SET_DUMPABLE),
// which is what keeps that user from tracing the child before it executes:
// leave the flag alone.
func (l *OpList) Setresuid(status uint8, uid uint32) {
	u := Value(uintptr(uid))
	l.Syscall(OpUser, status, unix.SYS_SETRESUID, u, u, u)
}

// Prctl appends any prctl(2).
func (l *OpList) Prctl(name OpName, status uint8, option int, args ...uintptr) {
	a := [5]Arg{Int(option)}
	for i := range a[1:] {
		a[i+1] = Value(0)
		if i < len(args) {
			a[i+1] = Value(args[i])
		}
	}
	l.Syscall(name, status, unix.SYS_PRCTL, a[:]...)
}

// KeepCaps keeps the permitted capabilities over the next change of user id.
func (l *OpList) KeepCaps(status uint8) { l.Prctl(OpKeepCaps, status, unix.PR_SET_KEEPCAPS, 1) }

// Securebits sets the SECBIT_ flags; capabilities(7).
func (l *OpList) Securebits(status uint8, bits uint32) {
	l.Prctl(OpSecurebits, status, unix.PR_SET_SECUREBITS, uintptr(bits))
}

// NoNewPrivileges sets no_new_privs; prctl(2).
func (l *OpList) NoNewPrivileges(status uint8) {
	l.Prctl(OpNoNewPrivileges, status, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// ParentDeathSignal asks for sig when the thread that spawned the child ends.
func (l *OpList) ParentDeathSignal(status uint8, sig unix.Signal) {
	l.Prctl(OpPdeathsig, status, unix.PR_SET_PDEATHSIG, uintptr(sig))
}

// TimerSlack sets the timer slack in ns, 0 for the default.
func (l *OpList) TimerSlack(status uint8, slackNSec uint64) {
	l.Prctl(OpTimerSlack, status, unix.PR_SET_TIMERSLACK, uintptr(slackNSec))
}

// Personality sets the execution domain; personality(2).
func (l *OpList) Personality(status uint8, persona uintptr) {
	l.Syscall(OpPersonality, status, unix.SYS_PERSONALITY, Value(persona))
}

// SetName sets the command name shown until the exec, cut to 15 bytes.
func (l *OpList) SetName(name string) {
	if len(name) > 15 {
		name = name[:15]
	}
	l.Syscall(OpCommand, 0, unix.SYS_PRCTL, Value(unix.PR_SET_NAME), l.String(name), Value(0), Value(0), Value(0))
}

// DropBounding removes every capability from the bounding set whose bit is not
// in keep. last is the kernel's highest capability ([LastCapability]).
func (l *OpList) DropBounding(status uint8, keep uint64, last int) {
	for c := 0; c <= last && c < 64; c++ {
		if keep>>c&1 == 0 {
			l.Prctl(OpBounding, status, unix.PR_CAPBSET_DROP, uintptr(c))
		}
	}
}

// Capset sets the three capability sets as bit masks; capset(2).
func (l *OpList) Capset(status uint8, effective, permitted, inheritable uint64) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := capData(effective, permitted, inheritable)
	l.Syscall(OpCapset, status, unix.SYS_CAPSET, l.Bytes(bytesOf(&hdr)), l.Bytes(bytesOf(&data)))
}

// RaiseAmbient clears the ambient set and raises the given capabilities, which
// must be permitted and inheritable already.
func (l *OpList) RaiseAmbient(status uint8, set uint64) {
	l.Prctl(OpAmbient, status, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	for c := range 64 {
		if set>>c&1 == 1 {
			l.Prctl(OpAmbient, status, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c))
		}
	}
}

// Seccomp installs a filter program: cBPF instructions as struct sock_filter.
// Without CAP_SYS_ADMIN no_new_privs must be set before; seccomp(2).
func (l *OpList) Seccomp(status uint8, program []unix.SockFilter, flags uintptr) {
	if len(program) == 0 || len(program) > 4096 {
		l.fail("seccomp program of %d instructions", len(program))
		return
	}
	var code []byte
	for i := range program {
		code = append(code, bytesOf(&program[i])...)
	}
	text := l.Bytes(code)
	prog := l.pointers(2) // struct sock_fprog: u16 length, padding, pointer
	if l.err != nil {
		return
	}
	length := uint16(len(program))
	copy(l.data[prog:], bytesOf(&length))
	l.setPointer(prog, 1, int(text.v))
	l.Syscall(OpSeccomp, status, unix.SYS_SECCOMP, Value(unix.SECCOMP_SET_MODE_FILTER), Value(flags), Arg{argData, uint64(prog)})
}

// Keyctl appends any keyctl(2); the result (a key serial) may be used by later ops.
func (l *OpList) Keyctl(status uint8, operation int, args ...Arg) OpRef {
	return l.Syscall(OpKeyring, status, unix.SYS_KEYCTL, append([]Arg{Int(operation)}, args...)...)
}
