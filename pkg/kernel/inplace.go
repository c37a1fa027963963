package kernel

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RunInPlace makes the calls of the list in the calling thread, in order,
// until one fails or execve replaces the process. It is for a program that
// takes itself apart, such as the executor: lock the goroutine to its thread
// before, and make no use of the runtime's network poller. The zero result
// means that every op was made.
func RunInPlace(list *OpList) (SpawnResult, error) {
	if list.err != nil {
		return SpawnResult{}, list.err
	}
	mem, err := newArena(list.size())
	if err != nil {
		return SpawnResult{}, err
	}
	defer mem.free()
	ops := list.write(mem)
	for i := range list.ops {
		rec := ops + uintptr(i)*opSize
		arg := func(j uintptr) uintptr { return uintptr(*mem.word(rec + opArgs + 8*j)) }
		switch nr := int64(*mem.word(rec + opNr)); nr {
		case pseudoCopy:
			*inArena(mem, arg(1)) = *inArena(mem, arg(0))
		case pseudoPidStr:
			off := arg(0) - uintptr(mem.base)
			copy(mem.bytes()[off:], strconv.Itoa(unix.Getpid())+"\x00")
		default:
			r, _, errno := unix.RawSyscall6(uintptr(nr), arg(0), arg(1), arg(2), arg(3), arg(4), arg(5))
			if errno != 0 {
				r = -uintptr(errno)
			}
			*mem.word(rec + opResult) = uint64(r)
			op := &list.ops[i]
			if errno != 0 && op.status != 0 && errno != op.tolerate {
				return SpawnResult{Errno: errno, Op: i, Name: op.name, Status: op.status}, nil
			}
		}
	}
	return SpawnResult{}, nil
}

// inArena turns an address within the arena back into a word of it.
func inArena(mem arena, addr uintptr) *uint64 {
	return (*uint64)(unsafe.Add(mem.base, addr-uintptr(mem.base)))
}
