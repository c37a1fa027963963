package kernel

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// SIGRTMIN is the C library's first real-time signal, the base of the
// SIGRTMIN+n of systemd(1); the kernel's own first is 32. SIGRTMAX is the last.
const (
	SIGRTMIN = unix.Signal(34)
	SIGRTMAX = unix.Signal(64)
)

// CommandDumpJobs is a value of SIGRTMIN+18: log the queued jobs (systemd(1), "Signals").
const CommandDumpJobs = 0x500

// The si_code values that tell a sender; sigaction(2).
const (
	SIUser   = 0    // kill(2)
	SIKernel = 0x80 // the kernel itself: ctrl-alt-del, kbrequest
	SIQueue  = -1   // sigqueue(3), pidfd_send_signal(2) with siginfo
	SITkill  = -6   // tgkill(2)
)

// SigInfo is what the kernel tells about one signal.
type SigInfo struct {
	Signo unix.Signal
	Code  int32  // SI_… or, for SIGCHLD, CLD_…
	Pid   int    // sender, or the child; 0 if the kernel sent it
	Uid   uint32 // real uid of the sender or of the child
	// Value is the integer given to sigqueue(3), for SIQueue only.
	Value int32
	// Status is the exit status or signal of the child, for SIGCHLD only.
	Status int32
	// Lost: the pipe was full; only Signo is known, and it may stand for several.
	Lost bool
}

// parseSigInfo reads struct siginfo as LP64 kernels lay it out.
func parseSigInfo(b *[sigInfoSize]byte) SigInfo {
	word := func(off int) int32 { return *(*int32)(unsafe.Pointer(&b[off])) }
	s := SigInfo{Signo: unix.Signal(word(0)), Code: word(8)}
	switch {
	case s.Signo == unix.SIGCHLD && s.Code > 0:
		s.Pid, s.Uid, s.Status = int(word(16)), uint32(word(20)), word(24)
	case s.Code == SIUser || s.Code == SITkill:
		s.Pid, s.Uid = int(word(16)), uint32(word(20))
	case s.Code == SIQueue:
		s.Pid, s.Uid, s.Value = int(word(16)), uint32(word(20)), word(24)
	}
	return s
}

// queueInfo is the siginfo of sigqueue(3).
func queueInfo(sig unix.Signal, value int32) (info [sigInfoSize]byte) {
	put := func(off int, v int32) { *(*int32)(unsafe.Pointer(&info[off])) = v }
	put(0, int32(sig))
	put(8, SIQueue)
	put(16, int32(unix.Getpid()))
	put(20, int32(unix.Getuid()))
	put(24, value)
	return info
}

// QueueSignal sends sig with a value to a process, as sigqueue(3) does.
func QueueSignal(pid int, sig unix.Signal, value int32) error {
	info := queueInfo(sig, value)
	_, _, errno := unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(sig), uintptr(unsafe.Pointer(&info)))
	if errno != 0 {
		return errno
	}
	return nil
}

// ManagerSignals are the signals a service manager reacts to; what each means
// is in systemd(1) and org.freedesktop.systemd1(5). SIGQUIT and the fault
// signals stay with the Go runtime, which ends in the crash hook.
func ManagerSignals() []unix.Signal {
	set := []unix.Signal{
		unix.SIGCHLD, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPWR,
		unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH,
	}
	for sig := SIGRTMIN; sig <= SIGRTMAX; sig++ {
		set = append(set, sig)
	}
	return set
}
