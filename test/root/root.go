// Package root prepares small Debian roots for the namespace container of
// test/container, once, and caches them outside the repository.
//
// Invariants:
//  1. A root is complete or absent: it is built in a temporary directory and
//     renamed into place, so an interrupted build is never used.
//  2. A root is never written to afterwards; containers put an overlay on top.
//  3. The directory name carries a hash of the suite, the package list and the
//     build recipe, so a changed list is a new root and an old one stays valid.
//
// The packages come through apt from the mirror this machine already uses.
package root

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Spec names one root: the Debian suite and the packages in it.
type Spec struct {
	Name     string // what -root= and ROOT= call it
	Suite    string // Debian codename
	Packages []string
}

// recipe is part of the cache key; raise it when the build steps change.
const recipe = "1"

// serverPackages are the real services every scenario of `make run` boots.
var serverPackages = []string{
	"nginx-light", "openssh-server", "cron", "redis-server", "rsyslog", "logrotate",
	"busybox-static", "iproute2", "procps", "util-linux", "libcap2-bin",
}

// systemdPackages are the manager under comparison, its tools and its journal.
var systemdPackages = []string{"systemd", "systemd-sysv", "dbus"}

// sessionPackages bring pam_systemd, nss-systemd and dbus.service of users.
var sessionPackages = []string{"libpam-systemd", "libnss-systemd", "dbus-user-session"}

// machinePackages make a root that a virtual machine boots: a kernel, udev, what fills and checks disks, and the library
// with which systemd opens images with verity data.
var machinePackages = []string{
	"linux-image-cloud-amd64", "initramfs-tools", "udev", "kmod", "e2fsprogs", "fdisk", "cron", "libpam-systemd", "libcryptsetup12",
	"busybox-static", "iproute2", "procps", "util-linux", "libcap2-bin",
}

// Specs lists the known roots; the first one is the default.
var Specs = []Spec{
	{Name: "trixie", Suite: "trixie", Packages: join(serverPackages, systemdPackages)},
	{Name: "bookworm", Suite: "bookworm", Packages: join(serverPackages, systemdPackages)},
	// session has what logins and users' managers need beside that: PAM's and the name service's modules, a bus for each user.
	{Name: "session", Suite: "trixie", Packages: join(serverPackages, systemdPackages, sessionPackages)},
	// bare has no systemd package at all: what boots there is ours alone.
	{Name: "bare", Suite: "trixie", Packages: []string{"busybox-static", "util-linux", "nginx-light", "procps"}},
	{Name: "trixie-vm", Suite: "trixie", Packages: join(machinePackages, systemdPackages)},
	{Name: "bookworm-vm", Suite: "bookworm", Packages: join(machinePackages, systemdPackages)},
}

func join(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, list...)
	}
	sort.Strings(all)
	return all
}

// Find returns the spec of that name.
func Find(name string) (Spec, error) {
	var names []string
	for _, spec := range Specs {
		if spec.Name == name {
			return spec, nil
		}
		names = append(names, spec.Name)
	}
	return Spec{}, fmt.Errorf("root %q: unknown, there are: %s", name, strings.Join(names, ", "))
}

// Key is the cache key: equal keys mean equal contents wanted.
func (s Spec) Key() string {
	packages := join(s.Packages)
	sum := sha256.Sum256([]byte(recipe + "\n" + s.Suite + "\n" + strings.Join(packages, "\n")))
	return s.Name + "-" + hex.EncodeToString(sum[:6])
}

// CacheDir is where prepared roots are kept: $MUSTER_CACHE, else
// $XDG_CACHE_HOME/muster, else /var/cache/muster.
func CacheDir() string {
	if dir := os.Getenv("MUSTER_CACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "muster")
	}
	return "/var/cache/muster"
}

// Prepare returns the directory of the root, building it first when it is not
// cached. Progress lines go to log. It needs root and mmdebstrap(1).
func (s Spec) Prepare(ctx context.Context, log io.Writer) (string, error) {
	dir := filepath.Join(CacheDir(), s.Key())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("root %s: not prepared yet, and preparing it needs root: run `sudo make root` once", s.Name)
	}
	if err := os.MkdirAll(CacheDir(), 0o755); err != nil {
		return "", fmt.Errorf("root %s: %w", s.Name, err)
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", fmt.Errorf("root %s: %w", s.Name, err)
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil { // another process was faster
		return dir, nil
	}
	if err := ensureMmdebstrap(ctx, log); err != nil {
		return "", fmt.Errorf("root %s: %w", s.Name, err)
	}
	fmt.Fprintf(log, "preparing root %s (Debian %s, %d packages asked for) in %s, once\n", s.Name, s.Suite, len(s.Packages), dir)
	if err := s.build(ctx, dir, log); err != nil {
		return "", fmt.Errorf("root %s: %w", s.Name, err)
	}
	return dir, nil
}

func (s Spec) build(ctx context.Context, dir string, log io.Writer) error {
	partial := dir + ".partial"
	if err := discard(partial); err != nil {
		return err
	}
	mirrors := hostMirrors(ctx)
	for try := 1; ; try++ {
		err := s.bootstrap(ctx, partial, mirrors[(try-1)%len(mirrors)], log)
		if err == nil {
			return os.Rename(partial, dir)
		}
		if cleanErr := discard(partial); cleanErr != nil {
			return errors.Join(err, cleanErr)
		}
		if try == tries || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(log, "preparing root %s failed at try %d, again in %v: %v\n", s.Name, try, pause(try), err)
		wait(ctx, pause(try))
	}
}

// bootstrap runs mmdebstrap(1) once; empty leaves the mirror to it.
func (s Spec) bootstrap(ctx context.Context, partial, mirror string, log io.Writer) error {
	args := []string{
		"--variant=minbase", "--quiet", "--include=" + strings.Join(join(s.Packages), ","),
		`--aptopt=Acquire::Retries "5"`, `--aptopt=Acquire::http::Timeout "60"`, `--aptopt=Acquire::https::Timeout "60"`,
		`--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname" "$1/etc/apt/apt.conf.d/99mmdebstrap"`,
		`--customize-hook=mkdir -p "$1/usr/lib/muster"`,
		s.Suite, partial,
	}
	if mirror != "" {
		args = append(args, mirror)
	}
	var output strings.Builder
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&output, log), io.MultiWriter(&output, log)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	// Its mounts are nobody else's, and end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mmdebstrap: %w: %s", err, lastLines(output.String(), 5))
	}
	return nil
}

// discard removes what a build that didn't end has left. What an mmdebstrap(1) outside of ours has mounted in there belongs to the machine: its
// /dev/shm, its /sys.
func discard(partial string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(partial))
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("%s is left mounted: %w", m.Mountpoint, err)
		}
	}
	return os.RemoveAll(partial)
}

// hostMirrors are the archives this machine's apt already uses, at least one; empty leaves the choice to
// mmdebstrap. $MUSTER_MIRROR overrides.
func hostMirrors(ctx context.Context) []string {
	if mirror := os.Getenv("MUSTER_MIRROR"); mirror != "" {
		return []string{mirror}
	}
	var mirrors []string
	// Without apt there is nothing to learn.
	out, _ := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages").Output()
	codename := osReleaseCodename()
	for _, line := range strings.Split(string(out), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[1] == codename && fields[2] == "main" && strings.Contains(fields[0], "debian") && !slices.Contains(mirrors, fields[0]) {
			mirrors = append(mirrors, fields[0])
		}
	}
	if len(mirrors) == 0 {
		return []string{""}
	}
	return mirrors
}

func osReleaseCodename() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(text), "\n") {
		if value, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// ensureMmdebstrap installs mmdebstrap(1) by apt where it is missing.
func ensureMmdebstrap(ctx context.Context, log io.Writer) error {
	if _, err := exec.LookPath("mmdebstrap"); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("mmdebstrap is missing and this machine has no apt-get to install it; install mmdebstrap, or give ROOT=/path")
	}
	fmt.Fprintln(log, "installing mmdebstrap by apt-get, which prepares the Debian root")
	return Install(ctx, log, "mmdebstrap", "debian-archive-keyring")
}

// Install installs packages on this machine by apt-get(8). A source that is down, a mirror that doesn't answer or another apt that holds the lock
// may be otherwise a moment later.
func Install(ctx context.Context, log io.Writer, packages ...string) error {
	patience := []string{"-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", "-qq"}
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", append(slices.Clone(patience), args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLines(string(out), 3))
		}
		return nil
	}
	for try := 1; ; try++ {
		// An update may fail for one foreign source; the install then tells.
		_ = run("update")
		err := run(append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
		if err == nil || try == tries || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(log, "installing %s failed at try %d, again in %v: %v\n", strings.Join(packages, " "), try, pause(try), err)
		wait(ctx, pause(try))
	}
}

// tries bounds what needs the network.
const tries = 4

// pause is how long to wait after a try that failed.
func pause(try int) time.Duration { return time.Duration(try) * 5 * time.Second }

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// lock takes an exclusive lock, so that two test binaries build a root once.
func lock(path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, " | ")
}
