//go:build amd64 || arm64

// Package rawsig holds the signal handlers of PID 1 that are not Go: each is a
// few instructions that run on whatever thread the kernel picked, touch only
// the words below and return, or replace the process image.
//
//   - the writer copies the 128 bytes of siginfo into a pipe; when that fails
//     (full, or not there yet) it remembers the signal as a bit in Lost;
//   - the crash handler executes a prepared image, and if that fails pauses for
//     ever: an init that ends takes the kernel down;
//   - the heartbeat handler does the same when a counter did not advance
//     between two ticks of a timer while the loop was not idle.
//
// The package imports nothing but unsafe, so that package early, which only
// wants it, is initialised before almost everything else. See
// rt_sigaction(2), sigreturn(2).
package rawsig

import "unsafe"

// Words shared with the assembly.
var (
	// SignalFD is the pipe the writer writes to, -1 for none.
	SignalFD int64 = -1
	// Lost has bit n-1 set for each signal n that could not be written.
	Lost uint64

	// CrashPath, CrashArgv and CrashEnvp are addresses outside the Go heap of a
	// C string and two NULL-terminated arrays, as execve(2) takes them.
	CrashPath, CrashArgv, CrashEnvp uintptr
	// CrashFD is executed with AT_EMPTY_PATH when CrashPath cannot be; -1 for none.
	CrashFD int64 = -1
	// CrashRecord is the address of two uint32 outside the Go heap: how many
	// times a handler executed the image, and the signal of the last time.
	CrashRecord uintptr

	// Beat is changed by each turn of the loop; Idle is not 0 while the loop
	// waits for events.
	Beat, Idle uint64
	beatSeen   uint64
	emptyMask  uint64
	emptyPath  uint64
)

// Handler selects one of the handlers.
type Handler uintptr

// The handlers, and the two dispositions that are none.
const (
	Writer Handler = iota
	Crash
	Heartbeat
	Default
	Ignore
)

type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	saSigInfo  = 0x4
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000
	saNoDefer  = 0x40000000
)

// Install sets the disposition of signal sig for the whole process and
// returns 0 or an errno. The Go runtime is not told.
func Install(sig int, h Handler) (errno uintptr) {
	// Every other signal is blocked inside a handler: a frame with all vector
	// registers takes 3 KiB and more, and a burst of different signals nested in
	// each other overflows the 32 KiB signal stack of a Go thread.
	act := sigaction{flags: saSigInfo | saOnStack | saRestart | saRestorer, restorer: entry(3), mask: ^uint64(0)}
	switch h {
	case Default, Ignore:
		act = sigaction{handler: uintptr(h - Default)}
	case Crash, Heartbeat:
		act.flags |= saNoDefer
		act.handler = entry(uintptr(h))
	case Writer:
		act.handler = entry(uintptr(h))
	}
	r := syscall6(sysSigaction, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	if r > ^uintptr(4095) {
		return -r
	}
	return 0
}

// IsInit tells whether we are process 1.
func IsInit() bool { return syscall6(sysGetpid, 0, 0, 0, 0, 0, 0) == 1 }

// entry returns the address of a handler's first instruction; a Go func value
// would lead to a wrapper with another calling convention.
func entry(which uintptr) uintptr

// syscall6 is a raw system call; -4095..-1 are errors. The scheduler is not
// told, so only calls that don't block.
//
//go:noescape
func syscall6(nr, a, b, c, d, e, f uintptr) uintptr
