package manager

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/manager/statelog"
)

// After a re-execution the image before is kept for a while: a crash or a hang of the new one leads back to it. It gets the newest state if it can read
// that, else the copy that was made when it handed over; the sources replay what happened since in either case.

// probationUSec is how long the loop of a new image must have run before the old one is given up.
var probationUSec uint64 = 10_000_000

// fallback are the descriptors that lead back: -1 for one that isn't there.
type fallback struct {
	Image    int // the program, O_PATH
	State    int // a sealed copy of the state
	Executor int // the sealed image of the executor that belongs to the program
}

var noFallback = fallback{-1, -1, -1}

func (f fallback) String() string {
	return strconv.Itoa(f.Image) + "," + strconv.Itoa(f.State) + "," + strconv.Itoa(f.Executor)
}

func parseFallback(text string) (fallback, error) {
	parts := strings.Split(text, ",")
	f := noFallback
	for i, fd := range []*int{&f.Image, &f.State, &f.Executor} {
		if i < len(parts) {
			n, err := strconv.Atoi(parts[i])
			if err != nil {
				return noFallback, fmt.Errorf("%q: three descriptor numbers are needed", text)
			}
			*fd = n
		}
	}
	return f, nil
}

// keep makes the descriptors survive an execve, or not.
func (f fallback) keep(on bool) {
	for _, fd := range []int{f.Image, f.State, f.Executor} {
		if fd >= 0 {
			_ = kernel.SetCloexec(fd, !on)
		}
	}
}

func (f fallback) close() {
	for _, fd := range []int{f.Image, f.State, f.Executor} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// openFallback collects what the next image needs to come back to this one. What can't be had is left out: a re-execution is not refused for it.
func (m *Manager) openFallback() fallback {
	f := noFallback
	if fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
		f.Image = fd
	} else {
		m.log.warning("", "A crash of the next image can't lead back to this one: %v", err)
		return f
	}
	if fd, err := m.copyState(); err == nil {
		f.State = fd
	} else {
		m.log.warning("", "%v", err)
	}
	if image := m.spawner.image; image >= 0 {
		if fd, err := unix.FcntlInt(uintptr(image), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			f.Executor = fd
		}
	}
	return f
}

// crashHook is what a crash of this image leads to: the image before as long as this one is on probation, else this one again.
func (m *Manager) crashHook() error {
	hook := kernel.CrashHook{Path: "/proc/self/exe", Argv: m.reexecArguments(true), Envp: os.Environ()}
	if m.box != nil {
		hook.Record = m.box.record()
	}
	if m.opt.Fallback.Image >= 0 {
		hook.Path, hook.FD = "", m.opt.Fallback.Image
		hook.Argv = append(hook.Argv, "--returned="+m.opt.Fallback.String())
	}
	return hook.Install()
}

// beginProbation arms the way back for an image that was just executed in place of another one.
func (m *Manager) beginProbation() {
	if m.opt.Fallback.Image >= 0 {
		m.alarms.after("probation", probationUSec, m.endProbation)
		plantedProbation(m)
	}
}

// endProbation gives the image before up.
func (m *Manager) endProbation() {
	if m.opt.Fallback.Image < 0 {
		return
	}
	m.alarms.cancel("probation")
	old := m.opt.Fallback
	m.opt.Fallback = noFallback
	if err := m.crashHook(); err != nil {
		m.log.err("", "%v", err)
	}
	old.close()
	m.log.debug("", "The new image works, the one before is given up.")
}

// returned says what happened to the image that was to replace this one, and closes the way back to itself.
func (m *Manager) returned() {
	if !m.opt.Returned {
		return
	}
	m.log.emergency("", "The new image of the manager crashed soon after it was executed: the one before runs again.")
	m.console.status("failed", "The new image of the manager crashed, the one before runs again.")
	name := append([]byte("muster"), 0)
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0) // executed by descriptor, so it is called by a number
	back := m.opt.Back
	back.Executor = -1 // prepareSpawning took it
	back.close()
	m.opt.Back = noFallback
}

// spareState takes the copy that was made before this image handed over, if what the other one wrote can't be read. files are the memory files of the
// log, which begin anew.
func (m *Manager) spareState(files [2]*os.File) (map[string][]byte, error) {
	records, _, err := statelog.Read(rawFile(m.opt.Back.State))
	if err != nil {
		return nil, err
	}
	if m.state, err = statelog.Create(files[0], files[1]); err != nil {
		return nil, err
	}
	for key, record := range records {
		if err := m.state.Put(key, record); err != nil {
			return nil, err
		}
	}
	return records, m.state.Flush()
}

// readable reports whether this program understands the engine's records.
func readable(records map[string][]byte) error { return engine.CheckVersion(records) }
