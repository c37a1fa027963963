//go:build amd64 || arm64

package kernel

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/muster-init/muster/pkg/kernel/rawsig"
	"golang.org/x/sys/unix"
)

// signalPipeBytes is the wanted size of the signal pipe: 2048 signals between
// two turns of the loop. What does not fit is remembered once per signal.
const signalPipeBytes = 256 << 10

// sigInfoSize is sizeof(siginfo_t).
const sigInfoSize = 128

// InstallSignals catches the given signals for the whole process and returns
// the non-blocking end of a pipe to watch with EPOLLIN and to read with
// [ReadSignal]. signalfd(2) is of no use in a Go program: the runtime unblocks
// SIGTERM and others in every thread it makes. The Go runtime is bypassed, so
// os/signal must not be used for the same signals. It also unblocks them in the
// calling thread, which must be the locked main thread. Call it once.
func InstallSignals(set []unix.Signal) (fd int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fmt.Errorf("signal pipe: %w", err)
	}
	// A smaller pipe than asked for (pipe-user-pages-soft) still works.
	_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, signalPipeBytes)
	atomic.StoreInt64(&rawsig.SignalFD, int64(p[1]))
	var unblock uint64
	for _, sig := range set {
		if errno := rawsig.Install(int(sig), rawsig.Writer); errno != 0 {
			return -1, fmt.Errorf("signal %d: %w", sig, unix.Errno(errno))
		}
		unblock |= 1 << (sig - 1)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_UNBLOCK, uintptr(unsafe.Pointer(&unblock)), 0, 8, 0, 0)
	if errno != 0 {
		return -1, fmt.Errorf("unblock signals: %w", errno)
	}
	if atomic.LoadUint64(&rawsig.Lost) != 0 {
		// Caught by package early before there was a pipe: make it readable.
		var nudge [sigInfoSize]byte
		_, _ = unix.Write(p[1], nudge[:])
	}
	return p[0], nil
}

// SetSignalDefault gives sig back its default disposition, SetSignalIgnored
// makes the process ignore it; both behind the Go runtime's back.
func SetSignalDefault(sig unix.Signal) error { return setDisposition(sig, rawsig.Default) }

// SetSignalIgnored ignores sig.
func SetSignalIgnored(sig unix.Signal) error { return setDisposition(sig, rawsig.Ignore) }

func setDisposition(sig unix.Signal, h rawsig.Handler) error {
	if errno := rawsig.Install(int(sig), h); errno != 0 {
		return fmt.Errorf("signal %d: %w", sig, unix.Errno(errno))
	}
	return nil
}

// ReadSignal takes the next signal from the pipe, in the order the handlers
// wrote them (two threads may take two pending signals at once). false
// means that there is none. A signal that did not fit into the pipe comes last,
// once, with Lost set and without a sender.
func ReadSignal(fd int) (SigInfo, bool) {
	for {
		var b [sigInfoSize]byte
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), sigInfoSize)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0 || n != sigInfoSize:
			return lostSignal()
		}
		if info := parseSigInfo(&b); info.Signo != 0 {
			return info, true
		}
		// The nudge of InstallSignals.
	}
}

func lostSignal() (SigInfo, bool) {
	for {
		lost := atomic.LoadUint64(&rawsig.Lost)
		if lost == 0 {
			return SigInfo{}, false
		}
		low := lost & -lost
		if atomic.CompareAndSwapUint64(&rawsig.Lost, lost, lost&^low) {
			return SigInfo{Signo: unix.Signal(bits.TrailingZeros64(low) + 1), Lost: true}, true
		}
	}
}
