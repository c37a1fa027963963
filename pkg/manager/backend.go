package manager

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/unit"
)

// backend is what the bus objects see of the manager.
type backend struct{ m *Manager }

var _ busapi.Backend = backend{}

func (b backend) Engine() *engine.Engine          { return b.m.eng }
func (b backend) Submit(ev machine.Event)         { b.m.submit(ev) }
func (b backend) Work(work func() func()) bool    { return b.m.work.add(work) }
func (b backend) Now() machine.Instant            { return b.m.now() }
func (b backend) Loader() *loader.Loader          { return b.m.src }
func (b backend) Config() *unit.ManagerConfig     { return b.m.cfg }
func (b backend) Environment() []string           { return b.m.environment }
func (b backend) Touched(c *busapi.Client)        { b.m.bus.touched(c) }
func (b backend) Act(a machine.Act)               { b.m.act(a) }
func (b backend) Handle(h machine.Handle) int     { return b.m.fds.fd(h) }
func (b backend) AddHandle(fd int) machine.Handle { return b.m.fds.add(fd) }
func (b backend) Usage(unit string) busapi.Usage  { return b.m.cg.usage(unit) }
func (b backend) SetExitCode(code uint8)          { b.m.exitStatus = int(code); b.m.saveShell() }
func (b backend) UnitByPID(pid int) string        { return b.m.unitOfProcess(int32(pid)) }

func (b backend) Reload(done func(err error)) {
	if err := b.m.limitReload("Reload"); err != nil {
		done(err)
		return
	}
	b.m.reload(done)
}

func (b backend) Reexecute(failed func(error)) {
	if err := b.m.limitReload("Reexecute"); err != nil {
		failed(err)
		return
	}
	b.m.requestReexec(func(err error) { failed(bus.Errorf(bus.ErrFailed, "%v", err)) })
}

func (b backend) Request(then func(machine.SendReply)) machine.Reply { return b.m.request(then) }

func (b backend) Log(level int, unit, text string) { b.m.log.write(level, unit, nil, "%s", text) }

func (b backend) SetEnvironment(env []string) {
	b.m.setClientEnvironment(env)
	b.m.saveShell()
}

func (b backend) SetLogLevel(level int)       { b.m.log.setLevel(level); b.m.saveShell() }
func (b backend) SetLogTarget(target string)  { b.m.log.setTarget(target); b.m.saveShell() }
func (b backend) SetShowStatus(mode string)   { b.m.console.setStatus(mode); b.m.saveShell() }
func (b backend) SetServiceWatchdogs(on bool) { b.m.eng.SetWatchdogs(on) }

// SetWatchdog changes the time of a hardware watchdog for this boot, in µs.
func (b backend) SetWatchdog(which string, usec uint64) {
	o := &b.m.watchdogOverride
	switch which {
	case "RuntimeWatchdogUSec":
		o.Runtime = &usec
	case "RuntimeWatchdogPreUSec":
		o.Pre = &usec
	case "RebootWatchdogUSec":
		o.Reboot = &usec
	case "KExecWatchdogUSec":
		o.KExec = &usec
	}
	b.setWatchdogs()
}

// SetWatchdogGovernor changes what the kernel does when the pretimeout has passed.
func (b backend) SetWatchdogGovernor(name string) {
	b.m.watchdogOverride.Governor = &name
	b.setWatchdogs()
}

func (b backend) setWatchdogs() {
	c := *b.m.cfg
	b.m.watchdogOverride.over(&c)
	b.m.cfg = &c
	if b.m.watch != nil {
		b.m.watch.apply(settingsOf(&c))
	}
	b.m.saveShell()
}

func (b backend) SwitchRoot(root, init string) error { return b.m.requestSwitchRoot(root, init) }

func (b backend) ControlGroup(name string) string {
	if name == "-.slice" && b.m.cg.tree != nil {
		return b.m.cg.tree.Absolute("")
	}
	if _, realized := b.m.cg.paths[name]; !realized && name != "init.scope" {
		return ""
	}
	return b.m.cg.procPath(name)
}

func (b backend) ControlGroupID(name string) uint64 {
	p, ok := b.m.cg.paths[name]
	if !ok || b.m.cg.tree == nil {
		return 0
	}
	var st unix.Stat_t
	if unix.Stat(b.m.cg.tree.Dir(p), &st) != nil {
		return 0
	}
	return st.Ino
}

func (b backend) CgroupOwner(name, subgroup string) (uid uint32, ok bool) {
	p, realized := b.m.cg.paths[name]
	if !realized || b.m.cg.tree == nil {
		return 0, false
	}
	var st unix.Stat_t
	if unix.Lstat(b.m.cg.tree.Dir(p+subgroup), &st) != nil {
		return 0, false
	}
	return st.Uid, true
}

// Processes lists pids by their path below the unit's own group; without cgroups those that the unit tracks.
func (b backend) Processes(name string) (map[string][]int, error) {
	p, ok := b.m.cg.path(name)
	if !ok || b.m.cg.tree == nil {
		out := map[string][]int{}
		if u := b.m.eng.Unit(name); u != nil {
			for _, pid := range pidsOf(u) {
				out["/"] = append(out["/"], int(pid))
			}
		}
		return out, nil
	}
	out := map[string][]int{}
	err := b.m.cg.tree.ProcsRecursive(p, processesMax, func(path string, pids []int) {
		out[b.m.cg.tree.Absolute(path)] = append(out[b.m.cg.tree.Absolute(path)], pids...)
	})
	return out, err
}

func pidsOf(u *engine.Unit) (list []int32) {
	main, control := u.PIDs()
	for _, pid := range []int32{main, control} {
		if pid > 0 {
			list = append(list, pid)
		}
	}
	return list
}

func (b backend) Facts() busapi.Facts {
	m := b.m
	f := busapi.Facts{
		UID:    uint32(os.Getuid()),
		System: m.system, Version: Version, Features: features, Virtualization: m.facts.Virtualization, Architecture: kernel.Architecture(),
		UnitPath: m.src.Path(), Transient: m.transientDir(), MachineID: m.host.MachineID,
	}
	if m.cg.tree != nil {
		f.ControlRoot = strings.TrimSuffix(m.cg.tree.Absolute(""), "/")
	}
	return f
}

// features is the list of what was compiled in, in systemd's form.
const features = "+PAM -AUDIT -SELINUX -APPARMOR -IMA +SMACK +SECCOMP -GCRYPT -GNUTLS -OPENSSL -ACL -BLKID -CURL -ELFUTILS -FIDO2 -IDN2 -IDN -KMOD -LIBCRYPTSETUP -PCRE2 -P11KIT -QRENCODE -TPM2 default-hierarchy=unified"

func (b backend) Runtime() busapi.Runtime {
	m := b.m
	s := &m.stamps
	_, jobs := m.eng.Len()
	progress := 1.0
	if !m.booted && m.installedJobs > 0 {
		progress = 1 - float64(jobs)/float64(m.installedJobs)
	}
	never := machine.Instant{Monotonic: machine.Never, Realtime: machine.Never, Boottime: machine.Never}
	device, ping := "", never
	if m.watch != nil {
		device = m.watch.device
		if !m.watch.lastPing.IsZero() {
			ping = m.watch.lastPing
		}
	}
	return busapi.Runtime{
		WatchdogDevice: device, WatchdogLastPing: ping,
		State: m.systemState(), Kernel: s.Kernel, InitRD: s.InitRD, Userspace: s.Userspace, Finish: s.Finish, GeneratorsStart: s.GeneratorsStart,
		GeneratorsFinish: s.GeneratorsFinish, UnitsLoadStart: s.UnitsLoadStart, UnitsLoadFinish: s.UnitsLoadFinish, UnitsLoad: s.UnitsLoad,
		ShutdownStart: s.ShutdownStart, Progress: progress, LogLevel: m.log.level, LogTarget: m.log.target, ShowStatus: m.console.enabled("ok"),
		ServiceWatchdogs: m.eng.Watchdogs(), ConfirmSpawn: m.opt.ConfirmSpawn != "" && m.system, ExitCode: uint8(m.exitStatus), InstalledJobs: m.installedJobs, FailedJobs: m.failedJobs,
		RuntimeWatchdogUSec: m.cfg.RuntimeWatchdogUSec, RebootWatchdogUSec: m.cfg.RebootWatchdogUSec, KExecWatchdogUSec: m.cfg.KExecWatchdogUSec,
		RuntimeWatchdogPreUSec: m.cfg.RuntimeWatchdogPreUSec, WatchdogGovernor: m.cfg.RuntimeWatchdogPreGovernor,
		SoftRebootsCount: m.softReboots, Reloading: m.reloading,
	}
}

// systemState is what is-system-running prints (systemctl(1)).
func (m *Manager) systemState() string {
	active := func(name string) bool {
		u := m.eng.Unit(name)
		return u != nil && (u.ActiveState().IsActiveOrReloading() || u.ActiveState() == machine.Activating)
	}
	switch {
	case m.shuttingDown():
		return "stopping"
	case !m.booted:
		if u := m.eng.Unit("basic.target"); u != nil && u.ActiveState().IsActiveOrReloading() {
			return "starting"
		}
		return "initializing"
	case active("rescue.target"), active("emergency.target"):
		return "maintenance"
	case m.eng.FailedUnits() > 0:
		return "degraded"
	}
	return "running"
}

// shuttingDown reports whether a shutdown is queued.
func (m *Manager) shuttingDown() bool {
	u := m.eng.Unit("shutdown.target")
	return u != nil && u.Job() != nil && u.Job().Type == job.Start
}

func (m *Manager) transientDir() string {
	if m.system {
		return "/run/systemd/transient"
	}
	return m.dirs.runtime + "/systemd/transient"
}

// WriteTransient writes a fragment below /run, which cannot hang.
func (b backend) WriteTransient(name, content string) error {
	dir := b.m.transientDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := writeFile(path, content); err != nil {
		return err
	}
	b.m.src.AddTransient(name, path)
	return nil
}

// writeFile replaces a file as a whole.
func writeFile(path, content string) error {
	temp := fmt.Sprintf("%s/.#%s", filepath.Dir(path), filepath.Base(path))
	if err := os.WriteFile(temp, []byte(content), 0o644); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return nil
}

// WriteDropIn writes a drop-in of set-property: persistent ones below /etc on a worker, as that may be any file system.
func (b backend) WriteDropIn(name, file, content string, runtime bool, done func(error)) {
	dir := "/etc/systemd/system.control"
	if !b.m.system {
		dir = os.Getenv("HOME") + "/.config/systemd/user.control"
	}
	if runtime {
		dir = "/run/systemd/system.control"
		if !b.m.system {
			dir = b.m.dirs.runtime + "/systemd/user.control"
		}
	}
	u := b.m.eng.Config(name)
	if u != nil && u.Transient {
		dir = b.m.transientDir()
	}
	dir = filepath.Join(dir, name+".d")
	queued := b.m.work.add(func() func() {
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = writeFile(filepath.Join(dir, file), content)
		}
		return func() {
			b.m.src.RefreshDropIns(name)
			done(err)
		}
	})
	if !queued {
		done(fmt.Errorf("the manager is too busy to write %s/%s", dir, file))
	}
}

// unitOfProcess finds a process' unit by its cgroup, or by what units track.
func (m *Manager) unitOfProcess(pid int32) string {
	if u := m.eng.UnitByPID(pid); u != nil {
		return u.Name()
	}
	if pid == int32(os.Getpid()) {
		return "init.scope"
	}
	return m.cg.unitOfPID(pid)
}

// touched remembers that a client has output queued.
func (b *busSource) touched(c *busapi.Client) {
	if c.Private {
		b.touch(c)
		return
	}
	if b.broker != nil && b.broker.client == c {
		b.broker.dirty = true
	}
}

func randomSeed() (s [2]uint64) {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return [2]uint64{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// specifierContext gathers what specifiers expand to. It runs at boot only.
func specifierContext(m *Manager) *unit.SpecifierContext {
	var u unix.Utsname
	_ = unix.Uname(&u)
	s := &unit.SpecifierContext{
		User: !m.system, MachineID: readLine("/etc/machine-id"), BootID: strings.ReplaceAll(readLine("/proc/sys/kernel/random/boot_id"), "-", ""),
		HostName: unix.ByteSliceToString(u.Nodename[:]), KernelRelease: unix.ByteSliceToString(u.Release[:]), Architecture: kernel.Architecture(),
		UserName: "root", GroupName: "root", Home: "/root", Shell: "/bin/sh", TmpDir: "/tmp", VarTmpDir: "/var/tmp", RuntimeRoot: "/run",
		StateRoot: "/var/lib", CacheRoot: "/var/cache", LogRoot: "/var/log", ConfigRoot: "/etc", SharedRoot: "/usr/share",
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
	}
	if fields := passwdOf(s.UserName); len(fields) > 6 {
		s.Home, s.Shell = fields[5], fields[6]
	}
	s.PrettyHostName = s.HostName
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if data, err := os.ReadFile(file); err == nil {
			readOSRelease(s, string(data))
			break
		}
	}
	if !m.system {
		prefixes := m.prefixes()
		s.Home, s.UserName, s.Shell = os.Getenv("HOME"), os.Getenv("USER"), os.Getenv("SHELL")
		s.RuntimeRoot, s.StateRoot, s.CacheRoot, s.LogRoot, s.ConfigRoot = prefixes[0], prefixes[1], prefixes[2], prefixes[3], prefixes[4]
	}
	return s
}

func readOSRelease(s *unit.SpecifierContext, text string) {
	for _, line := range splitLines(text + "\n") {
		key, val, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		val = strings.Trim(val, `"'`)
		for name, field := range map[string]*string{"ID": &s.OSID, "VERSION_ID": &s.OSVersionID, "BUILD_ID": &s.OSBuildID, "VARIANT_ID": &s.OSVariantID,
			"IMAGE_ID": &s.OSImageID, "IMAGE_VERSION": &s.OSImageVersion} {
			if key == name {
				*field = val
			}
		}
	}
}

// passwdOf gives the fields of a user in /etc/passwd, nil if there is none. It runs at boot, or for a unit that is being started.
func passwdOf(name string) []string {
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil
	}
	for _, line := range splitLines(string(data)) {
		if fields := strings.Split(line, ":"); len(fields) > 6 && (fields[0] == name || fields[2] == name) {
			return fields
		}
	}
	return nil
}
