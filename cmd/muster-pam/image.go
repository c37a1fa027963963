package main

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// execImage executes an open file, with an empty environment.
func execImage(fd int, argv []string) error {
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	var noEnv *byte
	empty := [1]byte{}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&noEnv)), unix.AT_EMPTY_PATH, 0)
	return errno
}
