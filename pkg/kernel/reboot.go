package kernel

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sync writes all file systems out; it may take as long as their devices do,
// so at the end of a shutdown only.
func Sync() { unix.Sync() }

// Reboot resets the machine at once, with an argument for the firmware if it
// is not empty (RebootArgument=); reboot(2) says nothing about file systems.
// In a pid namespace it ends the namespace with SIGHUP as its cause.
func Reboot(argument string) error {
	if argument == "" {
		return reboot(unix.LINUX_REBOOT_CMD_RESTART, nil)
	}
	b, err := unix.ByteSliceFromString(argument)
	if err != nil {
		return fmt.Errorf("reboot argument: %w", err)
	}
	return reboot(unix.LINUX_REBOOT_CMD_RESTART2, &b[0])
}

// PowerOff switches the machine off (in a pid namespace: SIGINT).
func PowerOff() error { return reboot(unix.LINUX_REBOOT_CMD_POWER_OFF, nil) }

// Halt stops the machine (in a pid namespace: SIGINT).
func Halt() error { return reboot(unix.LINUX_REBOOT_CMD_HALT, nil) }

// Kexec boots the kernel that was loaded before; EINVAL if there is none.
func Kexec() error { return reboot(unix.LINUX_REBOOT_CMD_KEXEC, nil) }

// SetCtrlAltDel says whether the key combination resets the machine at once
// (true) or sends SIGINT to process 1 (false).
func SetCtrlAltDel(resets bool) error {
	cmd := uint(unix.LINUX_REBOOT_CMD_CAD_OFF)
	if resets {
		cmd = unix.LINUX_REBOOT_CMD_CAD_ON
	}
	return reboot(cmd, nil)
}

func reboot(cmd uint, arg *byte) error {
	_, _, errno := unix.Syscall6(unix.SYS_REBOOT, uintptr(unix.LINUX_REBOOT_MAGIC1), uintptr(unix.LINUX_REBOOT_MAGIC2),
		uintptr(cmd), uintptr(unsafe.Pointer(arg)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("reboot: %w", errno)
	}
	return nil
}

// KexecLoaded tells whether a kernel was loaded for [Kexec].
func KexecLoaded() bool {
	b, err := readSmall("/sys/kernel/kexec_loaded")
	return err == nil && len(b) > 0 && b[0] == '1'
}

// Swapoff is swapoff(2).
func Swapoff(path string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(p)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
