package sandbox

import (
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// exitSignal is the signal by which other threads are told to end: the last
// real-time one, which the Go runtime leaves alone.
const exitSignal = 64

// maxThreads bounds the threads of this process.
const maxThreads = 256

// endOtherThreads leaves the calling thread as the only one. The goroutine must
// be locked to it, and from here on may use only what needs no scheduler: raw
// system calls and plain computation. Nothing collects garbage any more.
func endOtherThreads() error {
	if threadExitAddr() == 0 {
		return unix.ENOSYS // no assembly for this architecture
	}
	act := struct{ handler, flags, restorer, mask uintptr }{handler: threadExitAddr(), flags: saRestorer, restorer: threadExitAddr()}
	if err := rawErr(unix.RawSyscall6(unix.SYS_RT_SIGACTION, exitSignal, uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)); err != nil {
		return err
	}
	pid, self := unix.Getpid(), unix.Gettid()
	const rounds, pauseNSec = 1000, 100 * 1000
	for range rounds {
		names, err := readDir("/proc/self/task")
		if err != nil {
			return err
		}
		if len(names) <= 1 {
			return nil
		}
		if len(names) > maxThreads {
			return unix.EAGAIN
		}
		for _, name := range names {
			tid, err := strconv.Atoi(name)
			if err != nil || tid == self {
				continue
			}
			// One that is gone already is what we want.
			_, _, _ = unix.RawSyscall(unix.SYS_TGKILL, uintptr(pid), uintptr(tid), exitSignal)
		}
		pause := unix.Timespec{Nsec: pauseNSec}
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
	}
	return fmt.Errorf("threads of the executor do not end: %w", unix.EBUSY)
}

const saRestorer = 0x04000000

func rawErr(_, _ uintptr, errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func rawWrite(fd int) error {
	b := [1]byte{1}
	return rawErr(unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1))
}

func rawClose(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// rawWait waits for a child and gives its wait status.
func rawWait(pid int) (int32, error) {
	var status int32
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
		if errno == 0 {
			return status, nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
