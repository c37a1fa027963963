package kernel

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bytesOf is the memory of a fixed-size structure, to be copied into a list.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// Setsid starts a new session; setsid(2).
func (l *OpList) Setsid(status uint8) { l.Syscall(OpSetsid, status, unix.SYS_SETSID) }

// Dup copies fd to number target without close-on-exec; when they are the
// same number it only clears the flag. Compare dup2(2).
func (l *OpList) Dup(status uint8, fd, target int) {
	if fd == target {
		l.KeepFD(status, fd)
		return
	}
	l.Syscall(OpDup, status, unix.SYS_DUP3, FD(fd), Int(target), Value(0))
}

// DupResult copies the descriptor an earlier op opened to number target and
// leaves the original open, close-on-exec.
func (l *OpList) DupResult(status uint8, fd OpRef, target int) {
	l.Syscall(OpDup, status, unix.SYS_DUP3, Result(fd), Int(target), Value(0))
	// dup3 refuses equal numbers, which then need nothing but the cleared flag.
	l.Tolerate(unix.EINVAL)
	l.Syscall(OpDup, status, unix.SYS_FCNTL, Int(target), Value(unix.F_SETFD), Value(0))
}

// KeepFD clears close-on-exec of fd.
func (l *OpList) KeepFD(status uint8, fd int) {
	l.Syscall(OpDup, status, unix.SYS_FCNTL, FD(fd), Value(unix.F_SETFD), Value(0))
}

// PlaceFDs moves fds to first, first+1, … as sd_listen_fds(3) wants them,
// whatever numbers they have and whatever is open at the targets, and clears
// their close-on-exec. The originals stay open, close-on-exec. An fd may occur
// more than once. Descriptors that later ops of the list use and that have
// numbers from first to first+len(fds)-1 are overwritten: pass them through
// [OpList.SafeFD] before.
func (l *OpList) PlaceFDs(status uint8, fds []int, first int) {
	refs := make([]OpRef, len(fds))
	for i, fd := range fds {
		refs[i] = l.SafeFD(status, fd, first+len(fds))
	}
	for i, ref := range refs {
		l.Syscall(OpDup, status, unix.SYS_DUP3, Result(ref), Int(first+i), Value(0))
	}
}

// SafeFD duplicates fd close-on-exec to a number of at least floor.
func (l *OpList) SafeFD(status uint8, fd, floor int) OpRef {
	return l.Syscall(OpDup, status, unix.SYS_FCNTL, FD(fd), Value(unix.F_DUPFD_CLOEXEC), Int(floor))
}

// CloseFrom closes every descriptor numbered first or more; close_range(2).
func (l *OpList) CloseFrom(status uint8, first int) {
	l.Syscall(OpCloseRange, status, unix.SYS_CLOSE_RANGE, Int(first), Value(1<<32-1), Value(0))
}

// CloexecFrom makes every descriptor numbered first or more close-on-exec.
func (l *OpList) CloexecFrom(status uint8, first int) {
	l.Syscall(OpCloseRange, status, unix.SYS_CLOSE_RANGE, Int(first), Value(1<<32-1), Value(unix.CLOSE_RANGE_CLOEXEC))
}

// Close closes a descriptor.
func (l *OpList) Close(fd Arg) { l.Syscall(OpClose, 0, unix.SYS_CLOSE, fd) }

// Umask sets the file mode creation mask.
func (l *OpList) Umask(mask uint32) { l.Syscall(OpUmask, 0, unix.SYS_UMASK, Value(uintptr(mask))) }

// Setrlimit sets both limits of one RLIMIT_ resource; prlimit(2).
func (l *OpList) Setrlimit(status uint8, resource int, soft, hard uint64) {
	limit := unix.Rlimit{Cur: soft, Max: hard}
	l.Syscall(OpRlimit, status, unix.SYS_PRLIMIT64, Value(0), Int(resource), l.Bytes(bytesOf(&limit)), Value(0))
}

// Setpriority sets the nice level, -20 to 19.
func (l *OpList) Setpriority(status uint8, nice int) {
	l.Syscall(OpNice, status, unix.SYS_SETPRIORITY, Value(unix.PRIO_PROCESS), Value(0), Int(nice))
}

// Ioprio sets the I/O class (1 real-time, 2 best-effort, 3 idle) and its
// priority 0-7; ioprio_set(2).
func (l *OpList) Ioprio(status uint8, class, priority int) {
	const whoProcess, classShift = 1, 13
	l.Syscall(OpIoprio, status, unix.SYS_IOPRIO_SET, Value(whoProcess), Value(0), Int(class<<classShift|priority))
}

// SchedSetAttr sets the CPU scheduling policy with all its parameters; sched_setattr(2).
func (l *OpList) SchedSetAttr(status uint8, attr unix.SchedAttr) {
	attr.Size = unix.SizeofSchedAttr
	l.Syscall(OpSched, status, unix.SYS_SCHED_SETATTR, Value(0), l.Bytes(bytesOf(&attr)), Value(0))
}

// SchedSetScheduler sets policy (SCHED_RESET_ON_FORK may be or'ed in) and
// real-time priority; sched_setscheduler(2).
func (l *OpList) SchedSetScheduler(status uint8, policy, priority int) {
	prio := int32(priority)
	l.Syscall(OpSched, status, unix.SYS_SCHED_SETSCHEDULER, Value(0), Int(policy), l.Bytes(bytesOf(&prio)))
}

// SetAffinity sets the CPU mask, CPU 0 in bit 0 of byte 0; its length is
// rounded up to 8 bytes.
func (l *OpList) SetAffinity(status uint8, mask []byte) {
	n := (len(mask) + 7) &^ 7
	padded := make([]byte, n)
	copy(padded, mask)
	l.Syscall(OpAffinity, status, unix.SYS_SCHED_SETAFFINITY, Value(0), Value(uintptr(n)), l.Bytes(padded))
}

// SetMempolicy sets the NUMA policy with a node mask; set_mempolicy(2).
func (l *OpList) SetMempolicy(status uint8, mode int, nodes []byte) {
	n := (len(nodes) + 7) &^ 7
	if n == 0 {
		l.Syscall(OpMempolicy, status, unix.SYS_SET_MEMPOLICY, Int(mode), Value(0), Value(0))
		return
	}
	padded := make([]byte, n)
	copy(padded, nodes)
	l.Syscall(OpMempolicy, status, unix.SYS_SET_MEMPOLICY, Int(mode), l.Bytes(padded), Value(uintptr(n*8+1)))
}

// Open opens a file close-on-exec. The path is resolved in the child, which
// may block there for as long as it likes.
func (l *OpList) Open(status uint8, path string, flags int, mode uint32) OpRef {
	return l.Syscall(OpOpen, status, unix.SYS_OPENAT, FD(unix.AT_FDCWD), l.String(path),
		Int(flags|unix.O_CLOEXEC), Value(uintptr(mode)))
}

// OpenTo opens a file and puts it at number target, not close-on-exec.
func (l *OpList) OpenTo(status uint8, path string, flags int, mode uint32, target int) {
	fd := l.Open(status, path, flags, mode)
	l.DupResult(status, fd, target)
}

// Write writes b to fd in one write(2); a short write is not noticed.
func (l *OpList) Write(status uint8, fd Arg, b []byte) {
	l.Syscall(OpWrite, status, unix.SYS_WRITE, fd, l.Bytes(b), Value(uintptr(len(b))))
}

// WriteFile opens path for writing, writes content at once and closes, the way
// cgroup.procs wants it.
func (l *OpList) WriteFile(status uint8, path, content string) {
	fd := l.Open(status, path, unix.O_WRONLY|unix.O_NOCTTY, 0)
	l.Write(status, Result(fd), []byte(content))
	l.Close(Result(fd))
}

// SetControllingTTY makes fd the controlling terminal, stealing it from
// another session if steal; TIOCSCTTY in ioctl_tty(2).
func (l *OpList) SetControllingTTY(status uint8, fd int, steal bool) {
	l.Syscall(OpTTY, status, unix.SYS_IOCTL, FD(fd), Value(unix.TIOCSCTTY), Value(boolArg(steal)))
}

// Chdir changes the working directory.
func (l *OpList) Chdir(status uint8, path string) OpRef {
	return l.Syscall(OpChdir, status, unix.SYS_CHDIR, l.String(path))
}

// Fchdir changes the working directory to an open directory.
func (l *OpList) Fchdir(status uint8, fd int) {
	l.Syscall(OpChdir, status, unix.SYS_FCHDIR, FD(fd))
}

// Chroot changes the root directory. It doesn't change the working directory.
func (l *OpList) Chroot(status uint8, path string) {
	l.Syscall(OpChroot, status, unix.SYS_CHROOT, l.String(path))
}

// Setns joins the namespace behind fd; nstype as in setns(2), 0 for any.
func (l *OpList) Setns(status uint8, fd, nstype int) {
	l.Syscall(OpNamespace, status, unix.SYS_SETNS, FD(fd), Int(nstype))
}

// Unshare leaves the given namespaces; unshare(2).
func (l *OpList) Unshare(status uint8, flags uintptr) {
	l.Syscall(OpNamespace, status, unix.SYS_UNSHARE, Value(flags))
}

// Sigmask sets the blocked signals, bit 0 being signal 1.
func (l *OpList) Sigmask(blocked uint64) {
	l.Syscall(OpSignal, 0, unix.SYS_RT_SIGPROCMASK, Value(unix.SIG_SETMASK), l.Bytes(bytesOf(&blocked)), Value(0), Value(8))
	l.maskSet = true
}

// IgnoreSignal sets the disposition of sig to ignored, e.g. SIGPIPE.
func (l *OpList) IgnoreSignal(sig unix.Signal) { l.disposition(sig, sigIgn) }

// DefaultSignal sets the disposition of sig to its default. Handlers of ours
// are reset by the kernel anyway (CLONE_CLEAR_SIGHAND); what we inherited as
// ignored is not.
func (l *OpList) DefaultSignal(sig unix.Signal) { l.disposition(sig, sigDfl) }

// sigaction is the kernel's struct for rt_sigaction(2) on LP64 (not libc's).
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	sigDfl = 0
	sigIgn = 1
)

func (l *OpList) disposition(sig unix.Signal, handler uintptr) {
	act := sigaction{handler: handler}
	l.Syscall(OpSignal, 0, unix.SYS_RT_SIGACTION, Value(uintptr(sig)), l.Bytes(bytesOf(&act)), Value(0), Value(8))
}

// Exec executes path with the given argument and environment strings. Each
// name in pidVars is added to the environment with the child's own pid as its
// value (LISTEN_PID, SYSTEMD_EXEC_PID, WATCHDOG_PID…), or with the inode number
// of its pidfd if it ends in [PidFDIDSuffix], after [OpList.PidFDID]. Unless a Sigmask op
// precedes it, all signals are unblocked. With status 0 a failed Exec falls
// through to the next op, so several candidates may be tried in turn.
func (l *OpList) Exec(status uint8, path string, argv, env []string, pidVars ...string) {
	p, a, e := l.String(path), l.Strings(argv), l.environment(env, pidVars)
	l.unblock()
	l.Syscall(OpExec, status, unix.SYS_EXECVE, p, a, e)
}

// ExecFD executes the file behind fd (AT_EMPTY_PATH), e.g. a sealed memfd; see
// [OpList.Exec]. A script cannot be executed by a close-on-exec descriptor.
func (l *OpList) ExecFD(status uint8, fd Arg, argv, env []string, pidVars ...string) {
	p, a, e := l.String(""), l.Strings(argv), l.environment(env, pidVars)
	l.unblock()
	l.Syscall(OpExec, status, unix.SYS_EXECVEAT, fd, p, a, e, Value(unix.AT_EMPTY_PATH))
}

func (l *OpList) unblock() {
	if !l.maskSet {
		l.Sigmask(0)
	}
}

func (l *OpList) environment(env, pidVars []string) Arg {
	if len(pidVars) == 0 {
		return l.Strings(env)
	}
	at := l.pointers(len(env) + len(pidVars) + 1)
	for i, s := range env {
		l.setPointer(at, i, l.cstring(s, 0))
	}
	for i, name := range pidVars {
		s := Arg{}
		if strings.HasSuffix(name, PidFDIDSuffix) {
			s = l.pidFDString(name + "=")
		} else {
			s = l.PidString(name + "=")
		}
		l.setPointer(at, len(env)+i, int(s.v))
	}
	return Arg{argData, uint64(at)}
}

// Exit ends the child with status.
func (l *OpList) Exit(status uint8) {
	l.Syscall(OpExit, 0, unix.SYS_EXIT_GROUP, Value(uintptr(status)))
}

func boolArg(b bool) uintptr {
	if b {
		return 1
	}
	return 0
}
