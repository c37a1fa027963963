package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Architectures without our assembly spawn by way of an executor: a small
// program of ours that PID 1 starts with ForkExec, hands the op list in a memfd
// and that runs it ([RunOpList]). ForkExec of a foreign path, or one that
// changes credentials, could freeze PID 1; this does neither. It costs about
// 1 ms instead of 0.1.

// forkExecutor is the path of that program.
var forkExecutor atomic.Pointer[string]

// SetForkExecutor names the program (e.g. /proc/self/fd/N of a sealed memfd)
// that calls [RunOpList] with the number in its last argument. It is of no use
// on amd64 and arm64.
func SetForkExecutor(path string) { forkExecutor.Store(&path) }

// spawnFork is Spawn by the executor. The arena is a shared memfd here: both
// sides map it, at different addresses, so it is laid out again by the executor.
func spawnFork(c *Child, list *OpList, opt SpawnOptions) error {
	path := forkExecutor.Load()
	if path == nil {
		return fmt.Errorf("spawn: no assembly for %s and no executor: %w", runtime.GOARCH, unix.ENOSYS)
	}
	fd, err := NewMemfd("oplist", false)
	if err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	defer CloseFD(fd)
	text := list.encode()
	if err := unix.Ftruncate(fd, int64(headerSize+len(text))); err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	if _, err := unix.Pwrite(fd, text, headerSize); err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	base, err := unix.MmapPtr(fd, 0, nil, uintptr(headerSize+len(text)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	mem := arena{base: base, size: uintptr(headerSize + len(text)), remote: true}
	*(*uint32)(mem.at(hdrTID)) = 1
	pidfd := -1
	attr := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: list.inherited(fd),
		Sys:   &syscall.SysProcAttr{PidFD: &pidfd, Cloneflags: uintptr(opt.Flags)},
	}
	if opt.CgroupFD > 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, opt.CgroupFD
	}
	pid, err := syscall.ForkExec(*path, []string{*path, "--oplist", itoa(fd)}, attr)
	if err != nil {
		mem.free()
		return fmt.Errorf("spawn: %w", err)
	}
	c.mu.Lock()
	if opt.NoPidFD {
		_ = unix.Close(pidfd)
		pidfd = -1
	}
	c.Pid, c.PidFD, c.mem = pid, pidfd, mem
	c.mu.Unlock()
	return nil
}

// inherited lists the descriptors the executor needs, each under its own
// number; the gaps are closed.
func (l *OpList) inherited(control int) []uintptr {
	keep := []int{control}
	for _, op := range l.ops {
		for _, a := range op.args {
			if a.kind == argFD && int64(a.v) >= 0 {
				keep = append(keep, int(a.v))
			}
		}
	}
	var files []uintptr
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			continue // the op that uses it will say so
		}
		for len(files) <= fd {
			files = append(files, ^uintptr(0))
		}
		files[fd] = uintptr(fd)
	}
	return files
}

// encode writes the list for the executor: counts, ops, relocations, data.
func (l *OpList) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(l.ops)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(l.relocs)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(l.data)))
	for _, op := range l.ops {
		b = binary.LittleEndian.AppendUint64(b, uint64(op.nr))
		b = binary.LittleEndian.AppendUint64(b, uint64(op.status)|uint64(op.name)<<8|uint64(op.tolerate)<<32)
		for _, a := range op.args {
			b = append(b, byte(a.kind))
			b = binary.LittleEndian.AppendUint64(b, a.v)
		}
	}
	for _, r := range l.relocs {
		b = binary.LittleEndian.AppendUint32(b, r)
	}
	return append(b, l.data...)
}

var errEncoding = errors.New("op list: damaged encoding")

// decode is the inverse of encode.
func (l *OpList) decode(b []byte) error {
	const head, opBytes = 24, 16 + 6*9
	if len(b) < head {
		return errEncoding
	}
	ops, relocs, data := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	b = b[head:]
	if ops > MaxOps || relocs > MaxOpListBytes || data > MaxOpListBytes || uint64(len(b)) != ops*opBytes+relocs*4+data {
		return errEncoding
	}
	for range ops {
		word := binary.LittleEndian.Uint64(b[8:])
		op := opRecord{nr: int64(binary.LittleEndian.Uint64(b)), status: uint8(word), name: OpName(word >> 8), tolerate: uint32(word >> 32)}
		for i := range op.args {
			op.args[i] = Arg{argKind(b[16+9*i]), binary.LittleEndian.Uint64(b[17+9*i:])}
		}
		l.ops = append(l.ops, op)
		b = b[opBytes:]
	}
	for range relocs {
		l.relocs = append(l.relocs, binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	l.data = append(l.data, b...)
	return nil
}

// RunOpList is the executor's side: it reads an op list from fd and runs it in
// this process, on this thread. It returns only if the list cannot be read. The
// caller is a small program that has done nothing else yet.
func RunOpList(fd int) error {
	runtime.LockOSThread()
	if err := SetCloexec(fd, true); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	base, err := unix.MmapPtr(fd, 0, nil, uintptr(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	shared := arena{base: base, size: uintptr(st.Size)}
	var l OpList
	if st.Size < headerSize {
		return errEncoding
	}
	if err := l.decode(shared.bytes()[headerSize:]); err != nil {
		return err
	}
	own, err := newArena(l.size())
	if err != nil {
		return err
	}
	first := l.write(own)
	for i := uintptr(0); ; i++ {
		runOp(shared, own, first+i*opSize, i)
	}
}

// runOp makes one call and tells the parent about it.
func runOp(shared, own arena, rec, index uintptr) {
	name := uint64(*own.word(rec + opTolerate) >> 32)
	*shared.word(hdrCurrent) = uint64(index)
	*shared.word(hdrStatus) = name
	tid := (*uint32)(shared.at(hdrTID))
	if OpName(name) == OpExec || OpName(name) == OpExit {
		// There is no CLEARTID here: say it before, take it back on failure.
		atomic.StoreUint32(tid, 0)
		defer atomic.StoreUint32(tid, 1)
	}
	errno := own.execute(rec)
	if errno == 0 {
		return
	}
	status := *own.word(rec + opStatus)
	*shared.word(hdrFailed) = uint64(index)
	*shared.word(hdrStatus) = name | status<<32
	*shared.word(hdrErrno) = uint64(errno)
	atomic.StoreUint32(tid, 0)
	unix.Exit(int(status))
}

// lookRemote is look for a child that runs its list in the executor.
func (c *Child) lookRemote() SpawnResult {
	if atomic.LoadUint32((*uint32)(c.mem.at(hdrTID))) != 0 {
		return SpawnResult{Pending: true}
	}
	word := *c.mem.word(hdrStatus)
	if errno := *c.mem.word(hdrErrno); errno != 0 {
		return SpawnResult{Errno: unix.Errno(errno), Op: int(*c.mem.word(hdrFailed)), Name: OpName(word), Status: uint8(word >> 32)}
	}
	return SpawnResult{Executed: OpName(word) == OpExec}
}
