package execplan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// ErrUnsupported is wrapped by the error of Build for a setting that has no
// implementation.
var ErrUnsupported = errors.New("not supported yet, and the unit is not started without it")

// builder collects a plan; its methods each look after one group of settings.
type builder struct {
	u   *unit.Unit
	e   *unit.Exec
	s   *unit.Sandbox
	ctx *Context
	p   *plan.Plan

	unfiltered bool // filters aren't made: only the namespaces are of interest
	privileged bool // "+": no restriction applies
	setuid     bool // user and group are changed
	chroot     bool // RootDirectory= and the working directory apply
}

// Build makes the plan for one command of u. Errors name the unit and the
// setting; those that wrap ErrUnsupported are about what is not implemented.
func Build(u *unit.Unit, ctx Context) (*plan.Plan, error) {
	b := &builder{u: u, e: u.GetExec(), s: u.GetSandbox(), ctx: &ctx}
	b.p = &plan.Plan{
		Unit: u.Name, Phase: ctx.Phase, UserMode: ctx.UserMode, Tier: plan.TierOps,
		SameGroup: u.Type == unit.TypeMount,
		StatusFD:  plan.None, IdleFD: plan.None,
	}
	b.confirm()
	b.scope()
	for _, step := range []func() error{
		b.checkImplemented, b.command, b.descriptors, b.streams, b.attributes, b.limits,
		b.identity, b.nftSets, b.capabilities, b.labels, b.directories, b.credentials, b.sandbox, b.environment, b.arguments,
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("%s: %w", u.Name, err)
		}
	}
	return b.p, nil
}

// scope decides which groups of settings the prefixes and the phase leave in
// force (systemd.service(5), RootDirectoryStartOnly= and the prefixes).
func (b *builder) scope() {
	flags := b.ctx.Command.Flags
	b.privileged = flags&value.CommandPrivileged != 0
	// "!!" differs from none only on kernels without ambient capabilities,
	// which are below our floor.
	b.setuid = flags&(value.CommandPrivileged|value.CommandNoSetuid) == 0
	b.chroot = true
	if b.u.Type == unit.TypeService && b.ctx.Phase != phaseStart {
		svc := b.u.GetService()
		if svc.RootDirectoryStartOnly {
			b.chroot = false
		}
		if svc.PermissionsStartOnly {
			b.privileged, b.setuid = true, false
		}
	}
	b.p.Privileged = b.privileged
}

// confirm has a person asked first. What stays in the manager's session can't take a terminal, and is not asked about.
func (b *builder) confirm() {
	if b.ctx.Confirm == "" || b.p.SameGroup {
		return
	}
	b.p.Confirm, b.p.ConfirmBy = b.ctx.Confirm, b.ctx.ManagerPID
	b.tier2("systemd.confirm_spawn")
}

// tier2 says that setting needs the executor.
func (b *builder) tier2(setting string) {
	b.p.Tier = plan.TierExecutor
	for _, r := range b.p.Reasons {
		if r == setting {
			return
		}
	}
	b.p.Reasons = append(b.p.Reasons, setting)
}

func (b *builder) command() error {
	c := b.ctx.Command
	if c.Path == "" || len(c.Argv) == 0 {
		return fmt.Errorf("%s=: no command", b.ctx.Phase)
	}
	b.p.Argv = c.Argv
	if c.Flags&value.CommandViaShell != 0 {
		b.p.ViaShell = true
		b.tier2(b.ctx.Phase + " with |")
	}
	if value.PathIsAbsolute(c.Path) {
		b.p.Paths = []string{c.Path}
		return nil
	}
	for _, dir := range b.searchPath() {
		if value.PathIsAbsolute(dir) {
			b.p.Paths = append(b.p.Paths, strings.TrimSuffix(dir, "/")+"/"+c.Path)
		}
	}
	if len(b.p.Paths) == 0 {
		return fmt.Errorf("%s=: %s: no directory to search", b.ctx.Phase, c.Path)
	}
	return nil
}

func (b *builder) searchPath() []string {
	if len(b.e.ExecSearchPath) > 0 {
		return b.e.ExecSearchPath
	}
	path, ok := plan.LookupEnv(b.ctx.ManagerEnv, "PATH")
	if !ok {
		path = DefaultPath
	}
	return strings.Split(path, ":")
}

// descriptors passes sockets and stored descriptors, unless one of them
// becomes a standard stream.
func (b *builder) descriptors() error {
	if b.ctx.IdleFD > 0 {
		b.p.IdleFD, b.p.IdleUSec = b.ctx.IdleFD, b.ctx.IdleUSec
	}
	for _, s := range []unit.Stdio{b.e.StandardInput, b.e.StandardOutput, b.e.StandardError} {
		if s.Kind == "socket" {
			return nil
		}
	}
	for _, fd := range b.ctx.FDs {
		b.p.FDs = append(b.p.FDs, fd.Number)
		if !fd.Stored {
			b.p.SocketFDs = int32(len(b.p.FDs))
		}
	}
	b.openFiles()
	b.p.NonBlocking = b.u.Type == unit.TypeService && b.u.GetService().NonBlocking
	return nil
}

// openFiles are for the main process, as its sockets are.
func (b *builder) openFiles() {
	if b.u.Type != unit.TypeService || b.ctx.Phase != phaseStart {
		return
	}
	for _, f := range b.u.GetService().OpenFile {
		flags := int32(oRDWR)
		switch {
		case f.Flags&unit.OpenFileReadOnly != 0:
			flags = oRDONLY
		case f.Flags&unit.OpenFileAppend != 0:
			flags = oRDWR | oAPPEND
		case f.Flags&unit.OpenFileTruncate != 0:
			flags = oRDWR | oTRUNC
		}
		b.p.OpenFiles = append(b.p.OpenFiles, plan.OpenFile{Path: f.Path, Name: f.FDName, Flags: flags, Graceful: f.Flags&unit.OpenFileGraceful != 0})
		b.tier2("OpenFile")
	}
	if len(b.p.OpenFiles) > 0 {
		for _, fd := range b.ctx.FDs {
			b.p.FDNames = append(b.p.FDNames, fd.Name)
		}
	}
}

// arguments expands variables in the command line, where all are known here.
func (b *builder) arguments() error {
	if b.ctx.Command.Flags&value.CommandNoEnvExpand != 0 || !hasVariable(b.p.Argv) {
		return nil
	}
	if b.p.Tier == plan.TierOps && b.childVariable() {
		b.tier2(b.ctx.Phase + " with a variable only the child knows")
	}
	if b.p.Tier == plan.TierExecutor {
		b.p.ExpandArgv = true
		return nil
	}
	b.p.Argv, _, _ = value.ExpandEnv(b.p.Argv, func(name string) (string, bool) {
		return plan.LookupEnv(b.p.Env, name)
	})
	if len(b.p.Argv) == 0 {
		b.p.Argv = []string{b.p.Paths[0]}
	}
	return nil
}

func hasVariable(argv []string) bool {
	for _, a := range argv {
		if strings.IndexByte(a, '$') >= 0 {
			return true
		}
	}
	return false
}

// childVariable says whether the command line uses one of the variables that
// get their value after the clone.
func (b *builder) childVariable() bool {
	dynamic := b.p.PidVars
	if b.p.JournalStream {
		dynamic = append(dynamic[:len(dynamic):len(dynamic)], "JOURNAL_STREAM")
	}
	for _, a := range b.p.Argv {
		if strings.IndexByte(a, '$') < 0 {
			continue
		}
		for _, name := range dynamic {
			if strings.Contains(a, name) {
				return true
			}
		}
	}
	return false
}
