package kernel

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// MaxPending bounds the children that were spawned and have neither executed
// nor ended: each of them holds an arena of at least 16 KiB.
const MaxPending = 1024

// ErrTooManyPending is returned by Spawn at [MaxPending].
var ErrTooManyPending = errors.New("spawn: too many children have not executed yet")

// SpawnOptions says where a child is born.
type SpawnOptions struct {
	// CgroupFD is an open cgroup2 directory (O_PATH will do) the child is born
	// in, or 0 for our own cgroup. On kernels that have it, a cgroup that
	// cgroup.kill was written to kills the child at birth: recreate it first.
	CgroupFD int
	// Flags are extra clone flags: CLONE_NEW… except CLONE_NEWTIME, which the
	// kernel refuses together with shared memory.
	Flags uint64
	// NoPidFD: Child.PidFD is -1.
	NoPidFD bool
}

// A SpawnResult tells how far the op list of a child came.
type SpawnResult struct {
	// Pending: neither executed, failed nor ended. The other fields are zero.
	Pending bool
	// Executed: the image was replaced. (Or the child was killed inside execve,
	// past the point where it could have reported an error.)
	Executed bool
	// Errno of the op that failed, 0 if none did.
	Errno unix.Errno
	// Op is its index, Name what it was, Status the exit status given for it.
	Op     int
	Name   OpName
	Status uint8
}

// Err is nil unless an op failed.
func (r SpawnResult) Err() error {
	if r.Errno == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", r.Name, r.Errno)
}

// A Child is a process made by [Spawn]. The owner reaps it as usual and closes
// PidFD; the memory it shares with us is recycled by itself once the child has
// executed, and otherwise by [Child.Release].
type Child struct {
	Pid int
	// PidFD is close-on-exec and belongs to the caller; -1 if none was wanted.
	PidFD int

	mu     sync.Mutex
	mem    arena // zero once recycled
	result SpawnResult
}

var pending struct {
	sync.Mutex
	list []*Child
}

// Spawn clones a child that runs the op list. It returns as soon as the child
// exists, in some 20 µs, and never waits for it. Errors are those of clone3(2)
// (EAGAIN for process limits, EBUSY or EOPNOTSUPP for a cgroup that takes no
// processes, ENODEV for one that was removed), of the list itself
// ([ErrOpList]), or [ErrTooManyPending]. It may be called from any goroutine.
func Spawn(list *OpList, opt SpawnOptions) (*Child, error) {
	if list.err != nil {
		return nil, list.err
	}
	c := &Child{PidFD: -1}
	if err := enroll(c); err != nil {
		return nil, err
	}
	start := spawnClone
	if !haveRawSpawn {
		start = spawnFork
	}
	if err := start(c, list, opt); err != nil {
		dismiss(c)
		return nil, err
	}
	return c, nil
}

// spawnClone is Spawn by our own assembly.
func spawnClone(c *Child, list *OpList, opt SpawnOptions) error {
	mem, err := newArena(list.size())
	if err != nil {
		return fmt.Errorf("spawn: map %d bytes: %w", list.size(), err)
	}
	ops := list.write(mem)
	header(mem, opt)
	ret := rawSpawn(mem.base, mem.at(ops))
	if ret < 0 {
		mem.free()
		return fmt.Errorf("spawn: clone3: %w", unix.Errno(-ret))
	}
	c.mu.Lock()
	c.Pid, c.mem = ret, mem
	if !opt.NoPidFD {
		c.PidFD = int(*(*int32)(mem.at(hdrPidFD)))
	}
	c.mu.Unlock()
	return nil
}

// header fills the words around clone3.
func header(mem arena, opt SpawnOptions) {
	clear(mem.bytes()[:headerSize])
	*(*uint32)(mem.at(hdrTID)) = 1
	*mem.word(hdrMask) = ^uint64(0)
	flags := opt.Flags | unix.CLONE_VM | unix.CLONE_CLEAR_SIGHAND | unix.CLONE_CHILD_CLEARTID
	if opt.CgroupFD > 0 {
		flags |= unix.CLONE_INTO_CGROUP
	}
	if !opt.NoPidFD {
		flags |= unix.CLONE_PIDFD
	}
	args := (*[cloneArgsSize / 8]uint64)(mem.at(hdrClone))
	args[0] = flags
	args[1] = uint64(uintptr(mem.at(hdrPidFD)))
	args[2] = uint64(uintptr(mem.at(hdrTID)))
	args[4] = uint64(unix.SIGCHLD)
	args[5] = uint64(uintptr(mem.at(mem.size - stackSize)))
	args[6] = stackSize
	if opt.CgroupFD > 0 {
		args[10] = uint64(opt.CgroupFD)
	}
}

// enroll notes a child whose arena is to be recycled, after looking whether
// others can be.
func enroll(c *Child) error {
	pending.Lock()
	defer pending.Unlock()
	kept := pending.list[:0]
	for _, old := range pending.list {
		if !old.recycle(false) {
			kept = append(kept, old)
		}
	}
	clear(pending.list[len(kept):])
	pending.list = kept
	if len(kept) >= MaxPending {
		return ErrTooManyPending
	}
	pending.list = append(pending.list, c)
	return nil
}

func dismiss(c *Child) {
	pending.Lock()
	defer pending.Unlock()
	for i, p := range pending.list {
		if p == c {
			pending.list = append(pending.list[:i], pending.list[i+1:]...)
			return
		}
	}
}

// recycle takes the arena back if the child is through with it, or dead.
func (c *Child) recycle(dead bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Pid == 0 {
		return false // clone3 is under way in another goroutine
	}
	if c.mem.base == nil {
		return true
	}
	r := c.look()
	if r.Pending && !dead {
		return false
	}
	r.Pending = false
	c.result = r
	c.mem.free()
	c.mem = arena{}
	return true
}

// look reads the child's progress; c.mu is held and the arena is there.
func (c *Child) look() SpawnResult {
	if c.mem.remote {
		return c.lookRemote()
	}
	if errno := *c.mem.word(hdrErrno); errno != 0 {
		i := *c.mem.word(hdrFailed)
		rec := headerSize + uintptr(i)*opSize
		return SpawnResult{
			Errno: unix.Errno(errno), Op: int(i),
			Name:    OpName(*c.mem.word(rec + opTolerate) >> 32),
			Status:  uint8(*c.mem.word(rec + opStatus)),
			Pending: atomic.LoadUint32((*uint32)(c.mem.at(hdrTID))) != 0,
		}
	}
	if atomic.LoadUint32((*uint32)(c.mem.at(hdrTID))) != 0 {
		return SpawnResult{Pending: true}
	}
	// The word is zero: the child left our memory, by execve or by dying. An
	// error stored before that is visible now, so look again.
	if *c.mem.word(hdrErrno) != 0 {
		return c.look()
	}
	rec := headerSize + uintptr(*c.mem.word(hdrCurrent))*opSize
	return SpawnResult{Executed: OpName(*c.mem.word(rec + opTolerate)>>32) == OpExec}
}

// Result tells what is known about the op list by now. It is final as soon as
// Pending is false, and after [Child.Release].
func (c *Child) Result() SpawnResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mem.base == nil {
		return c.result
	}
	r := c.look()
	if r.Pending {
		return SpawnResult{Pending: true}
	}
	return r
}

// Release recycles the child's arena and returns the final result. Call it
// once the child was reaped (a child that was killed before its execve may
// leave its arena behind otherwise). It does not close PidFD.
func (c *Child) Release() SpawnResult {
	c.recycle(true)
	dismiss(c)
	return c.Result()
}
