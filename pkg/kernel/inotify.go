package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Inotify is one inotify instance; inotify(7). Watches are numbered by the
// kernel. Watching a path looks it up, so for paths of users call Watch from a
// worker.
type Inotify struct{ fd int }

// InotifyEvent is one event; WD -1 with IN_Q_OVERFLOW means that events were
// lost and everything must be looked at again.
type InotifyEvent struct {
	WD     int32
	Mask   uint32
	Cookie uint32
	Name   string // of the entry in a watched directory
}

// NewInotify makes an instance; watch FD with EPOLLIN.
func NewInotify() (*Inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &Inotify{fd}, nil
}

// TakeInotify goes on with an instance that an earlier image of this process
// has made, and lets it end with this one. EINVAL if fd is something else.
func TakeInotify(fd int) (*Inotify, error) {
	target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || target != "anon_inode:inotify" {
		return nil, fmt.Errorf("inotify: descriptor %d is %q: %w", fd, target, unix.EINVAL)
	}
	if err := SetCloexec(fd, true); err != nil {
		return nil, err
	}
	return &Inotify{fd}, nil
}

// FD is the descriptor to watch.
func (n *Inotify) FD() int { return n.fd }

// Watch adds or changes a watch. Paths of one inode share a watch. ENOSPC at
// the per-user limit of watches.
func (n *Inotify) Watch(path string, mask uint32) (wd int32, err error) {
	w, err := unix.InotifyAddWatch(n.fd, path, mask)
	if err != nil {
		return -1, fmt.Errorf("inotify %s: %w", path, err)
	}
	return int32(w), nil
}

// Unwatch removes a watch; an IN_IGNORED follows. EINVAL if the kernel removed
// it already, with the file.
func (n *Inotify) Unwatch(wd int32) error {
	if _, err := unix.InotifyRmWatch(n.fd, uint32(wd)); err != nil {
		return fmt.Errorf("inotify: remove watch %d: %w", wd, err)
	}
	return nil
}

// inotifyReads bounds the buffers taken by one Read: 256 KiB.
const inotifyReads = 16

// Read takes what has happened, up to 256 KiB of events; nothing when nothing
// is there.
func (n *Inotify) Read() ([]InotifyEvent, error) {
	var buf [16 << 10]byte
	var list []InotifyEvent
	for range inotifyReads {
		c, err := unix.Read(n.fd, buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return list, nil
		case err != nil:
			return list, fmt.Errorf("inotify: read: %w", err)
		}
		list = parseInotify(list, buf[:c])
	}
	return list, nil
}

func parseInotify(list []InotifyEvent, b []byte) []InotifyEvent {
	for len(b) >= unix.SizeofInotifyEvent {
		raw := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
		end := unix.SizeofInotifyEvent + int(raw.Len)
		if end > len(b) {
			break
		}
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
		list = append(list, InotifyEvent{WD: raw.Wd, Mask: raw.Mask, Cookie: raw.Cookie, Name: string(name)})
		b = b[end:]
	}
	return list
}

// Close closes the instance and all its watches.
func (n *Inotify) Close() error { return unix.Close(n.fd) }
