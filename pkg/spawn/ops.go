package spawn

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// Ops is an op list that knows which setting each op is for.
type Ops struct {
	List  *kernel.OpList
	marks []mark
	plan  *plan.Plan
	host  Host
}

// mark says what the ops before index end are for.
type mark struct {
	end           int32
	setting, path string
}

// NewOps starts an empty list for p, reusing the memory of list.
func NewOps(list *kernel.OpList, p *plan.Plan, host Host) *Ops {
	list.Reset()
	return &Ops{List: list, plan: p, host: host, marks: make([]mark, 0, 24)}
}

// mark notes that the ops since the last mark are for setting. path names what
// is acted on, if anything.
func (o *Ops) mark(setting, path string) {
	n := int32(o.List.Len())
	if len(o.marks) > 0 && o.marks[len(o.marks)-1].end == n {
		return
	}
	o.marks = append(o.marks, mark{n, setting, path})
}

// failure describes a failed op.
func failure(marks []mark, r kernel.SpawnResult) *plan.Failure {
	f := &plan.Failure{Status: r.Status, Errno: int32(r.Errno), Message: message(r.Errno), Setting: r.Name.String()}
	for _, m := range marks {
		if int32(r.Op) < m.end {
			f.Setting, f.Path = m.setting, m.path
			break
		}
	}
	return f
}

// Failure describes the op of this list that failed.
func (o *Ops) Failure(r kernel.SpawnResult) *plan.Failure { return failure(o.marks, r) }

// Attributes appends what is set on the process itself and needs nothing of
// the user: session, umask, priorities, limits.
func (o *Ops) Attributes() {
	l, p := o.List, o.plan
	if p.OOMScoreAdjust != nil {
		// Lowering needs a capability; without it the value we inherited stays.
		fd := l.Open(plan.ExitOOMAdjust, "/proc/self/oom_score_adj", unix.O_WRONLY, 0)
		l.Tolerate(unix.EACCES)
		l.Write(plan.ExitOOMAdjust, kernel.Result(fd), itoa(int64(*p.OOMScoreAdjust)))
		l.Tolerate(unix.EACCES)
		l.Close(kernel.Result(fd))
		o.mark("OOMScoreAdjust", "")
	}
	if p.CoredumpFilter != nil {
		l.WriteFile(plan.ExitLimits, "/proc/self/coredump_filter", string(hex(*p.CoredumpFilter)))
		o.mark("CoredumpFilter", "")
	}
	if p.Nice != nil {
		l.Setpriority(plan.ExitNice, int(*p.Nice))
		o.mark("Nice", "")
	}
	if p.Sched != nil {
		policy := int(p.Sched.Policy)
		if p.Sched.ResetOnFork {
			policy |= schedResetOnFork
		}
		l.SchedSetScheduler(plan.ExitSetScheduler, policy, int(p.Sched.Priority))
		o.mark("CPUSchedulingPolicy", "")
	}
	if len(p.CPUAffinity) > 0 {
		l.SetAffinity(plan.ExitCPUAffinity, p.CPUAffinity)
		o.mark("CPUAffinity", "")
	}
	if p.NUMAPolicy >= 0 {
		l.SetMempolicy(plan.ExitNUMAPolicy, int(p.NUMAPolicy), p.NUMAMask)
		l.Tolerate(unix.ENOSYS)
		o.mark("NUMAPolicy", "")
	}
	if p.IOPriority != nil {
		l.Ioprio(plan.ExitIOPrio, int(*p.IOPriority>>ioClassShift), int(*p.IOPriority&(1<<ioClassShift-1)))
		o.mark("IOSchedulingClass", "")
	}
	if p.TimerSlackNSec != nil {
		l.TimerSlack(plan.ExitTimerSlack, *p.TimerSlackNSec)
		o.mark("TimerSlackNSec", "")
	}
	if p.MemoryKSM != nil {
		on := uintptr(0)
		if *p.MemoryKSM {
			on = 1
		}
		l.Prctl(kernel.OpOther, plan.ExitKSM, unix.PR_SET_MEMORY_MERGE, on)
		l.Tolerate(unix.EINVAL) // a kernel without
		o.mark("MemoryKSM", "")
	}
	switch p.MemoryTHP {
	case "disable":
		l.Prctl(kernel.OpOther, plan.ExitMemoryTHP, unix.PR_SET_THP_DISABLE, 1)
	case "madvise":
		l.Prctl(kernel.OpOther, plan.ExitMemoryTHP, unix.PR_SET_THP_DISABLE, 1, thpExceptAdvised)
	case "system":
		l.Prctl(kernel.OpOther, plan.ExitMemoryTHP, unix.PR_SET_THP_DISABLE, 0)
	}
	if p.MemoryTHP != "" {
		o.mark("MemoryTHP", "")
	}
	if p.Personality != nil {
		l.Personality(plan.ExitPersonality, uintptr(*p.Personality))
		o.mark("Personality", "")
	}
}

const (
	// thpExceptAdvised is PR_THP_DISABLE_EXCEPT_ADVISED of prctl(2), since Linux 6.18.
	thpExceptAdvised = 1 << 1

	schedResetOnFork = 0x40000000
	ioClassShift     = 13
)

// Limits appends the resource limits, after everything that opens files and
// before the right to raise limits is given up. Hard limits above ours are cut to ours
// where we may not raise them.
func (o *Ops) Limits() {
	for _, lim := range o.plan.Limits {
		soft, hard := lim.Soft, lim.Hard
		if !o.host.RaiseLimits && int(lim.Resource) < len(o.host.HardLimits) {
			highest := o.host.HardLimits[lim.Resource]
			soft, hard = min(soft, highest), min(hard, highest)
		}
		o.List.Setrlimit(plan.ExitLimits, int(lim.Resource), soft, hard)
		o.mark(lim.Name, "")
	}
}

// Session starts the child's own session and signal dispositions.
func (o *Ops) Session() {
	l, p := o.List, o.plan
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if o.host.IgnoredSignals>>(sig-1)&1 == 1 && sig != unix.SIGPIPE {
			l.DefaultSignal(sig)
		}
	}
	if p.IgnoreSIGPIPE {
		l.IgnoreSignal(unix.SIGPIPE)
	} else {
		l.DefaultSignal(unix.SIGPIPE)
	}
	o.mark("IgnoreSIGPIPE", "")
	if !p.SameGroup {
		l.Setsid(plan.ExitSetsid)
		o.mark("session", "")
	}
	o.Umask()
}

// Umask appends UMask=.
func (o *Ops) Umask() {
	o.List.Umask(o.plan.UMask)
	o.mark("UMask", "")
}

// Idle waits until the descriptor is readable or closed. Signals get through
// meanwhile, so that the unit can be stopped.
func (o *Ops) Idle() {
	l, p := o.List, o.plan
	if p.IdleFD < 0 {
		return
	}
	fds := unix.PollFd{Fd: p.IdleFD, Events: unix.POLLIN}
	wait := unix.NsecToTimespec(int64(p.IdleUSec) * 1000)
	var none uint64
	l.Syscall(kernel.OpOther, 0, unix.SYS_PPOLL, l.Bytes(bytesOf(&fds)), kernel.Value(1),
		l.Bytes(bytesOf(&wait)), l.Bytes(bytesOf(&none)), kernel.Value(8))
	l.Close(kernel.FD(int(p.IdleFD)))
	o.mark("Type=idle", "")
}

// Keyring appends KeyringMode=. It must come after the user is known and
// before root is given up; the keys belong to the user.
func (o *Ops) Keyring() {
	l, p := o.List, o.plan
	if p.Keyring != "private" && p.Keyring != "shared" {
		return
	}
	uid, gid := o.keyOwner()
	if uid != 0 || gid != 0 {
		// The session keyring belongs to whoever joins it.
		keep := kernel.Value(^uintptr(0))
		l.Syscall(kernel.OpGroup, plan.ExitKeyring, unix.SYS_SETREGID, kernel.Value(uintptr(gid)), keep)
		l.Syscall(kernel.OpUser, plan.ExitKeyring, unix.SYS_SETREUID, kernel.Value(uintptr(uid)), keep)
	}
	// Containers forbid keyctl, and quotas run out: the program runs all the
	// same, with the keyring it has.
	l.Keyctl(plan.ExitKeyring, unix.KEYCTL_JOIN_SESSION_KEYRING, kernel.Value(0))
	l.Tolerate(unix.ENOSYS, unix.EPERM, unix.EACCES, unix.EDQUOT)
	if p.Keyring == "shared" {
		l.Keyctl(0, unix.KEYCTL_LINK, kernel.FD(unix.KEY_SPEC_USER_KEYRING), kernel.FD(unix.KEY_SPEC_SESSION_KEYRING))
	}
	if uid != 0 || gid != 0 {
		keep := kernel.Value(^uintptr(0))
		l.Syscall(kernel.OpUser, plan.ExitKeyring, unix.SYS_SETREUID, kernel.Value(0), keep)
		l.Syscall(kernel.OpGroup, plan.ExitKeyring, unix.SYS_SETREGID, kernel.Value(0), keep)
	}
	if len(p.InvocationID) > 0 {
		key := l.Syscall(kernel.OpKeyring, 0, unix.SYS_ADD_KEY, l.String("user"), l.String("invocation_id"),
			l.Bytes(p.InvocationID), kernel.Value(uintptr(len(p.InvocationID))), kernel.FD(unix.KEY_SPEC_SESSION_KEYRING))
		l.Keyctl(0, unix.KEYCTL_SETPERM, kernel.Result(key), kernel.Value(keyReadable))
	}
	o.mark("KeyringMode", "")
}

// keyReadable lets possessor and owner view, read and search a key
// (keyctl_setperm(3)).
const keyReadable = 0x0b<<24 | 0x0b<<16

func (o *Ops) keyOwner() (uid, gid uint32) {
	p := o.plan
	if !p.ChangeUser || p.Identity == nil {
		return 0, 0
	}
	if p.Identity.HasUID {
		uid = p.Identity.UID
	}
	return uid, p.Identity.GID
}

// Root appends RootDirectory= without a mount namespace.
func (o *Ops) Root() {
	p := o.plan
	if p.RootDirectory == "" || p.Sandbox != nil && p.Sandbox.MountNamespace {
		return
	}
	o.List.Chroot(plan.ExitChroot, p.RootDirectory)
	o.List.Chdir(plan.ExitChroot, "/")
	o.mark("RootDirectory", p.RootDirectory)
}

// Descriptors places what is passed at 3, 4, … and lets nothing else through.
// Descriptors used by later ops are no longer valid.
func (o *Ops) Descriptors() {
	l, p := o.List, o.plan
	if slices.Contains(p.PidVars, "LISTEN_PIDFDID") {
		l.PidFDID(plan.ExitFDs)
	}
	if n := len(p.FDs); n > 0 {
		fds := make([]int, n)
		for i, fd := range p.FDs {
			fds[i] = int(fd)
		}
		l.PlaceFDs(plan.ExitFDs, fds, firstFD)
		flags := 0
		if p.NonBlocking {
			flags = unix.O_NONBLOCK
		}
		for i := range int(p.SocketFDs) {
			l.Syscall(kernel.OpDup, plan.ExitFDs, unix.SYS_FCNTL, kernel.FD(firstFD+i), kernel.Value(unix.F_SETFL), kernel.FD(flags))
		}
	}
	l.CloexecFrom(plan.ExitFDs, firstFD+len(p.FDs))
	o.mark("file descriptors", "")
}

const firstFD = 3
