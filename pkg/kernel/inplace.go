package kernel

import (
	"strconv"

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
		if errno := mem.execute(ops + uintptr(i)*opSize); errno != 0 {
			op := &list.ops[i]
			return SpawnResult{Errno: errno, Op: i, Name: op.name, Status: op.status}, nil
		}
	}
	return SpawnResult{}, nil
}

// execute makes the call of the record at offset rec as the assembly does, and
// returns the errno of a failure that counts.
func (a arena) execute(rec uintptr) unix.Errno {
	arg := func(i uintptr) uintptr { return uintptr(*a.word(rec + opArgs + 8*i)) }
	switch nr := int64(*a.word(rec + opNr)); nr {
	case pseudoCopy:
		*a.word(arg(1) - uintptr(a.base)) = *a.word(arg(0) - uintptr(a.base))
	case pseudoPidStr:
		copy(a.bytes()[arg(0)-uintptr(a.base):], strconv.Itoa(unix.Getpid())+"\x00")
	case pseudoNumber:
		copy(a.bytes()[arg(0)-uintptr(a.base):], strconv.FormatUint(*a.word(arg(1) - uintptr(a.base)), 10)+"\x00")
	default:
		r, _, errno := unix.RawSyscall6(uintptr(nr), arg(0), arg(1), arg(2), arg(3), arg(4), arg(5))
		if errno == 0 {
			*a.word(rec + opResult) = uint64(r)
			return 0
		}
		*a.word(rec + opResult) = uint64(-int64(errno))
		if *a.word(rec + opStatus) != 0 && !tolerates(uint32(*a.word(rec + opTolerate)), errno) {
			return errno
		}
	}
	return 0
}
