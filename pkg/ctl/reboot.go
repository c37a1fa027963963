package ctl

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rebootNow is reboot(2), for LINUX_REBOOT_CMD_RESTART with the argument if there is one.
func rebootNow(command uint32, argument string) error {
	if argument == "" || command != unix.LINUX_REBOOT_CMD_RESTART {
		return unix.Reboot(int(int32(command))) // the kernel takes 32 bits, whatever their sign
	}
	text, err := unix.BytePtrFromString(argument)
	if err != nil {
		return err
	}
	_, _, no := unix.Syscall6(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, unix.LINUX_REBOOT_CMD_RESTART2, uintptr(unsafe.Pointer(text)), 0, 0)
	if no != 0 {
		return no
	}
	return nil
}
