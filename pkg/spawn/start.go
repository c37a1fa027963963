package spawn

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// MaxStdinData bounds StandardInputData= in bytes.
const MaxStdinData = 64 << 20

// ErrNoExecutor is returned for a plan of tier 2 when there is no executor.
var ErrNoExecutor = errors.New("no executor was prepared")

// Options are what a start needs besides the plan.
type Options struct {
	// CgroupFD is an open directory of the cgroup the child is born in, 0: ours.
	CgroupFD int
	// Notice asks for a status descriptor also in tier 1 (Type=exec).
	Notice bool
	// NoPidFD: the owner waits for SIGCHLD and needs no descriptor.
	NoPidFD bool
}

// Spawner starts children. It is not safe for concurrent use: it belongs to
// the manager's loop.
type Spawner struct {
	Host       Host
	executorFD int
	list       kernel.OpList
}

// New makes a spawner. image is the descriptor of the executor's image
// ([Image]), or -1 for none; it stays the caller's.
func New(image int) (*Spawner, error) {
	h, err := ThisHost()
	if err != nil {
		return nil, err
	}
	return &Spawner{Host: h, executorFD: image}, nil
}

// Start starts a child for p, in some 30 µs, and returns without waiting for
// it. An error means that there is no child. p itself is not changed.
func (s *Spawner) Start(p *plan.Plan, opt Options) (*Child, error) {
	run := *p
	t := temporary{}
	defer t.close()
	if err := t.streams(&run); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Unit, err)
	}
	status := int(plan.None)
	if opt.Notice || run.Tier == plan.TierExecutor {
		var err error
		if status, run.StatusFD, err = t.pipe(firstFD + len(run.FDs) + len(run.OpenFiles)); err != nil {
			return nil, fmt.Errorf("%s: status pipe: %w", p.Unit, err)
		}
	}
	ops := NewOps(&s.list, &run, s.Host)
	if run.Tier == plan.TierExecutor {
		if err := s.executor(ops, &t); err != nil {
			t.add(status)
			return nil, fmt.Errorf("%s: %w", p.Unit, err)
		}
	} else {
		ops.All()
	}
	var flags uint64
	if run.Sandbox != nil && run.Sandbox.PrivatePIDs {
		flags = unix.CLONE_NEWPID // only a child can be the first process of it
	}
	child, err := kernel.Spawn(ops.List, kernel.SpawnOptions{CgroupFD: opt.CgroupFD, Flags: flags, NoPidFD: opt.NoPidFD})
	if err != nil {
		t.add(status)
		if flags != 0 {
			err = fmt.Errorf("PrivatePIDs=: %w", err)
		}
		return nil, fmt.Errorf("%s: %w", p.Unit, err)
	}
	return &Child{Child: child, StatusFD: status, marks: ops.marks, executor: run.Tier == plan.TierExecutor}, nil
}

// All appends everything from the clone to execve: tier 1.
func (o *Ops) All() {
	o.Idle()
	o.Session()
	o.Streams()
	o.Attributes()
	o.Keyring()
	o.Root()
	o.Descriptors()
	o.Limits()
	o.Groups()
	o.Identity()
	o.Exec()
}

// executor appends the execution of the executor: what it needs stays open at
// the numbers the plan has.
func (s *Spawner) executor(o *Ops, t *temporary) error {
	if s.executorFD < 0 {
		return ErrNoExecutor
	}
	planFD, err := PlanFile(o.plan)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	t.add(planFD)
	l, p := o.List, o.plan
	l.CloexecFrom(plan.ExitFDs, firstFD)
	keep := append([]int32{int32(planFD), p.StatusFD, p.IdleFD}, p.FDs...)
	for _, st := range []*plan.Stream{&p.Stdin, &p.Stdout, &p.Stderr} {
		if st.Kind == plan.StreamFD || st.Kind == plan.StreamData || st.Kind == plan.StreamJournal {
			keep = append(keep, st.FD)
		}
	}
	if p.Sandbox != nil {
		keep = append(append(keep, p.Sandbox.NetStore[:]...), p.Sandbox.IPCStore[:]...)
	}
	for _, fd := range keep {
		if fd > 0 {
			l.KeepFD(plan.ExitFDs, int(fd))
		}
	}
	o.mark("file descriptors", "")
	l.ExecFD(plan.ExitExec, kernel.FD(s.executorFD), []string{executorArgv0(p), string(itoa(int64(planFD)))}, executorEnv)
	o.mark("executor", "")
	return nil
}

// executorArgv0 is what ps shows until the program is executed: its name in
// parentheses.
func executorArgv0(p *plan.Plan) string {
	path := p.Paths[0]
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			path = path[i+1:]
			break
		}
	}
	return "(" + path + ")"
}

// temporary holds descriptors that the manager makes for one start and closes
// once the child has its copies.
type temporary struct{ fds []int }

func (t *temporary) add(fd int) {
	if fd >= 0 {
		t.fds = append(t.fds, fd)
	}
}

func (t *temporary) close() {
	for _, fd := range t.fds {
		// Nothing is lost by failing to close what was only for the child.
		_ = unix.Close(fd)
	}
}

// streams makes what is at the manager's end of a stream: sockets for the
// journal, so that their inode is known for JOURNAL_STREAM=, and the data of
// standard input. None of this can block.
func (t *temporary) streams(p *plan.Plan) error {
	if p.Stdin.Kind == plan.StreamData {
		if len(p.StdinData) > MaxStdinData {
			return fmt.Errorf("StandardInputData=: more than %d bytes", MaxStdinData)
		}
		fd, err := t.memfd("exec-input", p.StdinData)
		if err != nil {
			return fmt.Errorf("StandardInputData=: %w", err)
		}
		p.Stdin.FD = int32(fd)
		p.StdinData = nil
	}
	for n, s := range []*plan.Stream{&p.Stdout, &p.Stderr} {
		if s.Kind != plan.StreamJournal {
			continue
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s=: socket: %w", streamNames[n+1], err)
		}
		t.add(fd)
		s.FD = int32(fd)
		if p.JournalStream {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil {
				return fmt.Errorf("%s=: %w", streamNames[n+1], err)
			}
			// Standard error is the second and wins.
			p.JournalID = fmt.Sprintf("%d:%d", st.Dev, st.Ino)
		}
	}
	return nil
}

// memfd makes a sealed file in memory, read from the start.
func (t *temporary) memfd(name string, data []byte) (int, error) {
	fd, err := sealedMemfd(name, func(fd int) error { return writeAll(fd, data) })
	if err != nil {
		return -1, err
	}
	t.add(fd)
	return fd, nil
}

// pipe makes the status pipe. The write end gets a number of at least floor,
// where no passed descriptor is put over it.
func (t *temporary) pipe(floor int) (read int, write int32, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, plan.None, err
	}
	if fds[1] < floor {
		high, err := unix.FcntlInt(uintptr(fds[1]), unix.F_DUPFD_CLOEXEC, floor)
		t.add(fds[1])
		if err != nil {
			t.add(fds[0])
			return -1, plan.None, err
		}
		fds[1] = high
	}
	t.add(fds[1])
	return fds[0], int32(fds[1]), nil
}

// executorEnv is the environment of the executor. It lives for a millisecond or two and does one thing after the other: the threads and caches that Go
// would make for more processors cost a sixth of all it does.
var executorEnv = []string{"GOMAXPROCS=1"}
