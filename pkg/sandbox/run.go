package sandbox

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/spawn"
)

// run is the state of one execution.
type run struct {
	p     *plan.Plan
	host  spawn.Host
	list  kernel.OpList
	idMap idMap
	bpf   bpfHelper
}

// Step is one thing done before execve.
type Step struct {
	Name string
	// Wanted says whether the plan asks for it; nil means always.
	Wanted func(p *plan.Plan) bool
	Run    func(r *run) *plan.Failure
}

// Steps in the order in which they run.
func Steps() []Step {
	return []Step{
		{"idle", func(p *plan.Plan) bool { return p.IdleFD >= 0 }, idle},
		{"session", nil, ops((*spawn.Ops).Session)},
		{"confirm", func(p *plan.Plan) bool { return p.Confirm != "" }, confirm},
		{"open files", func(p *plan.Plan) bool { return len(p.OpenFiles) > 0 }, openFiles},
		{"identity", nil, resolveIdentity},
		{"nft sets", func(p *plan.Plan) bool { return p.NFT != nil }, fillSets},
		{"terminal", func(p *plan.Plan) bool { return p.TTY.Path != "" }, terminal},
		{"streams", nil, ops((*spawn.Ops).Streams)},
		{"affinity", func(p *plan.Plan) bool { return p.AffinityFromNUMA }, affinityFromNUMA},
		{"attributes", nil, ops((*spawn.Ops).Attributes)},
		{"utmp", func(p *plan.Plan) bool { return p.Utmp != nil }, utmp},
		{"umask", nil, clearUmask},
		{"directories", func(p *plan.Plan) bool { return len(p.Directories) > 0 }, directories},
		{"credentials", func(p *plan.Plan) bool { return p.Credentials != nil }, credentials},
		{"environment", nil, environment},
		{"keyring", nil, ops((*spawn.Ops).Keyring)},
		{"pam", func(p *plan.Plan) bool { return p.PAM != nil }, openPAM},
		{"arguments", func(p *plan.Plan) bool { return p.PAM != nil && p.ExpandArgv }, arguments},
		{"network", sandboxed(func(s *plan.Sandbox) bool { return s.PrivateNetwork || s.NetworkPath != "" }), network},
		{"ipc", sandboxed(func(s *plan.Sandbox) bool { return s.PrivateIPC || s.IPCPath != "" }), ipc},
		{"cgroups", sandboxed(func(s *plan.Sandbox) bool { return ownCgroups(s) }), cgroups},
		{"mounts", sandboxed(func(s *plan.Sandbox) bool { return s.MountNamespace }), mounts},
		{"hostname", sandboxed(func(s *plan.Sandbox) bool { return isOn(s.ProtectHostname) }), hostname},
		{"labels", func(p *plan.Plan) bool { return p.Labels != plan.Labels{} }, labels},
		{"file systems", sandboxed(func(s *plan.Sandbox) bool { return s.FileSystems != nil }), restrictFileSystems},
		{"groups", nil, ops((*spawn.Ops).Groups)},
		{"users", sandboxed(func(s *plan.Sandbox) bool { return isOn(s.PrivateUsers) || s.UsersPath != "" }), users},
		{"delegated namespaces", sandboxed(func(s *plan.Sandbox) bool { return s.Delegated != 0 }), delegated},
		{"delegated BPF", sandboxed(delegatesBPF), delegateBPF},
		{"root", nil, ops((*spawn.Ops).Root)},
		{"execute", nil, execute},
	}
}

// sandboxed is a condition on the sandbox part of the plan.
func sandboxed(wanted func(s *plan.Sandbox) bool) func(p *plan.Plan) bool {
	return func(p *plan.Plan) bool { return p.Sandbox != nil && wanted(p.Sandbox) }
}

func isOn(s string) bool { return s != "" && s != "no" }

// clearUmask: modes of what is made for the service are not subject to UMask=,
// which is set again at the end.
func clearUmask(*run) *plan.Failure {
	unix.Umask(0)
	return nil
}

// ops makes a step of a stretch of the op list.
func ops(stretch func(*spawn.Ops)) func(*run) *plan.Failure {
	return func(r *run) *plan.Failure { return r.ops(stretch) }
}

func (r *run) ops(stretches ...func(*spawn.Ops)) *plan.Failure {
	o := spawn.NewOps(&r.list, r.p, r.host)
	for _, s := range stretches {
		s(o)
	}
	res, err := kernel.RunInPlace(o.List)
	if err != nil {
		return &plan.Failure{Status: plan.ExitMemory, Setting: "executor", Message: err.Error()}
	}
	if res.Errno != 0 {
		return o.Failure(res)
	}
	return nil
}

// execute is the last step. It only returns when it fails.
func execute(r *run) *plan.Failure {
	if f := r.ops((*spawn.Ops).Umask, (*spawn.Ops).Descriptors, (*spawn.Ops).Limits, (*spawn.Ops).Identity, (*spawn.Ops).Exec); f != nil {
		return f
	}
	return &plan.Failure{Status: plan.ExitExec, Setting: r.p.Phase, Message: "no file was executed"}
}

// Main reads the plan from planFD and carries it out. It returns the status to
// exit with, and only if a step failed, after the manager was told.
// The caller has locked the goroutine to its thread.
func Main(planFD int) uint8 {
	p, err := readPlan(planFD)
	if err != nil {
		return plan.ExitException
	}
	host, err := spawn.ThisHost()
	if err != nil {
		return report(p, &plan.Failure{Status: plan.ExitException, Setting: "executor", Message: err.Error()})
	}
	// The status pipe must close at execve, and survive the placement of the
	// passed descriptors.
	const first = 3
	if err := unix.CloseRange(first, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return report(p, failed(plan.ExitFDs, "file descriptors", "", err))
	}
	if p.Cleanup != nil {
		if f := cleanup(p); f != nil {
			return report(p, f)
		}
		return 0
	}
	if p.Sockets != nil {
		if f := makeSockets(p); f != nil {
			return report(p, f)
		}
		return 0
	}
	if p.Live != nil {
		if f := liveMount(p); f != nil {
			return report(p, f)
		}
		return 0
	}
	if p.Refresh != nil {
		if f := refresh(&run{p: p, host: host}); f != nil {
			return report(p, f)
		}
		return 0
	}
	return report(p, carryOut(&run{p: p, host: host}))
}

func carryOut(r *run) *plan.Failure {
	done := r.p.PAM != nil && r.p.PAM.Done
	for _, s := range Steps() {
		if done { // by this executor, before it became the helper that executed it again
			done = s.Name != "pam"
			continue
		}
		if s.Wanted != nil && !s.Wanted(r.p) {
			continue
		}
		if f := s.Run(r); f != nil {
			return f
		}
	}
	return &plan.Failure{Status: plan.ExitException, Setting: "executor", Message: "nothing was executed"}
}

func readPlan(fd int) (*plan.Plan, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size > plan.MaxEncoded {
		return nil, plan.ErrCodec
	}
	buf := make([]byte, st.Size)
	for n := 0; n < len(buf); {
		m, err := unix.Pread(fd, buf[n:], int64(n))
		if err != nil {
			return nil, err
		}
		if m == 0 {
			return nil, plan.ErrCodec
		}
		n += m
	}
	unix.Close(fd)
	return plan.Decode[plan.Plan](buf)
}

// report tells the manager and gives the exit status.
func report(p *plan.Plan, f *plan.Failure) uint8 {
	tell(p, f)
	return f.Status
}

// tell sends a failure, or a notice without a status, to the manager.
func tell(p *plan.Plan, f *plan.Failure) {
	if p.StatusFD < 0 {
		return
	}
	const room = plan.MaxFailure / 4
	f.Message, f.Path = cut(f.Message, room), cut(f.Path, room)
	// The pipe is empty and its reader ours: if even that fails, the exit status
	// says enough.
	_, _ = unix.Write(int(p.StatusFD), plan.Message(f))
}

// without tells that a setting is not applied, where systemd goes on as well:
// in containers that forbid new namespaces.
// DEVIATION: it does so with DegradedPolicy=warn only. By default the start fails: what was asked to be protected doesn't run unprotected.
func without(p *plan.Plan, f *plan.Failure) *plan.Failure {
	if p.Sandbox.FailDegraded {
		f.Message += "; with DegradedPolicy=warn in system.conf it would start without"
		return f
	}
	f.Status = 0
	f.Message += "; going on without"
	tell(p, f)
	return nil
}

// forbidden says whether a namespace could not be made for lack of rights.
func forbidden(err error) bool {
	return err == unix.EPERM || err == unix.EACCES || err == unix.ENOSYS || err == unix.EOPNOTSUPP
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// failed makes a Failure of an error.
func failed(status uint8, setting, path string, err error) *plan.Failure {
	f := &plan.Failure{Status: status, Setting: setting, Path: path, Message: err.Error()}
	var errno unix.Errno
	if errors.As(err, &errno) {
		f.Errno = int32(errno)
	}
	return f
}
