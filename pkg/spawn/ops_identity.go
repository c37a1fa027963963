package spawn

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// Capabilities a step needs after the change of user.
const (
	capSetPCap  = uint64(1) << unix.CAP_SETPCAP
	capSysAdmin = uint64(1) << unix.CAP_SYS_ADMIN
)

// Identity appends what gives up privileges, after Groups and in the only
// order that works: bounding set, user, working directory as that user, ambient set,
// secure bits, no_new_privs, filters.
func (o *Ops) Identity() {
	p, l := o.plan, o.List
	o.bounding()
	becomesUser := p.ChangeUser && p.Identity != nil && p.Identity.HasUID && p.Identity.UID != 0
	if becomesUser {
		o.user()
	} else if p.Ambient != 0 {
		o.ambient(o.host.Permitted)
	}
	o.workingDirectory()
	if becomesUser {
		o.userCapabilities()
	}
	if p.SecureBits != 0 {
		l.Securebits(plan.ExitSecureBits, p.SecureBits)
		o.mark("SecureBits", "")
	}
	if becomesUser && o.keepForLater() != 0 {
		final := p.Ambient
		if o.filterPrivilege() {
			final |= capSysAdmin
		}
		l.Capset(plan.ExitCapabilities, final&o.host.Permitted, final&o.host.Permitted, p.Ambient&o.host.Permitted)
		o.mark("AmbientCapabilities", "")
	}
	if o.noNewPrivs() {
		l.NoNewPrivileges(plan.ExitNoNewPrivileges)
		o.mark("NoNewPrivileges", "")
	}
	o.filters()
}

// Groups appends the change of group and supplementary groups. It comes before
// a user namespace in which they would have no number.
func (o *Ops) Groups() {
	p, l := o.plan, o.List
	if !p.ChangeUser || p.Identity == nil {
		return
	}
	// An unprivileged manager is of the one user it can start services as, and
	// in that user's groups already.
	if o.host.UID == 0 || !(p.Identity.HasUID && p.Identity.UID == o.host.UID) {
		l.Setgroups(plan.ExitGroup, p.Identity.Groups)
		o.mark("SupplementaryGroups", "")
	}
	l.Setresgid(plan.ExitGroup, p.Identity.GID)
	o.mark("Group", p.Group)
}

// bounding needs CAP_SETPCAP, so it precedes the change of user. Whoever
// cannot drop has nothing to drop: an unprivileged manager.
func (o *Ops) bounding() {
	p := o.plan
	if p.Bounding|^o.host.Bounding != ^uint64(0) {
		for c := 0; c <= o.host.LastCapability && c < 64; c++ {
			if p.Bounding>>c&1 == 0 && o.host.Bounding>>c&1 == 1 {
				o.List.Prctl(kernel.OpBounding, plan.ExitCapabilities, unix.PR_CAPBSET_DROP, uintptr(c))
			}
		}
		o.mark("CapabilityBoundingSet", "")
	}
}

// keepForLater are the capabilities still needed after the change of user.
func (o *Ops) keepForLater() uint64 {
	p := o.plan
	keep := p.Ambient
	if p.SecureBits != 0 {
		keep |= capSetPCap
	}
	if o.filterPrivilege() {
		keep |= capSysAdmin
	}
	return keep & o.host.Permitted
}

// filterPrivilege: installing a filter needs no_new_privs or CAP_SYS_ADMIN.
func (o *Ops) filterPrivilege() bool { return len(o.plan.Filters) > 0 && !o.noNewPrivs() }

// noNewPrivs is asked for, or implied by filters where the manager itself has
// no CAP_SYS_ADMIN (systemd.exec(5), NoNewPrivileges=).
func (o *Ops) noNewPrivs() bool {
	p := o.plan
	return p.NoNewPrivs || len(p.Filters) > 0 && o.host.Permitted&capSysAdmin == 0
}

func (o *Ops) user() {
	p, l := o.plan, o.List
	if o.keepForLater() != 0 {
		l.KeepCaps(plan.ExitUser)
	}
	l.Setresuid(plan.ExitUser, p.Identity.UID)
	o.mark("User", p.User)
}

// userCapabilities gives back what is needed: the change of user emptied the
// effective set, and thereby made the working directory the user's to enter.
func (o *Ops) userCapabilities() {
	if keep := o.keepForLater(); keep != 0 {
		o.ambient(keep)
	}
}

func (o *Ops) ambient(have uint64) {
	p, l := o.plan, o.List
	l.Capset(plan.ExitCapabilities, have, have, p.Ambient&have)
	if p.Ambient != 0 {
		l.RaiseAmbient(plan.ExitCapabilities, p.Ambient)
	}
	o.mark("AmbientCapabilities", "")
}

func (o *Ops) workingDirectory() {
	p := o.plan
	dir, status := p.WorkingDirectory, plan.ExitChdir
	if dir == "" {
		dir = "/"
	}
	if p.WorkingOptional {
		// Where it cannot be entered, / is where it stays.
		o.List.Chdir(plan.ExitChdir, "/")
		status = 0
	}
	o.List.Chdir(status, dir)
	o.mark("WorkingDirectory", dir)
}

func (o *Ops) filters() {
	for _, f := range o.plan.Filters {
		code := make([]unix.SockFilter, len(f.Code))
		for i, in := range f.Code {
			code[i] = unix.SockFilter{Code: in.Code, Jt: in.JT, Jf: in.JF, K: in.K}
		}
		o.List.Seccomp(f.Status, code, 0)
		o.mark(f.Setting, "")
	}
}

// Exec appends execve of the first candidate that can be executed.
func (o *Ops) Exec() {
	p, l := o.plan, o.List
	env := p.Env
	if p.JournalStream && p.JournalID != "" {
		env = append(env[:len(env):len(env)], "JOURNAL_STREAM="+p.JournalID)
	}
	for i, path := range p.Paths {
		status := plan.ExitExec
		if i < len(p.Paths)-1 {
			status = 0
		}
		l.Exec(status, path, p.Argv, env, p.PidVars...)
		o.mark(p.Phase, path)
	}
}
