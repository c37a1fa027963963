package kernel

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An arena is one anonymous mapping outside the Go heap that a spawned child
// shares with us until it has executed or exited. Layout, from the start:
//
//	0                header (headerSize bytes, offsets below)
//	headerSize       op records, opSize bytes each
//	…                strings and structures the records point to
//	end-stackSize    the child's stack
//
// The child writes to the header and to result words only.
type arena struct {
	base unsafe.Pointer
	size uintptr
	// remote: a mapped memfd that an executor has as well, with a header only;
	// see spawn_fork.go.
	remote bool
}

const (
	headerSize = 256
	opSize     = 80
	stackSize  = 4096

	// Header offsets; the assembly uses the same numbers.
	hdrTID     = 0   // uint32, 1 until the kernel clears it at exec or exit (CLONE_CHILD_CLEARTID)
	hdrErrno   = 8   // errno of the op that ended the child, 0 while none did
	hdrFailed  = 16  // its index
	hdrCurrent = 24  // index of the op being executed
	hdrPidFD   = 32  // int32, stored by the kernel (CLONE_PIDFD)
	hdrMask    = 40  // signal set blocked around clone3
	hdrOldMask = 48  // the caller's own signal set
	hdrDigits  = 56  // 24 bytes of scratch for the decimal pid
	hdrStatus  = 80  // with an executor: OpName, and exit status in the high half
	hdrClone   = 128 // struct clone_args, cloneArgsSize bytes

	// Record offsets.
	opNr       = 0
	opArgs     = 8
	opStatus   = 56
	opResult   = 64
	opTolerate = 72 // low 32 bits: four errnos taken as success, a byte each; high 32 bits: OpName

	cloneArgsSize = 88

	arenaMin = 16 << 10
	arenaMax = 16 << 20
	// arenaKeep is how many idle arenas of the smallest class are kept mapped.
	arenaKeep = 16
)

var arenaPool struct {
	sync.Mutex
	idle [arenaKeep]arena
	n    int
}

// newArena maps at least size bytes. Pages of a recycled arena are not zero.
func newArena(size uintptr) (arena, error) {
	if size > arenaMax {
		return arena{}, unix.E2BIG
	}
	if size <= arenaMin {
		arenaPool.Lock()
		if arenaPool.n > 0 {
			arenaPool.n--
			a := arenaPool.idle[arenaPool.n]
			arenaPool.Unlock()
			return a, nil
		}
		arenaPool.Unlock()
		size = arenaMin
	}
	page := uintptr(unix.Getpagesize())
	size = (size + page - 1) &^ (page - 1)
	base, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return arena{}, err
	}
	return arena{base: base, size: size}, nil
}

func (a arena) free() {
	if a.base == nil {
		return
	}
	if a.size == arenaMin && !a.remote {
		arenaPool.Lock()
		if arenaPool.n < arenaKeep {
			arenaPool.idle[arenaPool.n] = a
			arenaPool.n++
			arenaPool.Unlock()
			return
		}
		arenaPool.Unlock()
	}
	// An munmap of our own whole mapping has no way to fail that leaves
	// something to do.
	_ = unix.MunmapPtr(a.base, a.size)
}

func (a arena) at(off uintptr) unsafe.Pointer { return unsafe.Add(a.base, off) }
func (a arena) word(off uintptr) *uint64      { return (*uint64)(a.at(off)) }
func (a arena) bytes() []byte                 { return unsafe.Slice((*byte)(a.base), a.size) }
