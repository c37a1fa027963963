package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Automount points of the kernel, protocol 5, direct mounts; Documentation/filesystems/autofs.rst.

// AutofsDevice controls automount points.
const AutofsDevice = "/dev/autofs"

// AutofsPacket is what the kernel says about an automount point: somebody has opened it, or what is mounted there has not been used for the
// timeout. The opener sleeps, and the point stays as it is, until Token is acknowledged.
type AutofsPacket struct {
	Expire bool
	Token  uint32
	PID    int32 // of the opener
}

// Packet types of protocol 5 for direct mounts.
const (
	autofsMissingDirect = 5
	autofsExpireDirect  = 6
	autofsProtocol      = 5
)

// ParseAutofsPacket reads a packet from the pipe of an automount point.
func ParseAutofsPacket(b []byte) (AutofsPacket, error) {
	// protocol, type, token, device (4 bytes each), inode (8), uid, gid, pid, tgid
	if len(b) < 40 {
		return AutofsPacket{}, fmt.Errorf("autofs: %w: %d bytes", unix.EBADMSG, len(b))
	}
	p := AutofsPacket{Token: binary.NativeEndian.Uint32(b[8:]), PID: int32(binary.NativeEndian.Uint32(b[32:]))}
	switch kind := binary.NativeEndian.Uint32(b[4:]); kind {
	case autofsMissingDirect:
	case autofsExpireDirect:
		p.Expire = true
	default:
		return AutofsPacket{}, fmt.Errorf("autofs: %w: packet type %d", unix.EBADMSG, kind)
	}
	return p, nil
}

// MountAutofs makes an automount point: options are added to those of the protocol. The descriptor to read packets from and the number that the
// kernel knows the point by are returned. It may block on the path: not on the loop.
func MountAutofs(where, source, options string, idleSec uint64) (pipe int, devID uint32, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, 0, fmt.Errorf("autofs %s: pipe: %w", where, err)
	}
	defer unix.Close(fds[1])
	data := fmt.Sprintf("fd=%d,pgrp=%d,minproto=%d,maxproto=%d,direct", fds[1], unix.Getpgrp(), autofsProtocol, autofsProtocol)
	if options != "" {
		data += "," + options
	}
	if err := unix.Mount(source, where, "autofs", 0, data); err != nil {
		_ = unix.Close(fds[0])
		return -1, 0, fmt.Errorf("autofs %s: mount: %w", where, err)
	}
	var st unix.Stat_t
	if err = unix.Stat(where, &st); err == nil {
		devID = encodeDevice(st.Dev)
		err = SetAutofsTimeout(where, devID, idleSec)
	}
	if err != nil {
		_ = unix.Unmount(where, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		_ = unix.Close(fds[0])
		return -1, 0, fmt.Errorf("autofs %s: %w", where, err)
	}
	return fds[0], devID, nil
}

// encodeDevice is a device number as the kernel takes it in 32 bits.
func encodeDevice(dev uint64) uint32 {
	major, minor := unix.Major(dev), unix.Minor(dev)
	return minor&0xff | major<<8 | minor&^0xff<<12
}

// Commands of the control device.
const (
	autofsOpenMount = 0x74
	autofsReady     = 0x76
	autofsFail      = 0x77
	autofsTimeout   = 0x7a
	autofsExpire    = 0x7c
	autofsIoctlBase = 0xc0189300 // read and write 24 bytes, type 0x93
)

// autofsRequest is struct autofs_dev_ioctl with room for a path.
type autofsRequest struct {
	major, minor, size uint32
	fd                 int32
	arg                [2]uint32
	path               [unix.PathMax]byte
}

func (r *autofsRequest) do(control int, command uintptr) error {
	r.major, r.minor = 1, 0
	if r.size == 0 {
		r.size = uint32(unsafe.Offsetof(r.path))
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(control), autofsIoctlBase|command, uintptr(unsafe.Pointer(r)))
	runtime.KeepAlive(r)
	if errno != 0 {
		return errno
	}
	return nil
}

// withAutofs opens the control of one automount point for the time of do.
func withAutofs(where string, devID uint32, do func(control int, fd int32) error) error {
	control, err := unix.Open(AutofsDevice, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", AutofsDevice, err)
	}
	defer unix.Close(control)
	r := &autofsRequest{fd: -1}
	if len(where) >= len(r.path) {
		return unix.ENAMETOOLONG
	}
	n := copy(r.path[:], where)
	r.size = uint32(unsafe.Offsetof(r.path)) + uint32(n) + 1
	r.arg[0] = devID
	if err := r.do(control, autofsOpenMount); err != nil {
		return fmt.Errorf("automount point %s: %w", where, err)
	}
	if r.fd < 0 {
		return unix.EIO
	}
	fd := r.fd
	defer unix.Close(int(fd))
	unix.CloseOnExec(int(fd))
	return do(control, fd)
}

// SetAutofsTimeout sets after how many seconds without use what is mounted expires; 0: never.
func SetAutofsTimeout(where string, devID uint32, sec uint64) error {
	return withAutofs(where, devID, func(control int, fd int32) error {
		r := &autofsRequest{fd: fd}
		r.arg[0], r.arg[1] = uint32(sec), uint32(sec>>32)
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			r.arg[0], r.arg[1] = r.arg[1], r.arg[0]
		}
		return r.do(control, autofsTimeout)
	})
}

// AckAutofs wakes those who wait for tokens: with errno 0 they go on, else they get that error.
func AckAutofs(where string, devID uint32, tokens []uint32, errno unix.Errno) error {
	return withAutofs(where, devID, func(control int, fd int32) error {
		var first error
		for _, token := range tokens {
			r := &autofsRequest{fd: fd}
			r.arg[0] = token
			command := uintptr(autofsReady)
			if errno != 0 {
				r.arg[1] = uint32(-int32(errno))
				command = autofsFail
			}
			if err := r.do(control, command); err != nil && first == nil {
				first = err
			}
		}
		return first
	})
}

// ExpireAutofs asks the kernel to look for what has not been used for the timeout. It blocks until the packet that it sends for that was
// acknowledged: not on the loop. EAGAIN from the kernel means that nothing is old enough and is no error.
func ExpireAutofs(where string, devID uint32) error {
	return withAutofs(where, devID, func(control int, fd int32) error {
		for range 64 {
			r := &autofsRequest{fd: fd}
			if err := r.do(control, autofsExpire); err != nil {
				if errors.Is(err, unix.EAGAIN) {
					return nil
				}
				return err
			}
		}
		return nil
	})
}
