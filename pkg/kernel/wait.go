package kernel

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The si_code values of a child that changed state; waitid(2).
const (
	CLDExited = 1 // Status is the exit status
	CLDKilled = 2 // Status is the signal
	CLDDumped = 3 // Status is the signal, with a core dump
)

// Exit is how a child ended.
type Exit struct {
	Pid    int
	Uid    uint32
	Code   int // CLDExited, CLDKilled or CLDDumped
	Status int
	Usage  Usage // zero where the process was only looked at, not reaped
}

// Usage is what a process and its reaped descendants used.
type Usage struct {
	UserUSec, SystemUSec uint64
	MaxRSSBytes          uint64
}

// PeekExit looks for a child that ended and leaves it a zombie, so that
// /proc/PID/ can still be read. ok is false if there is none now.
func PeekExit() (Exit, bool, error) {
	return waitid(unix.P_ALL, 0, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT)
}

// Reap takes the exit of one child, which must have ended; ok is false if it
// has not. ECHILD if it is no child of ours.
func Reap(pid int) (Exit, bool, error) {
	return waitid(unix.P_PID, pid, unix.WEXITED|unix.WNOHANG)
}

// ReapPidFD is [Reap] by pidfd.
func ReapPidFD(pidfd int) (Exit, bool, error) {
	return waitid(unix.P_PIDFD, pidfd, unix.WEXITED|unix.WNOHANG)
}

func waitid(idType, id, options int) (Exit, bool, error) {
	var info [sigInfoSize]byte
	var ru unix.Rusage
	for {
		err := unix.Waitid(idType, id, (*unix.Siginfo)(unsafe.Pointer(&info)), options, &ru)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ECHILD) && idType == unix.P_ALL {
			return Exit{}, false, nil
		}
		if err != nil {
			return Exit{}, false, fmt.Errorf("waitid %d: %w", id, err)
		}
		break
	}
	s := parseSigInfo(&info)
	if s.Signo != unix.SIGCHLD {
		return Exit{}, false, nil
	}
	e := Exit{Pid: s.Pid, Uid: s.Uid, Code: int(s.Code), Status: int(s.Status)}
	if options&unix.WNOWAIT == 0 {
		e.Usage = Usage{
			UserUSec:    uint64(ru.Utime.Nano()) / 1000,
			SystemUSec:  uint64(ru.Stime.Nano()) / 1000,
			MaxRSSBytes: uint64(ru.Maxrss) << 10,
		}
	}
	return e, true, nil
}

// PidFDOpen opens a close-on-exec pidfd of a process; ESRCH if there is none.
func PidFDOpen(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	return fd, nil
}

// PidFDID is the inode number of a pidfd, which no other process gets until the next boot. It is 0 where the kernel has no such: before Linux
// 6.9 all pidfds shared one inode.
func PidFDID(pidfd int) uint64 {
	const pidfs = 0x50494446
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(pidfd, &fs) != nil || fs.Type != pidfs || unix.Fstat(pidfd, &st) != nil {
		return 0
	}
	return st.Ino
}

// PidFDIDOf is PidFDID of a process by its number, 0 as well when it is gone.
func PidFDIDOf(pid int) uint64 {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	return PidFDID(fd)
}

// PidFDSignal sends sig to the very process the pidfd was made of. 0 only asks
// whether it is there and may be signalled; ESRCH when it was reaped.
func PidFDSignal(pidfd int, sig unix.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

// PidFDQueue sends sig with an integer, like sigqueue(3).
func PidFDQueue(pidfd int, sig unix.Signal, value int32) error {
	info := queueInfo(sig, value)
	return unix.PidfdSendSignal(pidfd, sig, (*unix.Siginfo)(unsafe.Pointer(&info)), 0)
}

// Signal is kill(2), for processes without a pidfd; negative pids are process groups.
func Signal(pid int, sig unix.Signal) error { return unix.Kill(pid, sig) }

// PidFDPid returns the pid behind a pidfd as our pid namespace sees it, 0 if
// it is in none of ours, -1 if it was reaped.
func PidFDPid(pidfd int) (int, error) {
	b, err := readSmall(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	if err != nil {
		return 0, err
	}
	v, ok := field(string(b), "Pid:")
	if !ok {
		return 0, fmt.Errorf("fd %d: %w: no pidfd", pidfd, unix.EINVAL)
	}
	return atoi(v)
}
