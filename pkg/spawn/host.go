package spawn

import (
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
)

// Host is what the process that spawns may do itself. It is read once.
type Host struct {
	UID            uint32
	LastCapability int
	Permitted      uint64
	Bounding       uint64
	RaiseLimits    bool       // CAP_SYS_RESOURCE
	HardLimits     [16]uint64 // by the kernel's number
	IgnoredSignals uint64     // bit 0 is signal 1; inherited by children unless undone
}

// ThisHost reads the facts about the calling process.
func ThisHost() (Host, error) {
	h := Host{UID: uint32(unix.Geteuid()), LastCapability: kernel.LastCapability()}
	caps, err := kernel.ThreadCapabilities()
	if err != nil {
		return h, fmt.Errorf("spawn: %w", err)
	}
	h.Permitted, h.Bounding = caps.Permitted, caps.Bounding
	h.RaiseLimits = caps.Effective>>unix.CAP_SYS_RESOURCE&1 == 1
	for i := range h.HardLimits {
		var lim unix.Rlimit
		if err := unix.Getrlimit(i, &lim); err != nil {
			return h, fmt.Errorf("spawn: limit %d: %w", i, err)
		}
		h.HardLimits[i] = lim.Max
	}
	h.IgnoredSignals = ignoredSignals()
	return h, nil
}

// ignoredSignals asks for each signal whether it is ignored. Handlers need no
// care: the kernel resets them on the way to a program.
func ignoredSignals() (set uint64) {
	const ignored, signals = 1, 64
	for sig := 1; sig <= signals; sig++ {
		var act struct{ handler, flags, restorer, mask uintptr }
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&act)), 8, 0, 0)
		if errno == 0 && act.handler == ignored {
			set |= 1 << (sig - 1)
		}
	}
	return set
}

func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

func itoa(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

func hex(n uint64) []byte { return strconv.AppendUint([]byte("0x"), n, 16) }

func message(errno unix.Errno) string {
	if errno == 0 {
		return ""
	}
	return errno.Error()
}
