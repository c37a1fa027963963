package kernel

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxOpListBytes bounds the strings and structures of one op list; the
// environment and the arguments of a service count towards it.
const MaxOpListBytes = 8 << 20

// MaxOps bounds the number of ops of one list: enough for a service with 20,000
// sockets, each of which takes three.
const MaxOps = 1 << 16

// pidDigits is the room kept in an environment string for a decimal pid:
// PID_MAX_LIMIT has 7 digits, an int64 20.
const pidDigits = 21

// ErrOpList is wrapped by every complaint about a list that cannot be built.
var ErrOpList = errors.New("op list")

// An OpList is the ordered list of system calls a child makes between clone3
// and execve. It is plain data built in advance: it may be spawned many times
// and from several goroutines at once, as long as nobody appends to it. The
// first thing that cannot be represented (a NUL byte, too many bytes) sticks
// and is returned by [Spawn].
//
// Every op has an exit status: when its call fails, the child ends with that
// status (200 and up by convention, see systemd.exec(5)) and [Child.Result]
// tells which op failed with which errno. Status 0 means that failing is fine.
//
// The child of [Spawn] shares our memory until its execve. So no op may set
// what the kernel keeps with the memory: /proc/self/oom_score_adj (it goes to
// every process that shares it, which would be us and whoever else is just
// being spawned), /proc/self/coredump_filter, mlockall(2), PR_SET_MDWE,
// PR_SET_THP_DISABLE. An executor does these, once it has memory of its own.
type OpList struct {
	ops    []opRecord
	data   []byte
	relocs []uint32 // offsets in data of words that hold an offset in data
	err    error

	// maskSet says that a Sigmask op was added after the last exec op, so
	// Exec need not add its own.
	maskSet bool
	// pidFDID is the op that stats the child's pidfd, and statAt where to; 0: none.
	pidFDID, statAt int
}

type opRecord struct {
	nr       int64
	args     [6]Arg
	status   uint8
	name     OpName
	tolerate uint32 // a byte each
}

type argKind uint8

const (
	argValue  argKind = iota // v is the value
	argData                  // v is an offset in data
	argResult                // v is the index of the op whose result is meant
	argSlot                  // v is op index*6+arg: address of that argument
	argResAt                 // v is the index of the op: address of its result
	argFD                    // v is a descriptor of ours
)

// An Arg is one argument of an op: a value, the address of copied bytes, or
// the result of an earlier op.
type Arg struct {
	kind argKind
	v    uint64
}

// An OpRef names an op of the same list, for [Result].
type OpRef int

// Value passes v as it is.
func Value(v uintptr) Arg { return Arg{argValue, uint64(v)} }

// Int passes a signed number.
func Int(n int) Arg { return Arg{argValue, uint64(int64(n))} }

// FD passes a file descriptor that is open in this process now, or AT_FDCWD.
// Numbers that only the child uses (the target of a dup) are an [Int].
func FD(fd int) Arg { return Arg{argFD, uint64(int64(fd))} }

// Result passes what op ref returned, which is -errno if it failed with status 0.
func Result(ref OpRef) Arg { return Arg{argResult, uint64(ref)} }

// Pseudo system call numbers understood by the assembly.
const (
	pseudoCopy   = -1 // *arg1 = *arg0, 8 bytes
	pseudoPidStr = -2 // decimal getpid() and a NUL at arg0
	pseudoNumber = -3 // decimal *arg1, 8 bytes, and a NUL at arg0
)

func (l *OpList) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf("%w: %s", ErrOpList, fmt.Sprintf(format, args...))
	}
}

// Err is the first thing that could not be represented, or nil.
func (l *OpList) Err() error { return l.err }

// Len is the number of ops so far.
func (l *OpList) Len() int { return len(l.ops) }

// Reset empties the list and keeps its memory.
func (l *OpList) Reset() {
	*l = OpList{ops: l.ops[:0], data: l.data[:0], relocs: l.relocs[:0]}
}

// alloc makes room for n bytes aligned to 8 and returns their offset.
func (l *OpList) alloc(n int) (off int, ok bool) {
	off = (len(l.data) + 7) &^ 7
	if n < 0 || off+n > MaxOpListBytes {
		l.fail("more than %d bytes of data", MaxOpListBytes)
		return 0, false
	}
	if need := off + n; need <= cap(l.data) {
		tail := l.data[len(l.data):need]
		clear(tail)
		l.data = l.data[:need]
	} else {
		l.data = append(l.data, make([]byte, need-len(l.data))...)
	}
	return off, true
}

// Bytes copies b and passes its address. An empty b passes a valid address.
func (l *OpList) Bytes(b []byte) Arg {
	off, ok := l.alloc(len(b))
	if !ok {
		return Arg{}
	}
	copy(l.data[off:], b)
	return Arg{argData, uint64(off)}
}

// String copies s with a final NUL and passes its address.
func (l *OpList) String(s string) Arg {
	off := l.cstring(s, 0)
	return Arg{argData, uint64(off)}
}

func (l *OpList) cstring(s string, extra int) int {
	if strings.IndexByte(s, 0) >= 0 {
		l.fail("NUL byte in %.64q", s)
		return 0
	}
	off, ok := l.alloc(len(s) + 1 + extra)
	if !ok {
		return 0
	}
	copy(l.data[off:], s)
	return off
}

// Strings copies a NULL-terminated array of C strings and passes its address.
func (l *OpList) Strings(list []string) Arg {
	at := l.pointers(len(list) + 1)
	for i, s := range list {
		l.setPointer(at, i, l.cstring(s, 0))
	}
	return Arg{argData, uint64(at)}
}

// pointers makes room for n pointers, all NULL.
func (l *OpList) pointers(n int) int {
	if n > MaxOpListBytes/8 {
		l.fail("more than %d bytes of data", MaxOpListBytes)
		return 0
	}
	off, _ := l.alloc(n * 8)
	return off
}

// setPointer makes word i of the array at offset at point to offset target.
func (l *OpList) setPointer(at, i, target int) {
	if l.err != nil {
		return
	}
	slot := at + 8*i
	*(*uint64)(unsafe.Pointer(&l.data[slot])) = uint64(target)
	l.relocs = append(l.relocs, uint32(slot))
}

// PidString copies prefix, leaves room for a decimal number and adds an op
// that writes the child's own pid (as the child's pid namespace sees it) after
// the prefix. It passes the address of the whole string, e.g. "LISTEN_PID=731".
func (l *OpList) PidString(prefix string) Arg {
	off := l.cstring(prefix, pidDigits)
	l.add(opRecord{nr: pseudoPidStr, name: OpPidString, args: [6]Arg{{argData, uint64(off + len(prefix))}}})
	return Arg{argData, uint64(off)}
}

// PidFDID finds out the inode number of the child's own pidfd, for the variables of the following Exec ops that are called for it
// ([PidFDIDSuffix]). It is a stretch of its own because filters may forbid the calls later. The kernel must have such numbers ([PidFDID]).
func (l *OpList) PidFDID(status uint8) {
	pid := l.Syscall(OpPidFD, status, unix.SYS_GETPID)
	fd := l.Syscall(OpPidFD, status, unix.SYS_PIDFD_OPEN, Result(pid), Value(0))
	at, _ := l.alloc(int(unsafe.Sizeof(unix.Stat_t{})))
	l.pidFDID = int(l.Syscall(OpPidFD, status, unix.SYS_FSTAT, Result(fd), Arg{argData, uint64(at)}))
	l.statAt = at
	l.Close(Result(fd))
}

// pidFDString is PidString for the inode number of the child's pidfd.
func (l *OpList) pidFDString(prefix string) Arg {
	if l.pidFDID == 0 {
		l.fail("%s without PidFDID", prefix)
		return Arg{}
	}
	off := l.cstring(prefix, pidDigits)
	inode := l.statAt + int(unsafe.Offsetof(unix.Stat_t{}.Ino))
	l.add(opRecord{nr: pseudoNumber, name: OpPidFD, args: [6]Arg{{argData, uint64(off + len(prefix))}, {argData, uint64(inode)}}})
	return Arg{argData, uint64(off)}
}

// PidFDIDSuffix ends the names of variables that take the inode number of a process's pidfd.
const PidFDIDSuffix = "PIDFDID"

// Syscall appends a raw system call: status is the exit status when it fails,
// 0 to ignore the failure. Up to six args.
func (l *OpList) Syscall(name OpName, status uint8, nr uintptr, args ...Arg) OpRef {
	if len(args) > 6 {
		l.fail("%s: %d arguments", name, len(args))
		return 0
	}
	op := opRecord{nr: int64(nr), status: status, name: name}
	copy(op.args[:], args)
	// A result is moved into the argument by a pseudo op just before.
	slot := len(l.ops)
	for _, a := range op.args {
		if a.kind == argResult {
			slot++
		}
	}
	for i, a := range op.args {
		if a.kind != argResult {
			continue
		}
		if int(a.v) >= len(l.ops) {
			l.fail("%s: result of op %d is not known yet", name, a.v)
			return 0
		}
		l.add(opRecord{nr: pseudoCopy, name: name, args: [6]Arg{
			{argResAt, a.v}, {argSlot, uint64(slot*6 + i)},
		}})
		op.args[i] = Arg{}
	}
	return l.add(op)
}

func (l *OpList) add(op opRecord) OpRef {
	if len(l.ops) >= MaxOps {
		l.fail("more than %d ops", MaxOps)
		return 0
	}
	l.ops = append(l.ops, op)
	return OpRef(len(l.ops) - 1)
}

// Tolerate makes the last op succeed when it fails with one of up to four errnos.
func (l *OpList) Tolerate(errnos ...unix.Errno) {
	if len(errnos) > 4 {
		l.fail("%d tolerated errnos", len(errnos))
		return
	}
	if len(l.ops) == 0 {
		return
	}
	op := &l.ops[len(l.ops)-1]
	op.tolerate = 0
	for i, errno := range errnos {
		op.tolerate |= uint32(uint8(errno)) << (8 * i) // Linux has none above 133
	}
}

// tolerates is what the assembly does with the word of a record.
func tolerates(word uint32, errno unix.Errno) bool {
	for ; word != 0; word >>= 8 {
		if unix.Errno(uint8(word)) == errno {
			return true
		}
	}
	return false
}

// size is the number of bytes an arena for this list needs.
func (l *OpList) size() uintptr {
	return headerSize + uintptr(len(l.ops)+1)*opSize + uintptr(len(l.data)) + 16 + stackSize
}

// write lays the list out in a and returns the offset of the first record.
// A final exit_group ends a list that does not execute anything.
func (l *OpList) write(a arena) uintptr {
	const ops = headerSize
	data := (ops + uintptr(len(l.ops)+1)*opSize + 7) &^ 7
	copy(a.bytes()[data:], l.data)
	for _, off := range l.relocs {
		w := a.word(data + uintptr(off))
		*w = uint64(uintptr(a.at(data + uintptr(*w))))
	}
	for i := range l.ops {
		op := &l.ops[i]
		rec := ops + uintptr(i)*opSize
		*a.word(rec + opNr) = uint64(op.nr)
		for j, arg := range op.args {
			v := arg.v
			switch arg.kind {
			case argData:
				v = uint64(uintptr(a.at(data + uintptr(v))))
			case argResAt:
				v = uint64(uintptr(a.at(ops + uintptr(v)*opSize + opResult)))
			case argSlot:
				v = uint64(uintptr(a.at(ops + uintptr(v/6)*opSize + opArgs + uintptr(v%6)*8)))
			}
			*a.word(rec + opArgs + uintptr(j)*8) = v
		}
		*a.word(rec + opStatus) = uint64(op.status)
		*a.word(rec + opResult) = 0
		*a.word(rec + opTolerate) = uint64(op.tolerate) | uint64(op.name)<<32
	}
	last := ops + uintptr(len(l.ops))*opSize
	clear(a.bytes()[last : last+opSize])
	*a.word(last + opNr) = unix.SYS_EXIT_GROUP
	*a.word(last + opTolerate) = uint64(OpExit) << 32
	return ops
}
