package kernel

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFDReceiver sends more descriptors than fit into one message, and more than the socket holds.
func TestFDReceiver(t *testing.T) {
	for _, want := range []int{0, 1, rightsMax, rightsMax + 1, 600} {
		r, theirs, err := NewFDReceiver(want)
		if err != nil {
			t.Fatal(err)
		}
		null, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		list := make([]int, want)
		for i := range list {
			list[i] = int(null.Fd())
		}
		sent := make(chan error, 1)
		go func() {
			err := SendFDs(theirs, list)
			unix.Close(theirs)
			sent <- err
		}()
		for end := false; !end; {
			poll := []unix.PollFd{{Fd: int32(r.FD()), Events: unix.POLLIN}}
			if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
				t.Fatal(err)
			}
			end = poll[0].Revents&unix.POLLHUP != 0
			r.Take()
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		made := r.Made()
		if len(made) != want {
			t.Errorf("%d of %d have come", len(made), want)
		}
		for _, fd := range made {
			unix.Close(fd)
		}
		r.Close()
		null.Close()
	}
}

// TestFDReceiverTooFew gives nothing away and leaves nothing open when the sender ends before its time.
func TestFDReceiverTooFew(t *testing.T) {
	r, theirs, err := NewFDReceiver(2)
	if err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := SendFDs(theirs, pipe[1:]); err != nil {
		t.Fatal(err)
	}
	unix.Close(pipe[1])
	unix.Close(theirs)
	r.Take()
	if made := r.Made(); made != nil {
		t.Errorf("%d of 2 came, and were given", len(made))
	}
	r.Close()
	var b [1]byte
	if n, err := unix.Read(pipe[0], b[:]); n != 0 || err != nil {
		t.Errorf("a copy is left open: %d, %v", n, err)
	}
	unix.Close(pipe[0])
}
