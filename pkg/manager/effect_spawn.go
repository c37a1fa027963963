package manager

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
	"github.com/muster-init/muster/pkg/engine/socket"
	"github.com/muster-init/muster/pkg/engine/swap"
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// executorName is the program that makes what the list of system calls can't (mounts, names, directories).
const executorName = "muster-executor"

// spawner starts the processes of units and keeps what belongs to each until it was reaped.
type spawner struct {
	m         *Manager
	start     *spawn.Spawner
	image     int    // the executor's, -1 if there is none
	helpers   string // directory of the programs that children execute
	pidFDID   uint64 // of the manager, 0: the kernel has no such numbers
	children  map[int32]*child
	cleanups  map[string]*child // by unit: what takes away the leftovers of its last activation
	forgotten []forgotten
	exported  map[string]journalState // by unit: what journald was told last
	filters   execplan.FilterCache
	degraded  map[string]degradation // by unit: what its last start went on without
	rare      map[string]bool        // files for journald beside invocations that are there; nil: not looked yet
}

type child struct {
	*spawn.Child
	unit string
	// dynamicUser is the one that a cleanup gives back.
	dynamicUser string
	phase       machine.Phase
	notice      bool
	heard       int                  // how many of its notices were taken note of
	done        func(message string) // of a helper: called when it has ended, with what went wrong or ""
}

// prepareSpawning puts the executor's image into memory, so that later starts depend on no file system.
func (m *Manager) prepareSpawning() error {
	image, helpers := -1, "/usr/lib/muster"
	var errs []error
	if m.opt.Returned {
		image = m.opt.Back.Executor // the one on disk belongs to another version
		if image >= 0 {
			_ = kernel.SetCloexec(image, true)
		}
	}
	for _, dir := range []string{programDirectory(), "/usr/lib/muster"} {
		if image >= 0 {
			break
		}
		fd, err := spawn.Image(filepath.Join(dir, executorName))
		if err == nil {
			image, helpers = fd, dir
			break
		}
		errs = append(errs, err)
	}
	if spare := m.opt.Executor; spare >= 0 {
		_ = kernel.SetCloexec(spare, true)
		if image < 0 {
			image = spare
		} else {
			_ = unix.Close(spare)
		}
	}
	if image < 0 {
		m.log.err("", "Only services that need no executor can start: %v", errors.Join(errs...))
	}
	s, err := spawn.New(image)
	if err != nil {
		return err
	}
	m.spawner = spawner{m: m, image: image, start: s, pidFDID: kernel.PidFDIDOf(os.Getpid()), helpers: helpers, children: map[int32]*child{}, cleanups: map[string]*child{}, exported: map[string]journalState{}}
	return nil
}

// programDirectory is where this program lies, so that a build tree works without installation.
func programDirectory() string {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "/usr/lib/muster"
	}
	return filepath.Dir(trimDeleted(exe))
}

// spawn carries out machine.Spawn and answers it at once.
func (m *Manager) spawn(e machine.Spawn) {
	pid, err := m.spawner.spawn(e)
	if err != nil {
		fail := machine.SpawnFailed{Token: e.Token, Status: int32(plan.ExitException), Message: err.Error()}
		fail.Limits = errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
		if !errors.Is(err, execplan.ErrUnsupported) {
			fail.Limits = true
		}
		m.submit(fail)
		return
	}
	m.submit(machine.Spawned{Token: e.Token, PID: pid})
}

func (s *spawner) spawn(e machine.Spawn) (int32, error) {
	m := s.m
	loaded := m.eng.Unit(e.Unit)
	if loaded == nil {
		return 0, fmt.Errorf("%s: not loaded", e.Unit)
	}
	u := loaded.Config()
	if e.Phase == machine.RefreshExtensions || e.Phase == machine.RefreshCredentials {
		return s.refresh(u, e)
	}
	commands := commandsOf(u, e.Phase)
	if e.Index >= len(commands) {
		return 0, fmt.Errorf("%s: there is no %s= number %d (any more)", e.Unit, e.Phase, e.Index+1)
	}
	m.cg.realize(e.Unit)
	if err := m.cg.fault(e.Unit); err != nil {
		return 0, err
	}
	ctx := s.context(u, e, commands[e.Index])
	if err := s.m.sharing.context(u, &ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", e.Unit, err)
	}
	defer m.memlog.started()
	p, err := buildPlan(u, ctx)
	if err != nil {
		return 0, err
	}
	s.tellJournal(u, e.Invocation)
	return s.launch(p, e)
}

// launch starts a process in the control group of its unit.
func (s *spawner) launch(p *plan.Plan, e machine.Spawn) (int32, error) {
	fd, migrate := s.m.cg.dirFD(e.Unit)
	if fd < 0 || migrate {
		fd = 0
	}
	c, err := s.start.Start(p, spawn.Options{CgroupFD: fd, Notice: e.ExecNotice, NoPidFD: true})
	if err != nil {
		return 0, err
	}
	if migrate {
		s.m.cg.attach(e.Unit, c.Pid)
	}
	s.keep(int32(c.Pid), &child{Child: c, unit: e.Unit, phase: e.Phase, notice: e.ExecNotice})
	return int32(c.Pid), nil
}

// refresh lets an executor make anew what the main process was given. It is a control process like another, in the unit's cgroup.
func (s *spawner) refresh(u *unit.Unit, e machine.Spawn) (int32, error) {
	// We are its parent and have not reaped it, so the number is still its own.
	pidfd, err := kernel.PidFDOpen(int(e.MainPID))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", e.Unit, err)
	}
	defer unix.Close(pidfd)
	p, err := execplan.Refresh(u, s.context(u, e, value.Command{}), e.Phase == machine.RefreshCredentials, int32(pidfd))
	if err != nil {
		return 0, err
	}
	e.ExecNotice = false // it executes nothing
	return s.launch(p, e)
}

// buildPlan is execplan.Build with a net below: a setting that crashes it costs the start of its unit.
func buildPlan(u *unit.Unit, ctx execplan.Context) (p *plan.Plan, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("%s: the start can't be planned: %v", u.Name, r)
		}
	}()
	return execplan.Build(u, ctx)
}

// keep remembers a child and watches how far it comes.
func (s *spawner) keep(pid int32, c *child) {
	s.children[pid] = c
	if c.StatusFD < 0 {
		return
	}
	if err := s.m.sources.add(c.StatusFD, unix.EPOLLIN, prioExec, sourceFunc(func(uint32) { s.progress(pid, c) })); err != nil {
		s.m.log.err(c.unit, "%v", err)
	}
}

// progress reads the status pipe: the program was executed, or a step before it failed.
func (s *spawner) progress(pid int32, c *child) {
	if c.StatusFD < 0 {
		return
	}
	state := c.Progress()
	if state == spawn.Pending {
		return
	}
	s.m.sources.remove(c.StatusFD)
	c.CloseStatus()
	s.hear(c)
	if state == spawn.Executed && c.notice {
		s.m.submit(machine.ExecDone{PID: pid, Handoff: s.m.now()})
	}
}

// ended is called when a child was reaped, before its exit is delivered: what failed before the program was executed is said now.
func (s *spawner) ended(pid int32) *plan.Failure {
	c, ok := s.children[pid]
	if !ok {
		return nil
	}
	delete(s.children, pid)
	if c.StatusFD >= 0 {
		s.m.sources.remove(c.StatusFD)
	}
	c.Close()
	if s.cleanups[c.unit] == c {
		delete(s.cleanups, c.unit)
	}
	s.hear(c)
	f := c.Failure()
	if c.done != nil {
		message := ""
		if f != nil {
			message = f.Error()
		}
		c.done(message)
		return f
	}
	if f != nil {
		s.m.log.err(c.unit, "%s", f.Error())
	}
	return f
}

// context gathers what one start needs beside the unit's configuration.
func (s *spawner) context(u *unit.Unit, e machine.Spawn, cmd value.Command) execplan.Context {
	m := s.m
	ctx := execplan.Context{
		Phase: string(e.Phase), Command: cmd, Control: e.Slot == machine.SlotControl,
		Env: e.Env, ManagerEnv: m.environment, OwnEnv: os.Environ(),
		WatchdogUSec: e.WatchdogUSec, MainPID: e.MainPID, ManagerPID: int32(os.Getpid()),
		UserMode: !m.system, UID: uint32(os.Getuid()), Prefixes: m.prefixes(), Journal: m.log.journalStream(), Filters: &m.spawner.filters,
		WarnDegraded:  m.cfg.DegradedPolicy == "warn",
		DefaultOutput: m.cfg.DefaultStandardOutput, DefaultError: m.cfg.DefaultStandardError,
		Console: plan.Console, Confirm: m.confirmSpawn(), ConsoleTerm: m.consoleTerm, PAMHelper: filepath.Join(s.helpers, "muster-pam"), VerityHelper: filepath.Join(s.helpers, "muster-verity"),
	}
	if ctx.ManagerPIDFDID = s.pidFDID; ctx.ManagerPIDFDID != 0 && e.MainPID > 0 {
		ctx.MainPIDFDID = kernel.PidFDIDOf(int(e.MainPID))
	}
	if raw, err := hex.DecodeString(e.Invocation); err == nil {
		copy(ctx.InvocationID[:], raw)
	}
	if needsNotifySocket(u, ctx.Control) {
		ctx.NotifySocket = m.dirs.notify
	}
	if e.Idle {
		ctx.IdleFD, ctx.IdleUSec = int32(m.idlePipe.readEnd(m.eng)), idleHoldUSec
	}
	ctx.BootID = s.bootID()
	if c := s.cleanupBefore(u); c != nil {
		// What is made now must not be taken away by what is still at it.
		ctx.IdleFD, ctx.IdleUSec = int32(c.PidFD), cleanupHoldUSec
	}
	for _, f := range e.FDs {
		if fd := m.fds.fd(f.Handle); fd >= 0 {
			if x := u.GetExec(); x.StandardInput.Kind == "socket" || x.StandardOutput.Kind == "socket" || x.StandardError.Kind == "socket" {
				_ = unix.SetNonblock(fd, false) // nobody expects to have to wait for a standard stream
			}
			ctx.FDs = append(ctx.FDs, execplan.FD{Number: int32(fd), Name: f.Name, Stored: f.Stored})
		}
	}
	for i, h := range e.Stdio {
		ctx.Stdio[i] = int32(max(m.fds.fd(h), 0))
	}
	if dir, ok := m.cg.path(u.Name); ok && m.cg.tree != nil {
		ctx.CgroupDir = m.cg.tree.Dir(dir)
	}
	if !ctx.Journal {
		ctx.LogFD = func() int32 { return int32(m.memlog.writeEnd(u.Name)) }
	}
	return ctx
}

// confirmSpawn is the terminal where a person is asked about each start, "" where nobody is or somebody said that these are enough questions.
func (m *Manager) confirmSpawn() string {
	if m.opt.ConfirmSpawn == "" || !m.system || unix.Access(plan.ConfirmDisabled, unix.F_OK) == nil {
		return ""
	}
	return m.opt.ConfirmSpawn
}

// needsNotifySocket follows NotifyAccess=: the main process gets the socket unless it is none, control processes only with exec or all.
func needsNotifySocket(u *unit.Unit, control bool) bool {
	if u.Type != unit.TypeService {
		return false
	}
	s := u.GetService()
	access := s.NotifyAccess
	if (access == "" || access == "none") && (s.Type == "notify" || s.Type == "notify-reload" || s.WatchdogUSec != 0 && s.WatchdogUSec != unit.Infinity) {
		access = "main"
	}
	if control {
		return access == "exec" || access == "all"
	}
	return access != "" && access != "none"
}

// commandsOf is the list that a phase names.
func commandsOf(u *unit.Unit, phase machine.Phase) []value.Command {
	switch u.Type {
	case unit.TypeMount:
		return mount.Commands(u, phase)
	case unit.TypeSwap:
		return swap.Commands(u, phase)
	}
	if u.Type == unit.TypeSocket {
		return socket.Commands(u.GetSocket(), phase)
	}
	return control.ServiceCommands(u.GetService(), phase)
}

// prefixes are where RuntimeDirectory= and its kin lie.
func (m *Manager) prefixes() plan.Prefixes {
	if m.system {
		return execplan.SystemPrefixes
	}
	home := os.Getenv("HOME")
	or := func(name, def string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return home + def
	}
	state := or("XDG_STATE_HOME", "/.local/state")
	return plan.Prefixes{m.dirs.runtime, state, or("XDG_CACHE_HOME", "/.cache"), state + "/log", or("XDG_CONFIG_HOME", "/.config")}
}
