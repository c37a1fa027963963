package vm

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/vm/image"
)

// rootModules are what the initramfs needs to reach the root disk.
var rootModules = []string{"virtio_pci", "virtio_blk"}

// fstab is that of an installed machine.
const fstab = "LABEL=" + image.RootLabel + " / ext4 defaults,errors=remount-ro 0 1\n"

// inject is where the agent finds the files to copy over the root.
const inject = "/inject"

// agent is the program of ./agent there; it is /init, the agent, and the program `host` of scripts.
const agent = inject + "/usr/local/bin/host"

// initramfs is the archive for an init: agent, modules, programs, scenarios.
func initramfs(ctx context.Context, t *testing.T, img image.Image, program box.Program, tools string) *image.Archive {
	t.Helper()
	archive := image.NewArchive()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(archive.Tree(agent, filepath.Join(tools, "agent")))
	archive.Link("/init", agent)
	check(modules(archive, img, rootModules))
	for name, file := range identity(img) {
		add(archive, name, file)
	}
	for _, name := range []string{"payload", "busprobe", "musterctl"} {
		check(archive.Tree(inject+"/usr/local/bin/"+name, filepath.Join(tools, name)))
	}
	for _, bind := range program.Binds {
		check(archive.Tree(inject+bind.Target, bind.Source))
	}
	if program.Name != "systemd" {
		archive.Link(inject+"/usr/sbin/init", program.Path)
	}
	check(archive.Tree(inject+"/scenarios", "scenarios"))
	check(runner(archive))
	check(library(archive))
	return archive
}

// modules adds kernel modules that the agent inserts, in their order.
func modules(archive *image.Archive, img image.Image, names []string) error {
	paths, err := img.Modules(names...)
	if err != nil {
		return err
	}
	var order []string
	for _, path := range paths {
		order = append(order, filepath.Base(path))
		if err := archive.Tree("/modules/"+filepath.Base(path), path); err != nil {
			return err
		}
	}
	archive.File("/modules/order", 0o644, []byte(strings.Join(order, "\n")))
	return nil
}

// behindDebian is Debian's own initramfs with our files behind it: the kernel unpacks one after the other. A script that
// initramfs-tools runs last copies them, as our own /init does.
func behindDebian(archive *image.Archive, img image.Image) ([]byte, error) {
	initrd, err := os.ReadFile(img.Initrd)
	if err != nil {
		return nil, err
	}
	for len(initrd)%512 != 0 {
		initrd = append(initrd, 0)
	}
	archive.Remove("/init")
	archive.Link("/vm-agent", agent)
	archive.File("/scripts/init-bottom/ORDER", 0o644, []byte("/scripts/init-bottom/udev \"$@\"\n/vm-agent\n"))
	return append(initrd, archive.Bytes()...), nil
}

// runner is that of the other scenarios, with the patience that emulation needs.
func runner(archive *image.Archive) error {
	text, err := os.ReadFile("../scenarios/run-one")
	archive.File(inject+"/scenarios/run-one", 0o755, []byte(strings.ReplaceAll(string(text), "timeout 10 ", "timeout 90 ")))
	return err
}

// library makes one lib.sh of the scenarios' and ours.
func library(archive *image.Archive) error {
	var text []byte
	for _, path := range []string{"../scenarios/lib.sh", "lib.sh"} {
		part, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = append(text, part...)
	}
	archive.File(inject+"/scenarios/lib.sh", 0o644, text)
	return nil
}

func add(archive *image.Archive, name string, file box.File) {
	if file.Link != "" {
		archive.Link(inject+name, file.Link)
		return
	}
	mode := file.Mode
	if mode == 0 {
		mode = 0o644
	}
	archive.File(inject+name, mode, []byte(file.Content))
}

// identity makes the root an installed machine: it has a name and an fstab, and
// root may log in without a password.
func identity(img image.Image) map[string]box.File {
	files := box.Identity()
	delete(files, "/etc/resolv.conf")
	// Otherwise the first boot rebuilds catalogs and caches.
	for _, path := range []string{"/etc/.updated", "/var/.updated"} {
		files[path] = box.File{Content: "TIMESTAMP_NSEC=2000000000000000000\n"}
	}
	// It looks for LVM snapshots at each boot, which takes a fifth of it, and there is no LVM.
	files["/etc/systemd/system/e2scrub_reap.service"] = box.File{Link: "/dev/null"}
	files["/etc/fstab"] = box.File{Content: fstab}
	shadow, err := os.ReadFile(filepath.Join(img.Root, "etc/shadow"))
	if err == nil {
		lines := strings.Split(string(shadow), "\n")
		for i, line := range lines {
			if fields := strings.Split(line, ":"); fields[0] == "root" && len(fields) > 1 {
				fields[1] = ""
				lines[i] = strings.Join(fields, ":")
			}
		}
		files["/etc/shadow"] = box.File{Content: strings.Join(lines, "\n"), Mode: 0o640}
	}
	return files
}

// units adds the unit files of a scenario where an administrator puts them.
func units(archive *image.Archive, dir string) error {
	top := filepath.Join(dir, "units")
	if _, err := os.Stat(top); os.IsNotExist(err) {
		return nil
	}
	return archive.Tree(inject+"/etc/systemd/system", top)
}

// files adds what a scenario has in its directory `files`, by its path in the root.
func files(archive *image.Archive, dir string) error {
	top := filepath.Join(dir, "files")
	if _, err := os.Stat(top); os.IsNotExist(err) {
		return nil
	}
	return archive.Tree(inject, top)
}

// buildTools builds what runs inside.
func buildTools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "godbus_no_tcp", "-o", dir+"/", "./agent", "../payload", "../busprobe", "../../cmd/musterctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the tools: %v\n%s", err, out)
	}
	return dir
}

// checkClean looks at the root file system a machine left behind.
func checkClean(ctx context.Context, layer string) error {
	raw := layer + ".raw"
	defer os.Remove(raw)
	if out, err := exec.CommandContext(ctx, "qemu-img", "convert", "-O", "raw", layer, raw).CombinedOutput(); err != nil {
		return fmt.Errorf("qemu-img: %w: %s", err, out)
	}
	out, err := exec.CommandContext(ctx, "dumpe2fs", "-h", raw).CombinedOutput()
	if err != nil {
		return fmt.Errorf("dumpe2fs: %w: %s", err, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if key == "Filesystem state" && value != "clean" || key == "Filesystem features" && strings.Contains(value, "needs_recovery") {
			return fmt.Errorf("the root was not unmounted: %s", line)
		}
	}
	if out, err := exec.CommandContext(ctx, "e2fsck", "-f", "-n", raw).CombinedOutput(); err != nil {
		return fmt.Errorf("e2fsck: %w: %s", err, out)
	}
	return nil
}

// scenarioNames are the directories with a script.
func scenarioNames(t *testing.T) []string {
	t.Helper()
	scripts, err := fs.Glob(os.DirFS("scenarios"), "*/script")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var names []string
	for _, script := range scripts {
		names = append(names, filepath.Dir(script))
	}
	return names
}
