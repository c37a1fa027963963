package sandbox

import (
	"golang.org/x/sys/unix"
)

// enterShared enters the namespace that the processes of a unit share. The
// first of them makes it (made is true) and must call keepShared once it is
// complete; those that come meanwhile wait for that or for its end. Without a
// store the namespace is of this process alone.
//
// store is a pair of sockets that the manager keeps: the descriptor of the
// namespace lies in it as a message that everybody only looks at.
func enterShared(store [2]int32, kind int, path string) (made bool, err error) {
	if store[0] <= 0 {
		return true, unix.Unshare(kind)
	}
	if err := lockStore(store); err != nil {
		return false, err
	}
	fd, err := peekStored(int(store[0]))
	if err != nil || fd < 0 {
		if err == nil {
			err = unix.Unshare(kind)
		}
		if err != nil {
			unlockStore(store)
		}
		return true, err
	}
	err = unix.Setns(fd, kind)
	unix.Close(fd)
	unlockStore(store)
	return false, err
}

// keepShared leaves the namespace for the processes that come later.
func keepShared(store [2]int32, path string) error {
	if store[0] <= 0 {
		return nil
	}
	defer unlockStore(store)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendmsg(int(store[1]), []byte{0}, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// lockStore waits for the lock, which ends with its process. A lock of the open
// file would be of all who inherited it; this kind is of the process.
func lockStore(store [2]int32) error {
	for {
		err := unix.FcntlFlock(uintptr(store[0]), unix.F_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK})
		if err != unix.EINTR {
			return err
		}
	}
}

func unlockStore(store [2]int32) {
	_ = unix.FcntlFlock(uintptr(store[0]), unix.F_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
}

// peekStored gives a copy of the descriptor in the store, -1 if there is none.
func peekStored(fd int) (int, error) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(fd, b[:], oob, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err == unix.EAGAIN {
		return -1, nil
	}
	if err != nil || n == 0 {
		return -1, err
	}
	list, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(list) == 0 {
		return -1, err
	}
	fds, err := unix.ParseUnixRights(&list[0])
	if err != nil || len(fds) == 0 {
		return -1, err
	}
	return fds[0], nil
}
