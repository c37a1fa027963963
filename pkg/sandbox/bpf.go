package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// BPF rights are delegated by options of a bpf file system (BPFDelegateCommands= and its neighbours). A token is only given on one that belongs to the
// user namespace of who asks, so the process opens it there; the options are only taken from who has rights in the first user namespace, so a helper that
// stayed there sets them on the same open file, and creates the file system.

const bpfDir = "/sys/fs/bpf"

const fsconfigSetString, fsconfigCreate = 1, 6 // FSCONFIG_… of linux/mount.h

// delegatesBPF says whether the file system is made in the user namespace: if that may mount. Else its options are there to be seen.
func delegatesBPF(s *plan.Sandbox) bool {
	return s.PrivateBPF && len(s.BPFOptions) > 0 && (isOn(s.PrivateUsers) || s.UsersPath != "") && s.MountNamespace && s.Delegated&unix.CLONE_NEWNS != 0
}

// bpfHelper sets the options when it is told that the file system is open.
type bpfHelper struct {
	child *kernel.Child
	tell  int // the end of the pipe that tells it
	fs    int // the number under which it finds the open file system; until then the other end of the pipe
}

// start makes the helper, while the process still has all rights and threads.
func (h *bpfHelper) start(options []plan.MountOption) error {
	var tell [2]int
	if err := unix.Pipe2(tell[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	self, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		return err
	}
	var l kernel.OpList
	buf := l.Bytes(make([]byte, 8))
	l.Close(kernel.FD(tell[1]))
	l.Syscall(kernel.OpOther, plan.ExitBPF, unix.SYS_READ, kernel.FD(tell[0]), buf, kernel.Value(1))
	fs := l.Syscall(kernel.OpOther, plan.ExitBPF, unix.SYS_PIDFD_GETFD, kernel.FD(self), kernel.Value(uintptr(tell[0])), kernel.Value(0))
	for _, o := range options {
		l.Syscall(kernel.OpOther, plan.ExitBPF, unix.SYS_FSCONFIG, kernel.Result(fs), kernel.Value(fsconfigSetString), l.String(o.Name), l.String(o.Value), kernel.Value(0))
	}
	l.Syscall(kernel.OpOther, plan.ExitBPF, unix.SYS_FSCONFIG, kernel.Result(fs), kernel.Value(fsconfigCreate), kernel.Value(0), kernel.Value(0), kernel.Value(0))
	l.Exit(0)
	h.child, err = kernel.Spawn(&l, kernel.SpawnOptions{NoPidFD: true})
	unix.Close(self)
	h.fs, h.tell = tell[0], tell[1]
	return err
}

// delegateBPF mounts the file system over the one of PrivateBPF=. The process has one thread and is in the user namespace.
func delegateBPF(r *run) *plan.Failure {
	fail := func(err error) *plan.Failure {
		return failed(plan.ExitBPF, r.p.Sandbox.BPFOptions[0].Setting, bpfDir, err)
	}
	name, empty, dir := [...]byte{'b', 'p', 'f', 0}, [...]byte{0}, append([]byte(bpfDir), 0)
	fs, _, errno := unix.RawSyscall(unix.SYS_FSOPEN, uintptr(unsafe.Pointer(&name)), unix.FSOPEN_CLOEXEC, 0)
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_DUP3, fs, uintptr(r.bpf.fs), unix.O_CLOEXEC)
	}
	if errno == 0 {
		rawClose(int(fs))
		if err := rawWrite(r.bpf.tell); err != nil {
			return fail(err)
		}
	}
	rawClose(r.bpf.tell) // if there was an error, the helper ends by itself
	status, err := rawWait(r.bpf.child.Pid)
	switch {
	case errno != 0:
		return fail(errno)
	case err != nil:
		return fail(err)
	case status != 0:
		if r := r.bpf.child.Release(); r.Errno != 0 {
			return fail(r.Errno)
		}
		return fail(unix.ECHILD)
	}
	mount, _, errno := unix.RawSyscall(unix.SYS_FSMOUNT, uintptr(r.bpf.fs), unix.FSMOUNT_CLOEXEC, 0)
	rawClose(r.bpf.fs)
	if errno != 0 {
		return fail(errno)
	}
	at := int(unix.AT_FDCWD)
	_, _, errno = unix.RawSyscall6(unix.SYS_MOVE_MOUNT, mount, uintptr(unsafe.Pointer(&empty)), uintptr(at), uintptr(unsafe.Pointer(&dir[0])), unix.MOVE_MOUNT_F_EMPTY_PATH, 0)
	rawClose(int(mount))
	if errno != 0 {
		return fail(errno)
	}
	return nil
}
