package box

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mount is one row of mount(2) arguments, target relative to the new root.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

const quiet = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV

// apiMounts are the kernel file systems an init in a container expects.
var apiMounts = []mount{
	{"proc", "proc", "proc", quiet, ""},
	{"sysfs", "sys", "sysfs", quiet | unix.MS_RDONLY, ""},
	{"cgroup2", "sys/fs/cgroup", "cgroup2", quiet, ""},
	{"tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=0755,size=4m"},
	{"devpts", "dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"tmpfs", "dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "dev/mqueue", "mqueue", quiet, ""},
	{"tmpfs", "run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
}

// devices are the character devices of /dev; all are harmless to the host.
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var deviceLinks = map[string]string{
	"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
	"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "core": "/proc/kcore",
}

// readOnlyProc are the parts of /proc that are the host's and not ours.
var readOnlyProc = []string{"proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus", "proc/fs"}

// prepareRoot builds the overlay, mounts the kernel file systems in it and
// makes it the root of this mount namespace.
func prepareRoot(config stageConfig) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	root, err := mountOverlay(config)
	if err != nil {
		return err
	}
	for _, m := range apiMounts {
		if err := m.under(root); err != nil {
			return err
		}
	}
	if err := makeDevices(root, config.Console); err != nil {
		return err
	}
	for path, file := range config.Options.Files {
		if err := writeFile(root, path, file); err != nil {
			return err
		}
	}
	for _, bind := range config.Options.Binds {
		if err := bind.under(root); err != nil {
			return err
		}
	}
	if err := protectProc(root); err != nil {
		return err
	}
	if uid := config.Options.Unprivileged; uid != 0 {
		if err := giveAway(root, config.Console, uid); err != nil {
			return err
		}
	}
	return pivot(root)
}

// giveAway leaves an unprivileged init what a container runtime leaves it: the
// directories of an image that are its own, any port, read-only cgroups.
func giveAway(root, console string, uid int) error {
	for _, name := range []string{"run", "tmp", "var/tmp", "var/log", "var/lib", "var/cache"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(path, uid, uid); err != nil {
			return err
		}
	}
	if err := os.Chown(console, uid, uid); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "proc/sys/net/ipv4/ip_unprivileged_port_start"), []byte("0"), 0o644); err != nil {
		return err
	}
	return readOnly(filepath.Join(root, "sys/fs/cgroup"))
}

func mountOverlay(config stageConfig) (string, error) {
	scratch := config.Scratch
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return "", fmt.Errorf("tmpfs: %w", err)
	}
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(scratch, name), 0o755); err != nil {
			return "", err
		}
	}
	root := filepath.Join(scratch, "root")
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", overlayEscape(config.Options.Root), scratch, scratch)
	if err := unix.Mount("overlay", root, "overlay", 0, data); err != nil {
		return "", fmt.Errorf("overlay of %s: %w", config.Options.Root, err)
	}
	return root, nil
}

func (m mount) under(root string) error {
	target := filepath.Join(root, m.target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, target, m.fstype, m.flags, m.data); err != nil {
		return fmt.Errorf("%s on /%s: %w", m.fstype, m.target, err)
	}
	return nil
}

func makeDevices(root, console string) error {
	dev := filepath.Join(root, "dev")
	for _, device := range devices {
		path := filepath.Join(dev, device.name)
		number := int(unix.Mkdev(device.major, device.minor))
		err := unix.Mknod(path, unix.S_IFCHR|0o666, number)
		if errors.Is(err, unix.EPERM) { // no device cgroup access: take the host's
			err = Bind{Source: "/dev/" + device.name, Target: "/dev/" + device.name, Writable: true}.under(root)
		} else if err == nil {
			err = os.Chmod(path, 0o666)
		}
		if err != nil {
			return fmt.Errorf("device %s: %w", device.name, err)
		}
	}
	for name, target := range deviceLinks {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return Bind{Source: console, Target: "/dev/console", Writable: true}.under(root)
}

// under makes the target and mounts the source there.
func (b Bind) under(root string) error {
	info, err := os.Stat(b.Source)
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	target := filepath.Join(root, b.Target)
	if err := makeTarget(target, info.IsDir()); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := unix.Mount(b.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", b.Source, b.Target, err)
	}
	if b.Writable {
		return nil
	}
	return readOnly(target)
}

func makeTarget(target string, dir bool) error {
	if _, err := os.Lstat(target); err == nil {
		return nil
	}
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// readOnly changes a mount point only, not the file system behind it; the
// flags it has must be repeated where they are locked.
func readOnly(target string) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, 0, &attr); err != nil {
		return fmt.Errorf("read-only %s: %w", target, err)
	}
	return nil
}

func protectProc(root string) error {
	for _, name := range readOnlyProc {
		path := filepath.Join(root, name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
	}
	// /proc/sys/net is per network namespace, so it stays writable.
	network := filepath.Join(root, "proc/sys/net")
	if err := unix.Mount(network, network, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", network, err)
	}
	for _, name := range readOnlyProc {
		path := filepath.Join(root, name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := readOnly(path); err != nil {
			return err
		}
	}
	return nil
}

func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	// The old root lands on top of the new one and is taken off there.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	// Services may bind mount into what PID 1 sees, as on a host.
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}
