package image

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// maxTries bounds the races for a free loop device with others that look for one.
const maxTries = 64

// attachLoop makes a loop device of an area of the file. It is gone when the last user of it is: the descriptor, then the mount.
func attachLoop(file int, a area, readOnly bool, block int64) (fd int, path string, err error) {
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", fmt.Errorf("/dev/loop-control: %w", err)
	}
	defer unix.Close(control)
	config := unix.LoopConfig{Fd: uint32(file), Size: uint32(block)}
	config.Info.Offset, config.Info.Sizelimit = uint64(a.offset), uint64(a.size)
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	mode := unix.O_RDWR
	if readOnly {
		config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
		mode = unix.O_RDONLY
	}
	for range maxTries {
		number, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return -1, "", fmt.Errorf("/dev/loop-control: %w", err)
		}
		path = fmt.Sprintf("/dev/loop%d", number)
		fd, err = unix.Open(path, mode|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return -1, "", fmt.Errorf("%s: %w", path, err)
		}
		err = unix.IoctlLoopConfigure(fd, &config)
		if err == nil {
			return fd, path, nil
		}
		unix.Close(fd)
		if err != unix.EBUSY {
			return -1, "", fmt.Errorf("%s: %w", path, err)
		}
	}
	return -1, "", fmt.Errorf("loop devices: %w", unix.EBUSY)
}
