package execplan

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// environment fills in Env, PidVars, SetEnv and UnsetEnv, and completes them
// if nothing is left to find out.
func (b *builder) environment() error {
	b.p.PidFDIDs = b.ctx.ManagerPIDFDID != 0
	own := b.unitEnv()
	b.p.Env = value.MergeEnvironment(b.ctx.ManagerEnv, own, b.ctx.Env, b.execEnv())
	if _, ok := plan.LookupEnv(b.p.Env, "PATH"); !ok {
		b.p.Env = append(b.p.Env, "PATH="+DefaultPath)
	}
	b.p.PidVars = append(b.p.PidVars, "SYSTEMD_EXEC_PID")

	var set []string
	if len(b.e.ExecSearchPath) > 0 {
		set = append(set, "PATH="+strings.Join(b.e.ExecSearchPath, ":"))
	}
	for _, name := range b.e.PassEnvironment {
		if v, ok := plan.LookupEnv(b.ctx.OwnEnv, name); ok {
			set = append(set, name+"="+v)
		}
	}
	b.p.SetEnv = value.MergeEnvironment(set, b.e.Environment)
	b.p.UnsetEnv = b.e.UnsetEnvironment
	for _, f := range b.e.EnvironmentFiles {
		b.p.EnvFiles = append(b.p.EnvFiles, plan.EnvFile{Path: f.Path, Optional: f.Optional})
		b.tier2("EnvironmentFile")
	}
	b.p.JournalStream = b.p.Stdout.Kind == plan.StreamJournal || b.p.Stderr.Kind == plan.StreamJournal
	if b.p.Tier == plan.TierOps {
		b.p.CompleteEnv(b.rootEnv(), nil)
	}
	return nil
}

// rootEnv are the login variables of root, whose entry is the same everywhere.
func (b *builder) rootEnv() []string {
	if !b.p.SetLogin {
		return nil
	}
	return LoginEnv(rootIdentity())
}

// LoginEnv are HOME, USER, LOGNAME and SHELL of a user. A home directory or
// shell that says there is none is left out.
func LoginEnv(id *plan.Identity) []string { return plan.LoginEnv(id) }

// unitEnv are variables about the unit and its processes.
func (b *builder) unitEnv() []string {
	var env []string
	add := func(name, v string) { env = append(env, name+"="+v) }
	if b.u.Type == unit.TypeService {
		svc := b.u.GetService()
		if b.needsNotifySocket(svc) {
			add("NOTIFY_SOCKET", b.ctx.NotifySocket)
			if svc.FileDescriptorStoreMax > 0 {
				add("FDSTORE", strconv.FormatUint(uint64(svc.FileDescriptorStoreMax), 10))
			}
		}
		if b.ctx.MainPID > 0 {
			add("MAINPID", strconv.Itoa(int(b.ctx.MainPID)))
			if b.ctx.MainPIDFDID != 0 {
				add("MAINPIDFDID", strconv.FormatUint(b.ctx.MainPIDFDID, 10))
			}
		}
		if svc.PIDFile != "" {
			add("PIDFILE", svc.PIDFile)
		}
	}
	if b.ctx.UserMode && b.ctx.ManagerPID > 0 {
		add("MANAGERPID", strconv.Itoa(int(b.ctx.ManagerPID)))
		if b.ctx.ManagerPIDFDID != 0 {
			add("MANAGERPIDFDID", strconv.FormatUint(b.ctx.ManagerPIDFDID, 10))
		}
	}
	return env
}

// needsNotifySocket: the main process may notify unless access is none,
// control processes with exec and all only.
func (b *builder) needsNotifySocket(svc *unit.Service) bool {
	if b.ctx.NotifySocket == "" {
		return false
	}
	switch svc.NotifyAccess {
	case "exec", "all":
		return true
	case "main":
		return !b.ctx.Control
	case "none", "":
		// Types that notify imply main unless NotifyAccess= says none itself.
		implied := svc.Type == "notify" || svc.Type == "notify-reload" || svc.WatchdogUSec > 0 || svc.FileDescriptorStoreMax > 0
		return implied && !svc.NotifyAccessSet && !b.ctx.Control
	}
	return false
}

// execEnv are variables about the execution itself.
func (b *builder) execEnv() []string {
	var env []string
	add := func(name, v string) { env = append(env, name+"="+v) }
	if n := len(b.p.FDs); n > 0 && len(b.p.OpenFiles) == 0 {
		b.p.ListenVars()
		add("LISTEN_FDS", strconv.Itoa(n))
		names := make([]string, n)
		for i, fd := range b.ctx.FDs {
			names[i] = fd.Name
		}
		add("LISTEN_FDNAMES", strings.Join(names, ":"))
	}
	if b.ctx.WatchdogUSec > 0 {
		b.p.PidVars = append(b.p.PidVars, "WATCHDOG_PID")
		add("WATCHDOG_USEC", strconv.FormatUint(b.ctx.WatchdogUSec, 10))
	}
	if b.ctx.InvocationID != [16]byte{} {
		add("INVOCATION_ID", hex.EncodeToString(b.ctx.InvocationID[:]))
		b.p.InvocationID = b.ctx.InvocationID[:]
	}
	if term := b.term(); term != "" {
		add("TERM", term)
	}
	if b.e.LogNamespace != "" {
		add("LOG_NAMESPACE", b.e.LogNamespace)
	}
	for _, d := range b.p.Directories {
		paths := make([]string, len(d.Items))
		for i, item := range d.Items {
			paths[i] = b.p.ProgramPath(d.Kind, item.Path)
		}
		add(d.Kind.Variable(), strings.Join(paths, ":"))
	}
	return append(env, b.pressureEnv()...)
}

// term is TERM for units with a terminal: what the kernel was told for the
// console, linux for virtual consoles, vt220 for the rest.
func (b *builder) term() string {
	if !b.usesTTY() && b.e.TTYPath == "" {
		return ""
	}
	tty := b.ttyPath()
	if tty == b.console() && b.ctx.ConsoleTerm != "" {
		return b.ctx.ConsoleTerm
	}
	if vt := strings.TrimPrefix(tty, "/dev/tty"); vt != tty && vt != "" && strings.Trim(vt, "0123456789") == "" {
		return "linux"
	}
	return "vt220"
}
