package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// rightsMax is how many descriptors the kernel takes in one message (SCM_MAX_FD, see unix(7)).
const rightsMax = 253

// FDReceiver gets descriptors that another process makes, as [SendFDs] sends them. What came and was not asked for with Made is closed by Close.
type FDReceiver struct {
	fd   int
	want int
	made []int
}

// NewFDReceiver makes the way for want descriptors; theirs is the sender's end, which blocks. The caller closes it once the sender has it.
func NewFDReceiver(want int) (r *FDReceiver, theirs int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("socketpair: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		unix.Close(pair[1])
		return nil, -1, fmt.Errorf("socketpair: %w", err)
	}
	return &FDReceiver{fd: pair[0], want: want}, pair[1], nil
}

// FD becomes readable when there is something to Take.
func (r *FDReceiver) FD() int { return r.fd }

// Take takes what has come, without waiting. A sender that has too much for the socket waits until it was called.
func (r *FDReceiver) Take() {
	oob := make([]byte, unix.CmsgSpace(rightsMax*4))
	for {
		var b [1]byte
		n, oobn, _, _, err := unix.Recvmsg(r.fd, b[:], oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		list, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			continue
		}
		for i := range list {
			if fds, err := unix.ParseUnixRights(&list[i]); err == nil {
				r.made = append(r.made, fds...)
			}
		}
	}
}

// Made gives the descriptors to the caller; nil unless all that were wanted have come.
func (r *FDReceiver) Made() []int {
	if len(r.made) != r.want {
		return nil
	}
	made := r.made
	r.made, r.want = nil, -1
	return made
}

// Close ends it.
func (r *FDReceiver) Close() {
	for _, fd := range r.made {
		unix.Close(fd)
	}
	r.made = nil
	unix.Close(r.fd)
}

// SendFDs sends descriptors to the FDReceiver at the other end of fd, and waits where it has to.
func SendFDs(fd int, fds []int) error {
	for len(fds) > 0 {
		n := min(len(fds), rightsMax)
		err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(fds[:n]...), nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		fds = fds[n:]
	}
	return nil
}
