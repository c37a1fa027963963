// muster-pam opens a PAM session (PAMName=, systemd.exec(5)) for the process
// it is and then turns into the executor again, which goes on to the program
// of the unit. It is not for people: its one argument is the number of a file
// descriptor with the plan.
//
// Invariants:
//
//  1. The session is opened by the process that will be the unit's, because
//     modules (pam_systemd) tell others that pid.
//  2. What closes the session is a fork of this process, "(sd-pam)", which has
//     a copy of the PAM handle and waits for the end of the unit's process. No
//     Go code runs in it: see handler.
//  3. A module that hangs holds up this process only; the unit's start then
//     runs into its timeout.
//
// PAM is a C library that loads further ones, so this program, alone among
// ours, is linked dynamically. The library is loaded by purego, which needs no
// C compiler: everything builds with CGO_ENABLED=0. The alternatives that were
// looked at don't do: runuser(1) and login(1) have a PAM service of their own
// and fork before they execute, so the session would belong to another pid and
// another service than PAMName= says; a helper in C would need a compiler for
// every build; talking to the modules by ourselves is the C library's job again.
package main

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit/value"
)

const exitUsage = 64

func init() {
	// Credentials, keyrings and the login user ID belong to the thread that
	// executes.
	runtime.LockOSThread()
}

func main() {
	if len(os.Args) != 2 {
		_, _ = unix.Write(2, []byte("muster-pam: is started by muster-executor only\n"))
		unix.Exit(exitUsage)
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		unix.Exit(exitUsage)
	}
	p, err := readPlan(fd)
	if err != nil || p.PAM == nil || p.Identity == nil {
		unix.Exit(int(plan.ExitPAM))
	}
	unix.Exit(int(tell(p, run(p))))
}

// run opens the session and executes the executor again; it returns only when
// that fails.
func run(p *plan.Plan) *plan.Failure {
	keepPrivate(p)
	if f := restoreLimits(p); f != nil {
		return f
	}
	unix.Umask(int(p.UMask))
	if f := become(p); f != nil {
		return f
	}
	s, f := open(p)
	if f != nil {
		return f
	}
	p.Env = plan.UnsetEnv(value.MergeEnvironment(p.Env, s.environment()), p.PAM.UnsetEnv)
	if f := s.watch(p); f != nil {
		return f
	}
	takeOver(p)
	return resume(p)
}

func readPlan(fd int) (*plan.Plan, error) {
	defer unix.Close(fd)
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
	return plan.Decode[plan.Plan](buf)
}

// tell sends a failure to the manager and gives the exit status.
func tell(p *plan.Plan, f *plan.Failure) uint8 {
	if p.StatusFD >= 0 {
		// If even that fails, the exit status says enough.
		_, _ = unix.Write(int(p.StatusFD), plan.Message(f))
	}
	return f.Status
}

func failed(what, message string) *plan.Failure {
	return &plan.Failure{Status: plan.ExitPAM, Setting: "PAMName", Path: what, Message: message}
}

// passed are the descriptors that belong to the unit or to muster, not to PAM.
func passed(p *plan.Plan) []int32 {
	return append([]int32{p.StatusFD, p.PAM.Image}, p.FDs...)
}

// keepPrivate keeps our descriptors from programs that modules start.
func keepPrivate(p *plan.Plan) {
	for _, fd := range passed(p) {
		if fd >= 0 {
			unix.CloseOnExec(int(fd))
		}
	}
}

// restoreLimits undoes what the Go runtime does to the limit of open files,
// and applies those of the unit, so that pam_limits has the last word.
func restoreLimits(p *plan.Plan) *plan.Failure {
	for _, l := range p.Limits {
		lim := unix.Rlimit{Cur: l.Soft, Max: l.Hard}
		err := unix.Setrlimit(int(l.Resource), &lim)
		if err == unix.EPERM { // what can't be raised is as high as it goes
			var have unix.Rlimit
			if err = unix.Getrlimit(int(l.Resource), &have); err == nil {
				lim.Cur, lim.Max = min(l.Soft, have.Max), min(l.Hard, have.Max)
				err = unix.Setrlimit(int(l.Resource), &lim)
			}
		}
		if err != nil {
			return &plan.Failure{Status: plan.ExitLimits, Setting: l.Name, Message: err.Error()}
		}
	}
	return nil
}

// become takes on the groups, which modules ask for. The user stays root's:
// sessions are opened and closed with privileges.
func become(p *plan.Plan) *plan.Failure {
	if !p.ChangeUser {
		return nil
	}
	groups := make([]int, len(p.Identity.Groups))
	for i, g := range p.Identity.Groups {
		groups[i] = int(g)
	}
	if err := unix.Setgroups(groups); err != nil && err != unix.EPERM {
		return &plan.Failure{Status: plan.ExitGroup, Setting: "SupplementaryGroups", Message: err.Error()}
	}
	return nil
}

// takeOver puts into the plan what modules have changed: limits, umask and
// groups stand as PAM left them.
func takeOver(p *plan.Plan) {
	p.UMask = uint32(unix.Umask(0))
	for i := range p.Limits {
		var lim unix.Rlimit
		if unix.Getrlimit(int(p.Limits[i].Resource), &lim) == nil {
			p.Limits[i].Soft, p.Limits[i].Hard = lim.Cur, lim.Max
		}
	}
	named := map[int32]bool{}
	for _, l := range p.Limits {
		named[l.Resource] = true
	}
	for r := range int32(resourceCount) {
		var lim unix.Rlimit
		if !named[r] && unix.Getrlimit(int(r), &lim) == nil {
			p.Limits = append(p.Limits, plan.Limit{Resource: r, Soft: lim.Cur, Hard: lim.Max, Name: "Limit"})
		}
	}
	groups, err := unix.Getgroups()
	if err != nil || !p.ChangeUser {
		return
	}
	for _, g := range groups {
		p.Identity.Groups = appendGroup(p.Identity.Groups, uint32(g))
	}
}

// resourceCount is RLIM_NLIMITS.
const resourceCount = 16

func appendGroup(list []uint32, gid uint32) []uint32 {
	for _, g := range list {
		if g == gid {
			return list
		}
	}
	return append(list, gid)
}

// resume executes the executor's image with what is left of the plan.
func resume(p *plan.Plan) *plan.Failure {
	image := int(p.PAM.Image)
	p.PAM.Done = true
	fd, err := unix.MemfdCreate("muster-plan", 0)
	if err == nil {
		err = write(fd, plan.Encode(p))
	}
	if err != nil {
		return failed("plan", err.Error())
	}
	for _, fd := range append([]int32{p.StatusFD}, p.FDs...) {
		if fd >= 0 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
				return failed("file descriptors", err.Error())
			}
		}
	}
	err = execImage(image, []string{os.Args[0], strconv.Itoa(fd)})
	return failed("muster-executor", err.Error())
}

func write(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
