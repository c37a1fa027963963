package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// A soft-reboot and the way out of an initrd are the same: everything ends that isn't to survive, the root is switched (a soft-reboot stays where it is
// when there is no other), and the manager is executed again with what is left of the state. What follows then is a boot.

const (
	nextRoot    = "/run/nextroot" // of a soft-reboot, if it is there
	initrdRoot  = "/sysroot"      // of an initrd, if none is named
	filesToFree = 1 << 20         // of an initramfs at most
)

// movedMounts go along into the new root.
var movedMounts = []string{"/dev", "/proc", "/sys", "/run"}

// inits are tried in a new root that has no muster where this one is.
var inits = []string{"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"}

// requestSwitchRoot is the SwitchRoot method: it checks what can be checked while there is somebody to tell.
func (m *Manager) requestSwitchRoot(root, init string) error {
	if !m.system {
		return bus.Errorf(bus.ErrNotSupported, "Only the system manager can switch the root.")
	}
	if !m.initrd {
		return bus.Errorf(bus.ErrNotSupported, "Not in an initrd: the root is not switched.")
	}
	if root == "" {
		root = initrdRoot
	}
	switch root = filepath.Clean(root); {
	case !filepath.IsAbs(root) || root == "/":
		return bus.Errorf(bus.ErrInvalidArgs, "The new root %s is not an absolute path other than /.", root)
	case init != "" && !filepath.IsAbs(init):
		return bus.Errorf(bus.ErrInvalidArgs, "The init %s is not an absolute path.", init)
	case !isSystemTree(root):
		return bus.Errorf(bus.ErrFailed, "The new root %s has no os-release: it is no system.", root)
	case init != "" && unix.Access(root+init, unix.X_OK) != nil:
		return bus.Errorf(bus.ErrFailed, "%s can't be executed in %s.", init, root)
	}
	m.newRoot, m.newInit = root, init
	m.setObjective(objectiveSwitchRoot)
	return nil
}

// isSystemTree reports whether there is an operating system below a directory (os-release(5)).
func isSystemTree(root string) bool {
	return exists(root+"/etc/os-release") || exists(root+"/usr/lib/os-release")
}

// switchAndRestart ends what is left of this system and executes the manager for the next one. It doesn't return, unless nothing can be executed.
func (m *Manager) switchAndRestart() error {
	program, err := nextImage()
	if err != nil {
		return err
	}
	root := m.newRoot
	if m.objective == objectiveSoftReboot {
		m.softReboots++
		if root = ""; isSystemTree(nextRoot) {
			root = nextRoot
		}
		m.killAll()
	} else {
		m.stamps.InitRD = m.stamps.Userspace
		m.killForSwitch()
	}
	m.keepSurvivors()
	if root != "" {
		if err := switchRoot(root, m.objective == objectiveSwitchRoot); err != nil {
			m.console.status("failed", "Failed to switch root: %s", err.Error())
			if m.objective == objectiveSwitchRoot {
				return fmt.Errorf("the root can't be switched to %s: %w", root, err)
			}
		}
	}
	return m.executeNext(program)
}

// executeNext executes an init that was asked for, or this program with the state, or any init that there is.
func (m *Manager) executeNext(program string) error {
	var errs []error
	if m.newInit == "" {
		args := append(m.reexecArguments(false), "--switched-root")
		if image := m.spawner.image; image >= 0 && kernel.SetCloexec(image, false) == nil {
			args = append(args, "--executor="+strconv.Itoa(image)) // in case the next system has none
		}
		errs = append(errs, fmt.Errorf("%s: %w", program, unix.Exec(program, args, m.ownEnvironment())))
	}
	_ = unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC)
	for _, init := range append([]string{m.newInit}, inits...) {
		if init != "" {
			errs = append(errs, fmt.Errorf("%s: %w", init, unix.Exec(init, []string{init}, m.ownEnvironment())))
		}
	}
	return errors.Join(errs...)
}

// killForSwitch tells the processes of an initrd to end, without waiting for them. Those whose name begins with @ are left alone: they serve the storage
// that the new root lies on (https://systemd.io/ROOT_STORAGE_DAEMONS).
func (m *Manager) killForSwitch() {
	for _, pid := range m.othersThan() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || strings.HasPrefix(string(line), "@") {
			continue
		}
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGCONT, unix.SIGHUP} {
			_ = unix.Kill(pid, sig)
		}
	}
}

// keepSurvivors reduces the state to what goes on: units whose processes were spared, and what holds stored descriptors. Everything else, jobs
// included, belonged to the system that has ended.
func (m *Manager) keepSurvivors() {
	if m.state == nil {
		return
	}
	m.export()
	m.booted = false
	m.saveShell()
	for _, key := range m.state.Keys() {
		name, isUnit := strings.CutPrefix(key, engine.UnitKey(""))
		if strings.HasPrefix(key, keyShellPrefix) || isUnit && m.survives(m.eng.Unit(name)) {
			continue
		}
		if err := m.state.Delete(key); err != nil {
			m.log.err("", "%v", err)
		}
	}
	if err := m.state.Flush(); err != nil {
		m.log.err("", "%v", err)
	}
}

func (m *Manager) survives(u *engine.Unit) bool {
	if u == nil {
		return false
	}
	switch cfg := u.Config(); cfg.Type {
	case unit.TypeService, unit.TypeScope:
		if u.ActiveState() == machine.Active && cfg.Unit.SurviveFinalKillSignal {
			return true
		}
		return m.eng.StoresDescriptors(u)
	}
	return false
}

// switchRoot makes root the root of everything. initrd: what was the root is not needed any more, its memory is given back.
func switchRoot(root string, initrd bool) error {
	old, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	// A mount can be moved only where its parent isn't shared.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("/: private: %w", err)
	}
	if !isMountPoint(root) {
		if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
	}
	for _, dir := range movedMounts {
		if err := takeAlong(dir, root+dir, initrd); err != nil {
			return err
		}
	}
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("%s: %w", root, err)
	}
	switch err := unix.PivotRoot(".", "."); {
	case err == nil:
		err = unix.Unmount(".", unix.MNT_DETACH) // the old root lies on top
		if err != nil {
			return fmt.Errorf("the old root: %w", err)
		}
	case errors.Is(err, unix.EINVAL): // an initramfs can't be pivoted away
		if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("%s: move: %w", root, err)
		}
		if err := unix.Chroot("."); err != nil {
			return fmt.Errorf("%s: chroot: %w", root, err)
		}
		if initrd {
			freeInitramfs(old)
		}
	default:
		return fmt.Errorf("%s: pivot_root: %w", root, err)
	}
	return errors.Join(unix.Chdir("/"), unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""))
}

// takeAlong brings a mount of the old root into the new one: moved out of an initrd, bound where processes of the old root go on.
func takeAlong(from, to string, move bool) error {
	if !isMountPoint(from) || isMountPoint(to) {
		return nil
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	flags := uintptr(unix.MS_BIND | unix.MS_REC)
	if move {
		flags = unix.MS_MOVE
	}
	if err := unix.Mount(from, to, "", flags, ""); err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	return nil
}

// freeInitramfs removes the files of an initramfs, which lie in memory. It stays on its file system, and does nothing if that is another kind.
func freeInitramfs(root int) {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(root, &fs) != nil || unix.Fstat(root, &st) != nil || uint32(fs.Type) != unix.RAMFS_MAGIC && uint32(fs.Type) != unix.TMPFS_MAGIC {
		return
	}
	left := filesToFree
	removeBelow(root, uint64(st.Dev), &left)
}

func removeBelow(dir int, device uint64, left *int) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d", dir))
	if err != nil {
		return
	}
	for _, entry := range list {
		if *left--; *left < 0 {
			return
		}
		name := entry.Name()
		if !entry.IsDir() {
			_ = unix.Unlinkat(dir, name, 0)
			continue
		}
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		kernel.Beat()
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && uint64(st.Dev) == device {
			removeBelow(fd, device, left)
			_ = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		}
		_ = unix.Close(fd)
	}
}
