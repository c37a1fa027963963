package kernel

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// A Poller is one epoll set whose sources have numbered priorities, lower
// first, and a token of the caller. It belongs to one goroutine. Level
// triggered: what was not read is reported again.
type Poller struct {
	epfd int
	// slots is indexed by fd; gen tells an event of a removed descriptor from
	// one of a new descriptor with the same number.
	slots  []slot
	count  int
	buf    []unix.EpollEvent
	ready  []Ready
	lastID int32
}

type slot struct {
	token    uint64
	priority int32
	gen      int32 // 0: not in the set
	events   uint32
}

// Ready is one source that has events.
type Ready struct {
	Token    uint64
	FD       int
	Events   uint32 // EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLHUP, EPOLLERR …
	Priority int
}

// NewPoller makes an empty set.
func NewPoller() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &Poller{epfd: fd, buf: make([]unix.EpollEvent, 64)}, nil
}

// Add puts fd into the set. The descriptor stays the caller's, who must Remove
// it before closing it.
func (p *Poller) Add(fd int, events uint32, priority int, token uint64) error {
	if fd < 0 {
		return fmt.Errorf("epoll: add fd %d: %w", fd, unix.EBADF)
	}
	for fd >= len(p.slots) {
		p.slots = append(p.slots, make([]slot, max(64, fd+1-len(p.slots)))...)
	}
	p.lastID++
	if p.lastID <= 0 {
		p.lastID = 1
	}
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: p.lastID}
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: add fd %d: %w", fd, err)
	}
	p.slots[fd] = slot{token: token, priority: int32(priority), gen: p.lastID, events: events}
	p.count++
	return nil
}

// Modify changes the events waited for; 0 keeps the source but silences it
// (except for EPOLLHUP and EPOLLERR).
func (p *Poller) Modify(fd int, events uint32) error {
	if !p.has(fd) {
		return fmt.Errorf("epoll: modify fd %d: %w", fd, unix.ENOENT)
	}
	if p.slots[fd].events == events {
		return nil
	}
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: p.slots[fd].gen}
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_MOD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: modify fd %d: %w", fd, err)
	}
	p.slots[fd].events = events
	return nil
}

// Remove takes fd out of the set. Events of it that Wait already returned are
// the caller's to drop.
func (p *Poller) Remove(fd int) error {
	if !p.has(fd) {
		return fmt.Errorf("epoll: remove fd %d: %w", fd, unix.ENOENT)
	}
	p.slots[fd] = slot{}
	p.count--
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		return fmt.Errorf("epoll: remove fd %d: %w", fd, err)
	}
	return nil
}

func (p *Poller) has(fd int) bool { return fd >= 0 && fd < len(p.slots) && p.slots[fd].gen != 0 }

// Len is the number of sources.
func (p *Poller) Len() int { return p.count }

// Wait waits up to timeoutUSec µs (rounded up to ms; -1: for ever; 0: not at
// all) and returns everything that is ready, lowest priority number first and
// by token within it. The slice is valid until the next Wait. Signals that
// interrupt a wait with a timeout make it return empty. Coming here is what a
// live loop does, so Wait beats for the [Heartbeat], idle while it waits: a
// process with a heartbeat has one Poller, the loop's.
func (p *Poller) Wait(timeoutUSec int64) ([]Ready, error) {
	msec := -1
	if timeoutUSec >= 0 {
		msec = int(min((timeoutUSec+999)/1000, 1<<30))
	}
	for {
		BeatIdle()
		n, err := unix.EpollWait(p.epfd, p.buf, msec)
		Beat()
		if err == unix.EINTR {
			if msec < 0 {
				continue
			}
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("epoll: %w", err)
		}
		if n == len(p.buf) && n < p.count {
			// Something of a higher priority may be beyond the end: look again
			// with room for all. Level triggered, so nothing is lost.
			p.buf = make([]unix.EpollEvent, min(2*n, p.count))
			msec = 0
			continue
		}
		return p.sorted(p.buf[:n]), nil
	}
}

func (p *Poller) sorted(events []unix.EpollEvent) []Ready {
	p.ready = p.ready[:0]
	for i := range events {
		fd := int(events[i].Fd)
		if !p.has(fd) || p.slots[fd].gen != events[i].Pad {
			continue
		}
		s := p.slots[fd]
		p.ready = append(p.ready, Ready{Token: s.token, FD: fd, Events: events[i].Events, Priority: int(s.priority)})
	}
	slices.SortFunc(p.ready, func(a, b Ready) int {
		switch {
		case a.Priority != b.Priority:
			return a.Priority - b.Priority
		case a.Token < b.Token:
			return -1
		case a.Token > b.Token:
			return 1
		}
		return 0
	})
	return p.ready
}

// Close closes the set, not its sources.
func (p *Poller) Close() error { return unix.Close(p.epfd) }

// A Waker makes a Poller return from another goroutine: an eventfd.
type Waker struct{ fd int }

// NewWaker makes a waker; watch its FD with EPOLLIN.
func NewWaker() (*Waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &Waker{fd}, nil
}

// FD is the descriptor to watch.
func (w *Waker) FD() int { return w.fd }

// Wake makes FD readable. It never blocks and may be called from anywhere.
func (w *Waker) Wake() {
	one := [8]byte{0: 1}
	// EAGAIN means that the counter is full: it is readable already.
	_, _ = unix.Write(w.fd, one[:])
}

// Drain makes FD unreadable again and tells whether there was a Wake.
func (w *Waker) Drain() bool {
	var b [8]byte
	n, err := unix.Read(w.fd, b[:])
	return err == nil && n == 8
}

// Close closes the eventfd.
func (w *Waker) Close() error { return unix.Close(w.fd) }
