//go:build amd64 || arm64

package kernel

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"github.com/muster-init/muster/pkg/kernel/rawsig"
	"golang.org/x/sys/unix"
)

// CrashRecord counts what the crash hook did. It lies in shared memory that
// survives the execve if the caller put it there ([StateMemory]), so that the
// new image can tell a crash loop.
type CrashRecord struct {
	Count  uint32 // times the image was executed by the hook
	Signal uint32 // of the last time: SIGABRT a fatal error, SIGALRM a hang
}

// CrashHook is what replaces a process that cannot go on.
type CrashHook struct {
	// Path, Argv and Envp are given to execve(2), e.g. /proc/self/exe.
	Path string
	Argv []string
	Envp []string
	// FD is executed (AT_EMPTY_PATH) if Path cannot be; 0 or less for none. It
	// may be close-on-exec, unless it is a script.
	FD int
	// Record is in memory outside the Go heap; nil for a private one.
	Record *CrashRecord
}

// crashMaxStack bounds the stack of a goroutine in bytes: with Go's 1 GB it takes
// 6 s and a gigabyte until endless recursion is noticed.
const crashMaxStack = 32 << 20

// InstallCrashHook makes every end of the process that the Go runtime decides
// on (unrecovered panic, concurrent map write, stack overflow, deadlock, out of
// memory, wild pointer, SIGQUIT, and SIGABRT itself) execute the hook's image in
// the same process instead: the pid, the children and every descriptor that is
// not close-on-exec are kept. Traces are printed to standard error before. If
// nothing can be executed the process pauses for ever. It may be called again
// to change the image; the old strings are leaked, some hundred bytes.
func InstallCrashHook(path string, argv, envp []string) error {
	return CrashHook{Path: path, Argv: argv, Envp: envp}.Install()
}

// Install is [InstallCrashHook] with all choices.
func (h CrashHook) Install() error {
	mem, err := packStrings(h.Path, h.Argv, h.Envp)
	if err != nil {
		return fmt.Errorf("crash hook: %w", err)
	}
	record := uintptr(unsafe.Pointer(h.Record))
	if h.Record == nil {
		record = mem.record
	}
	fd := int64(-1)
	if h.FD > 0 {
		fd = int64(h.FD)
	}
	atomic.StoreUintptr(&rawsig.CrashRecord, record)
	atomic.StoreUintptr(&rawsig.CrashEnvp, mem.envp)
	atomic.StoreUintptr(&rawsig.CrashArgv, mem.argv)
	atomic.StoreUintptr(&rawsig.CrashPath, mem.path)
	atomic.StoreInt64(&rawsig.CrashFD, fd)
	debug.SetTraceback("crash")
	debug.SetMaxStack(crashMaxStack)
	if errno := rawsig.Install(int(unix.SIGABRT), rawsig.Crash); errno != 0 {
		return fmt.Errorf("crash hook: sigaction: %w", unix.Errno(errno))
	}
	return nil
}

// Reexec runs the installed hook now, as a crash would. It does not return if
// the image can be executed.
func Reexec() {
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGABRT)
}

type packed struct{ path, argv, envp, record uintptr }

// packStrings copies what execve needs into memory of its own.
func packStrings(path string, argv, envp []string) (packed, error) {
	var l OpList
	p := l.String(path)
	a := l.Strings(argv)
	e := l.Strings(envp)
	r := l.Bytes(make([]byte, unsafe.Sizeof(CrashRecord{})))
	if l.err != nil {
		return packed{}, l.err
	}
	size := uintptr(len(l.data)+unix.Getpagesize()) &^ uintptr(unix.Getpagesize()-1)
	base, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return packed{}, err
	}
	mem := arena{base: base, size: size}
	copy(mem.bytes(), l.data)
	for _, off := range l.relocs {
		w := mem.word(uintptr(off))
		*w = uint64(uintptr(mem.at(uintptr(*w))))
	}
	at := func(x Arg) uintptr { return uintptr(mem.at(uintptr(x.v))) }
	return packed{at(p), at(a), at(e), at(r)}, nil
}

// Heartbeat starts a timer that executes the crash hook's image (installed
// before) when the loop hangs: when a whole interval went by without a Beat
// while not idle. A hang is noticed after one to two intervals. Call it once;
// an interval of 0 stops it.
func Heartbeat(intervalUSec uint64) error {
	if atomic.LoadUintptr(&rawsig.CrashPath) == 0 {
		return fmt.Errorf("heartbeat: no crash hook")
	}
	if errno := rawsig.Install(int(unix.SIGALRM), rawsig.Heartbeat); errno != 0 {
		return fmt.Errorf("heartbeat: sigaction: %w", unix.Errno(errno))
	}
	if heartbeatTimer == nil {
		// struct sigevent: value, signo, notify (SIGEV_SIGNAL is 0), padding.
		ev := [8]uint64{1: uint64(unix.SIGALRM)}
		id := new(int32)
		_, _, errno := unix.RawSyscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&ev)), uintptr(unsafe.Pointer(id)))
		if errno != 0 {
			return fmt.Errorf("heartbeat: timer_create: %w", errno)
		}
		heartbeatTimer = id
	}
	atomic.AddUint64(&rawsig.Beat, 1) // the first tick finds an advance
	ts := unix.NsecToTimespec(int64(intervalUSec) * 1000)
	spec := unix.ItimerSpec{Interval: ts, Value: ts}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMER_SETTIME, uintptr(*heartbeatTimer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("heartbeat: timer_settime: %w", errno)
	}
	return nil
}

var heartbeatTimer *int32

// Beat says that the loop is alive and busy: call it inside long work,
// [Poller.Wait] does it when a turn begins. It costs an atomic add.
func Beat() {
	atomic.StoreUint64(&rawsig.Idle, 0)
	atomic.AddUint64(&rawsig.Beat, 1)
}

// BeatIdle says that the loop is about to wait for events, for however long;
// [Poller.Wait] does it.
func BeatIdle() { atomic.StoreUint64(&rawsig.Idle, 1) }
