//go:build !amd64 && !arm64

package kernel

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

const sigInfoSize = 128

// InstallSignals catches signals through os/signal and relays their numbers.
func InstallSignals(set []unix.Signal) (fd int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fmt.Errorf("signal pipe: %w", err)
	}
	ch := make(chan os.Signal, 256)
	for _, sig := range set {
		signal.Notify(ch, sig)
	}
	go func() {
		for sig := range ch {
			if s, ok := sig.(unix.Signal); ok {
				_, _ = unix.Write(p[1], []byte{byte(s)})
			}
		}
	}()
	return p[0], nil
}

// SetSignalDefault gives sig back its default disposition.
func SetSignalDefault(sig unix.Signal) error { signal.Reset(sig); return nil }

// SetSignalIgnored ignores sig.
func SetSignalIgnored(sig unix.Signal) error { signal.Ignore(sig); return nil }

// ReadSignal takes the next signal from the pipe.
func ReadSignal(fd int) (SigInfo, bool) {
	var b [1]byte
	if n, err := unix.Read(fd, b[:]); err != nil || n != 1 {
		return SigInfo{}, false
	}
	return SigInfo{Signo: unix.Signal(b[0]), Code: SIKernel}, true
}

// CrashRecord counts what the crash hook did.
type CrashRecord struct{ Count, Signal uint32 }

// CrashHook is what replaces a process that cannot go on.
type CrashHook struct {
	Path   string
	Argv   []string
	Envp   []string
	FD     int
	Record *CrashRecord
}

// InstallCrashHook is not available here.
func InstallCrashHook(path string, argv, envp []string) error {
	return fmt.Errorf("crash hook: %w", unix.ENOSYS)
}

// Install is not available here.
func (h CrashHook) Install() error { return fmt.Errorf("crash hook: %w", unix.ENOSYS) }

// Reexec does nothing here.
func Reexec() {}

// Heartbeat is not available here.
func Heartbeat(intervalUSec uint64) error { return fmt.Errorf("heartbeat: %w", unix.ENOSYS) }

// Beat does nothing here.
func Beat() {}

// BeatIdle does nothing here.
func BeatIdle() {}
