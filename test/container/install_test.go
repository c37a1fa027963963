package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
)

// install runs `make install` and returns DESTDIR.
func install(t *testing.T) string {
	t.Helper()
	repository, err := box.Repository()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", repository, "install", "DESTDIR="+dir, "BIN="+t.TempDir(), "NAMES=systemctl")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	return dir
}

// TestInstall checks what is installed where.
func TestInstall(t *testing.T) {
	dir := install(t)
	for path, mode := range map[string]fs.FileMode{
		"usr/lib/muster/muster":               0o755,
		"usr/lib/muster/muster-executor":      0o755,
		"usr/lib/muster/muster-pam":           0o755,
		"usr/bin/musterctl":                   0o755,
		"usr/lib/muster/system/basic.target":  0o644,
		"usr/lib/muster/user/basic.target":    0o644,
		"usr/share/doc/muster/README.md":      0o644,
		"usr/share/doc/muster/LICENSE":        0o644,
		"usr/share/doc/muster/docs/style.md":  0o644,
		"usr/share/doc/muster/CHANGELOG.md":   0o644,
		"usr/lib/muster/system/reboot.target": 0o644,
	} {
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want mode %v", path, info, err, mode)
		}
	}
	if link, err := os.Readlink(filepath.Join(dir, "usr/bin/systemctl")); err != nil || link != "musterctl" {
		t.Errorf("systemctl leads to %q, %v", link, err)
	}
	// Links between units stay links, and lead somewhere.
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink == 0 {
			return err
		}
		_, err = os.Stat(path)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if link, err := os.Readlink(filepath.Join(dir, "usr/lib/muster/system/ctrl-alt-del.target")); err != nil || link != "reboot.target" {
		t.Errorf("ctrl-alt-del.target leads to %q, %v", link, err)
	}
}

// TestInstalledBootsWithoutSystemd boots a root that has no systemd package from what `make install` put there: its own
// units bring it to multi-user.target and a login prompt, with the unit files of other packages (nginx) untouched.
func TestInstalledBootsWithoutSystemd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("booting a container needs root: run `sudo make test`")
	}
	spec, err := root.Find("bare")
	if err != nil {
		t.Fatal(err)
	}
	base, err := spec.Prepare(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"usr/lib/systemd/systemd", "usr/bin/systemctl", "usr/lib/systemd/system/basic.target", "usr/sbin/init"} {
		if _, err := os.Lstat(filepath.Join(base, path)); err == nil {
			t.Fatalf("the bare root has %s", path)
		}
	}
	b := bootInstalled(t, base, install(t), map[string]box.File{
		"/etc/fstab":    {Content: "tmpfs /mnt/ours tmpfs size=1M,mode=0711 0 0\n/usr/share /mnt/bound none bind,ro 0 0\n/dev/nothing /mnt/x ext4 noauto 0 2\nwrong\n"},
		"/etc/rc.local": {Content: "#!/bin/sh\ntouch /run/rc-local-ran\n", Mode: 0o755},
		"/etc/init.d/old": {Mode: 0o755, Content: "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: old\n# Required-Start: $remote_fs\n### END INIT INFO\n" +
			"touch /run/old-$1\n"},
		"/etc/rc2.d/S01old": {Link: "../init.d/old"},
	})
	inside := func(argv ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		result, err := b.Exec(ctx, argv...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, b.Console())
		}
		return strings.TrimSpace(result.Stdout + result.Stderr)
	}
	if got := inside("musterctl", "is-active", "multi-user.target", "nginx.service", "getty.target"); got != "active\nactive\nactive" {
		t.Errorf("is-active: %s", got)
	}
	for unit, from := range map[string]string{
		"multi-user.target": "/usr/lib/muster/system/multi-user.target", "sysinit.target": "/usr/lib/muster/system/sysinit.target",
		"nginx.service": "/usr/lib/systemd/system/nginx.service",
	} {
		if got := inside("musterctl", "show", "-p", "FragmentPath", unit); got != "FragmentPath="+from {
			t.Errorf("%s: %s, want %s", unit, got, from)
		}
	}
	if got := inside("busybox", "wget", "-qO-", "http://127.0.0.1/"); !strings.Contains(got, "Welcome to nginx") {
		t.Errorf("nginx: %s", got)
	}
	if got := inside("sh", "-c", `for i in $(seq 1200); do pgrep -x agetty >/dev/null && break; sleep 0.1; done; ps -o tty= -C agetty`); got != "console" {
		t.Errorf("terminal of the login prompt: %q", got)
	}
	generated(t, inside)
	waitConsole(t, b, "muster login:")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if status, err := b.Shutdown(ctx); err != nil || !status.PowerOff {
		t.Errorf("power-off: %v, %v\n%s", status, err, b.Console())
	}
}

// generated looks at what our own generators made of the files of an old system.
func generated(t *testing.T, inside func(argv ...string) string) {
	t.Helper()
	if got := inside("sh", "-c", "stat -c %a /mnt/ours; mountpoint -q /mnt/bound && echo bound; mountpoint -q /mnt/x || echo not x; ls /run/rc-local-ran /run/old-start"); got !=
		"711\nbound\nnot x\n/run/old-start\n/run/rc-local-ran" {
		t.Errorf("mounts and scripts: %q", got)
	}
	for unit, from := range map[string]string{"mnt-ours.mount": "/run/systemd/generator/mnt-ours.mount", "old.service": "/run/systemd/generator.late/old.service",
		"rc-local.service": "/usr/lib/muster/system/rc-local.service", "systemd-remount-fs.service": "/usr/lib/muster/system/systemd-remount-fs.service"} {
		if got := inside("musterctl", "show", "-p", "ActiveState", "-p", "FragmentPath", unit); !strings.Contains(got, from) || !strings.Contains(got, "ActiveState=active") {
			t.Errorf("%s: %s, want %s", unit, got, from)
		}
	}
	if got := inside("musterctl", "list-units", "--failed", "--no-legend", "--plain"); got != "" {
		t.Errorf("failed: %s", got)
	}
}

// bootInstalled boots base with the tree of `make install` over it and the console getty enabled.
func bootInstalled(t *testing.T, base, installed string, more map[string]box.File) *box.Box {
	t.Helper()
	files := box.Identity()
	for path, file := range more {
		files[path] = file
	}
	files["/etc/systemd/system/getty.target.wants/console-getty.service"] = box.File{Link: "/usr/lib/muster/system/console-getty.service"}
	b, err := box.Start(box.Options{
		Root: base, Init: "/usr/lib/muster/muster", Files: files,
		Binds: []box.Bind{
			{Source: filepath.Join(installed, "usr/lib/muster"), Target: "/usr/lib/muster"},
			{Source: filepath.Join(installed, "usr/bin/musterctl"), Target: "/usr/bin/musterctl"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if state, err := b.WaitRunning(ctx, "musterctl"); err != nil || state != "running" {
		t.Fatalf("state %q, %v\n%s", state, err, b.Console())
	}
	return b
}

func waitConsole(t *testing.T, b *box.Box, want string) {
	t.Helper()
	for range 1200 {
		if strings.Contains(b.Console(), want) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the console does not show %q:\n%s", want, b.Console())
}
