package main

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mqReceive takes one message of a POSIX message queue (mq_receive(3)).
func mqReceive(fd int, buf []byte) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_MQ_TIMEDRECEIVE, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// mqSend sends QUEUE,TEXT (mq_send(3)).
func mqSend(argument string) error {
	name, text, _ := strings.Cut(argument, ",")
	p, err := unix.BytePtrFromString(strings.TrimPrefix(name, "/"))
	if err != nil {
		return err
	}
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(p)), unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(fd))
	msg := []byte(text)
	if _, _, errno := unix.Syscall6(unix.SYS_MQ_TIMEDSEND, fd, uintptr(unsafe.Pointer(&msg[0])), uintptr(len(msg)), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
