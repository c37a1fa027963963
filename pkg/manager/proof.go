package manager

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/manager/statelog"
)

// Before an image replaces this one it has to prove itself: a child of it, the shadow, gets a copy of the state, loads the units, restores them in
// memory of its own and compares. Only its "ok" within the time and memory given lets the re-execution happen; anything else leaves this image where
// it is, and the caller learns why.
const (
	proofDataBytes = 512 << 20 // of private memory that a shadow may have, beside proofStateShare for each byte of state
	proofStateFold = 32
	proofCPUSec    = 60
	proofStateFD   = 3
	proofTextMax   = 600

	// proofWord begins the last line of a shadow that is content.
	proofWord = "muster-proof: ok"
)

// proofUSec is how long a shadow may take, from the request on.
var proofUSec uint64 = 20_000_000

// proof is a trial under way.
type proof struct {
	waiters []func(error)
	path    string
	id      imageID
	same    bool // it is the image that runs
}

// imageID tells whether a file is still the one that was tried.
type imageID struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
}

func identify(path string) (imageID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return imageID{}, err
	}
	return imageID{uint64(st.Dev), st.Ino, st.Size, st.Mtim}, nil
}

// nextImage is the program that a re-execution leads to. The one that runs may have been replaced on disk: the link leads to the old, deleted one then.
func nextImage() (string, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", err
	}
	return trimDeleted(exe), nil
}

// requestReexec begins the trial of the next image; if it succeeds the loop ends with objectiveReexec. failed (which may be nil) is told why not;
// when all goes well nobody is told, because this image is gone.
func (m *Manager) requestReexec(failed func(error)) {
	if failed == nil {
		failed = func(error) {}
	}
	if m.trial != nil {
		m.trial.waiters = append(m.trial.waiters, failed)
		return
	}
	m.trial = &proof{waiters: []func(error){failed}}
	if held := m.work.longest(); held > heldUpAfter && !m.reloading {
		// execve(2) waits for all threads to die, and one that waits for an answer of a dead server may never do.
		m.proofEnded(fmt.Errorf("a look at a file system that does not answer has been under way for %d s: the manager can't be executed again before that ends", int(held.Seconds())))
		return
	}
	m.log.info("", "Reexecution requested.")
	path, err := nextImage()
	if err != nil {
		m.proofEnded(err)
		return
	}
	m.trial.path = path
	if m.trial.id, err = identify(path); err == nil {
		running, err := identify("/proc/self/exe")
		m.trial.same = err == nil && running == m.trial.id
	}
	if m.trial.same {
		m.proofEnded(nil)
		return
	}
	state, err := m.copyState()
	if err != nil {
		m.proofEnded(err)
		return
	}
	s := shadow{path: path, state: state, stateBytes: m.state.Size(), helpers: m.helpers, user: !m.system, deadline: time.Now().Add(time.Duration(proofUSec) * time.Microsecond)}
	trial := m.trial
	queued := m.work.add(func() func() {
		id, err := s.run()
		return func() {
			if m.trial == trial { // else it was given up
				m.trial.id = id
				m.proofEnded(err)
			}
		}
	})
	if !queued {
		_ = unix.Close(state)
		m.proofEnded(errors.New("the workers are too busy"))
		return
	}
	// Whatever a hung file system does to the worker, the callers get their answer.
	m.alarms.after("proof", proofUSec+1_000_000, func() { m.proofEnded(errors.New("the image could not be tried in time")) })
}

// proofEnded lets the re-execution happen, or tells everybody why it doesn't.
func (m *Manager) proofEnded(err error) {
	m.alarms.cancel("proof")
	if err == nil {
		m.setObjective(objectiveReexec)
		if m.objective != objectiveReexec {
			err = fmt.Errorf("there is a shutdown under way (%s)", m.objective)
		}
	}
	if err != nil {
		m.refuseReexec(err)
	}
}

// refuseReexec ends a trial without a re-execution.
func (m *Manager) refuseReexec(err error) {
	path := ""
	var waiters []func(error)
	if m.trial != nil {
		path, waiters = m.trial.path, m.trial.waiters
	}
	m.trial = nil
	err = fmt.Errorf("not reexecuted, the running manager stays: %s: %w", path, err)
	m.log.err("", "%v", err)
	for _, failed := range waiters {
		failed(err)
	}
}

// copyState makes a sealed memory file with the live records.
func (m *Manager) copyState() (fd int, err error) {
	if m.state == nil {
		return -1, errors.New("there is no state to hand over")
	}
	m.saveShell()
	m.export()
	fd, err = kernel.NewMemfd("muster-state-copy", false)
	if err != nil {
		return -1, err
	}
	if err = m.state.Copy(rawFile(fd)); err == nil {
		err = kernel.SealMemfd(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// rawFile is a descriptor as a statelog.File; it is not closed with a finalizer.
type rawFile int

func (f rawFile) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		k, err := unix.Pwrite(int(f), p[n:], off+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

func (f rawFile) ReadAt(p []byte, off int64) (int, error) { return unix.Pread(int(f), p, off) }
func (f rawFile) Truncate(size int64) error               { return unix.Ftruncate(int(f), size) }

var _ statelog.File = rawFile(0)

// shadow is everything that a trial needs, so that it can go on a worker.
type shadow struct {
	path       string
	state      int // a copy, owned
	stateBytes int64
	user       bool
	helpers    *helpers
	deadline   time.Time
}

// run starts the shadow and waits for its verdict. The identity of the file is taken before, so that what is executed later can be told from it.
func (s *shadow) run() (imageID, error) {
	defer unix.Close(s.state)
	id, err := identify(s.path)
	if err != nil {
		return id, err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return id, err
	}
	child, err := s.start(pipe[1])
	_ = unix.Close(pipe[1])
	if err != nil {
		_ = unix.Close(pipe[0])
		return id, err
	}
	said := readAllUntil(pipe[0], s.deadline)
	status, err := s.helpers.wait(child, s.deadline)
	s.helpers.forget(child.Pid)
	result := child.Release()
	_ = unix.Close(child.PidFD)
	switch {
	case result.Err() != nil:
		return id, result.Err()
	case err != nil:
		return id, err
	case !time.Now().Before(s.deadline):
		return id, fmt.Errorf("a trial process gave no verdict within %ds", proofUSec/1_000_000)
	case status != "":
		return id, fmt.Errorf("a trial process %s%s", status, quoted(tail(said)))
	case !strings.HasPrefix(lastLine(said), proofWord):
		return id, fmt.Errorf("a trial process ended without a verdict%s", quoted(tail(said)))
	}
	return id, nil
}

func (s *shadow) start(output int) (*kernel.Child, error) {
	args := []string{s.path, "--prove"}
	if s.user {
		args = append(args, "--user")
	}
	var l kernel.OpList
	l.Setsid(generatorStatus)
	l.PlaceFDs(generatorStatus, []int{output, output, s.state}, 1)
	l.OpenTo(generatorStatus, "/dev/null", unix.O_RDONLY, 0, 0)
	l.CloexecFrom(generatorStatus, proofStateFD+1)
	helperLimits(&l)
	data := uint64(proofDataBytes + proofStateFold*s.stateBytes)
	l.Setrlimit(generatorStatus, unix.RLIMIT_DATA, data, data)
	l.Setrlimit(generatorStatus, unix.RLIMIT_CPU, proofCPUSec, proofCPUSec)
	l.Setrlimit(generatorStatus, unix.RLIMIT_CORE, 0, 0)
	l.Exec(generatorStatus, s.path, args, os.Environ())
	return s.helpers.spawn(&l, kernel.SpawnOptions{})
}

func lastLine(text string) string {
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// tail is the beginning of what a shadow said: a trace tells its reason first.
func tail(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > proofTextMax {
		text = text[:proofTextMax] + "…"
	}
	return text
}
