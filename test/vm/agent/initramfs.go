package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	agentName  = "@agent"
	agentPath  = "/usr/local/bin/host" // in the root: what the initramfs has on /run, Debian's forbids to execute
	rootDevice = "/dev/vda"
	newRoot    = "/root"
	injected   = "/inject" // files of this test, in the initramfs
	modulesDir = "/modules"
)

// initramfs is what /init does; it returns only on failure, and then the kernel
// panics, which the host sees.
func initramfs() error {
	for _, m := range []struct{ kind, target, options string }{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"devtmpfs", "/dev", "mode=0755"}, {"tmpfs", "/run", "mode=0755,size=20%"},
	} {
		if err := mount(m.kind, m.target, m.kind, 0, m.options); err != nil {
			return err
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := waitFor(rootDevice, 10*time.Second); err != nil {
		return err
	}
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return err
	}
	if err := mount(rootDevice, newRoot, "ext4", 0, ""); err != nil {
		return err
	}
	if err := prepareRoot(); err != nil {
		return err
	}
	if err := switchRoot(); err != nil {
		return err
	}
	if err := startAgent("/"); err != nil {
		return err
	}
	return syscall.Exec("/sbin/init", append([]string{"/sbin/init"}, os.Args[1:]...), os.Environ())
}

// prepareRoot puts the files of this test into the mounted root.
func prepareRoot() error {
	if err := copyTree(injected, newRoot); err != nil {
		return err
	}
	// The manager is to make it writable, as on any machine whose kernel was told `ro`.
	if err := unix.Mount("", newRoot, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("remounting the root read-only: %w", err)
	}
	return nil
}

// startAgent leaves the agent behind, that of the root which is mounted at dir, with this as its working directory.
func startAgent(dir string) error {
	_, err := syscall.ForkExec(filepath.Join(dir, agentPath), []string{agentName}, &syscall.ProcAttr{
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8"}, Dir: dir, Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// behindDebian is what the last script of Debian's initramfs does: the root is mounted, and run-init moves it to / afterwards.
func behindDebian() error {
	if err := unix.Mount("", newRoot, "", unix.MS_REMOUNT, ""); err != nil {
		return fmt.Errorf("remounting the root writable: %w", err)
	}
	if err := prepareRoot(); err != nil {
		return err
	}
	return startAgent(newRoot)
}

// enterRoot follows the root of the machine, the working directory, as soon as it has /proc.
func enterRoot() error {
	if err := waitFor("proc/self", time.Minute); err != nil {
		return err
	}
	return unix.Chroot(".")
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, flags, options); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// loadModules inserts what the file order names, in its order.
func loadModules() error {
	order, err := os.ReadFile(filepath.Join(modulesDir, "order"))
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(order)) {
		file, err := os.Open(filepath.Join(modulesDir, name))
		if err != nil {
			return err
		}
		flags := 0
		if strings.HasSuffix(name, ".xz") {
			flags = unix.MODULE_INIT_COMPRESSED_FILE
		}
		err = unix.FinitModule(int(file.Fd()), "", flags)
		file.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	return nil
}

func waitFor(path string, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s did not appear within %v", path, limit)
		}
	}
}

// switchRoot makes the mounted root the root of this mount namespace and frees
// what the initramfs took.
func switchRoot() error {
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", dir, err)
		}
	}
	for _, dir := range []string{injected, modulesDir} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return os.Chdir("/")
}

// copyTree copies files and links of from over to; what is the same already, as
// at the second boot of a disk, is left alone.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case entry.IsDir():
			// Through links of the root, as /lib -> usr/lib.
			if _, err := os.Stat(target); err == nil {
				return nil
			}
			return os.Mkdir(target, 0o755)
		case entry.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			os.Remove(target) // it may not be there
			return os.Symlink(link, target)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return copyFile(path, target, info.Mode().Perm())
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	if same(from, to) {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	os.Remove(to) // a link, or a program that runs
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode), out.Close())
}

func same(a, b string) bool {
	one, err := os.Lstat(a)
	if err != nil {
		return false
	}
	two, err := os.Lstat(b)
	if err != nil || !two.Mode().IsRegular() || one.Size() != two.Size() {
		return false
	}
	left, err := os.ReadFile(a)
	if err != nil {
		return false
	}
	right, err := os.ReadFile(b)
	return err == nil && bytes.Equal(left, right)
}
