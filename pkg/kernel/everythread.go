package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a child inherits is that of the thread that made it, and any thread of ours may. The functions below change every thread of the process, those
// that come later included. They stop the world for a moment: call them before the loop begins.

// everyThread makes a system call on every thread.
func everyThread(what string, nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := syscall.AllThreadsSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return fmt.Errorf("%s: %w", what, errno)
	}
	return nil
}

// TimerSlackOfAll sets the timer slack in ns; PR_SET_TIMERSLACK.
func TimerSlackOfAll(slackNSec uint64) error {
	return everyThread("PR_SET_TIMERSLACK", unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, uintptr(slackNSec))
}

// NoNewPrivilegesOfAll sets no_new_privs, for good.
func NoNewPrivilegesOfAll() error {
	return everyThread("PR_SET_NO_NEW_PRIVS", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// LimitCapabilitiesOfAll drops everything that isn't in keep from the bounding, effective, permitted and inheritable sets, for good.
func LimitCapabilitiesOfAll(keep uint64) error {
	have, err := ThreadCapabilities()
	if err != nil {
		return err
	}
	for c := 0; c <= LastCapability(); c++ {
		if keep>>c&1 == 0 {
			if err := everyThread("PR_CAPBSET_DROP", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c)); err != nil {
				return err
			}
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := capData(have.Effective&keep, have.Permitted&keep, have.Inheritable&keep)
	err = everyThread("capset", unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data[0])))
	runtime.KeepAlive(&hdr)
	runtime.KeepAlive(&data)
	return err
}

// MempolicyOfAll sets the NUMA policy with a node mask, node 0 in bit 0 of byte 0; set_mempolicy(2).
func MempolicyOfAll(mode int, nodes []byte) error {
	padded := make([]byte, (len(nodes)+7)&^7)
	copy(padded, nodes)
	if len(padded) == 0 {
		return everyThread("set_mempolicy", unix.SYS_SET_MEMPOLICY, uintptr(mode), 0, 0)
	}
	err := everyThread("set_mempolicy", unix.SYS_SET_MEMPOLICY, uintptr(mode), uintptr(unsafe.Pointer(&padded[0])), uintptr(len(padded)*8+1))
	runtime.KeepAlive(padded)
	return err
}

// AffinityOfAll sets the CPUs, CPU 0 in bit 0 of byte 0, of every thread that there is; new ones inherit them.
func AffinityOfAll(mask []byte) error {
	padded := make([]byte, (len(mask)+7)&^7)
	copy(padded, mask)
	if len(padded) == 0 {
		return nil
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("threads: %w", err)
	}
	var errs []error
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, uintptr(tid), uintptr(len(padded)), uintptr(unsafe.Pointer(&padded[0])))
		if errno != 0 && errno != unix.ESRCH {
			errs = append(errs, fmt.Errorf("sched_setaffinity: %w", errno))
		}
	}
	return errors.Join(errs...)
}

// FilterOfAll puts a seccomp program over every thread, for good; needs CAP_SYS_ADMIN or no_new_privs. See seccomp(2), SECCOMP_FILTER_FLAG_TSYNC.
func FilterOfAll(program []unix.SockFilter) error {
	if len(program) == 0 {
		return nil
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}
