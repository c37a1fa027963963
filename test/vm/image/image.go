// Package image makes what a virtual machine boots from a prepared Debian root
// (test/root): its kernel, a root disk and an initramfs of our own.
//
// Invariants:
//  1. The disk is made once per root, beside it in the cache, and is never
//     written to: a machine puts a copy-on-write layer on top.
//  2. The initramfs carries everything a test adds, so a run of another init or
//     another scenario needs no other disk.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/muster-init/muster/test/root"
)

// Image are the parts of one bootable root.
type Image struct {
	Root   string // the prepared directory
	Kernel string // vmlinuz
	Initrd string // the root's own initramfs, made by its initramfs-tools
	Disk   string // ext4, raw
}

// recipe is part of the disk's name; raise it when the way to make it changes.
const recipe = "1"

// diskSize leaves room for what tests write; the file is sparse.
const diskSize = "2G"

// RootLabel is the label of the root file system.
const RootLabel = "muster-root"

// Prepare makes the image of the spec, or finds it in the cache.
func Prepare(ctx context.Context, spec root.Spec, log io.Writer) (Image, error) {
	dir, err := spec.Prepare(ctx, log)
	if err != nil {
		return Image{}, err
	}
	image := Image{Root: dir, Disk: dir + "-" + recipe + ".ext4"}
	if image.Kernel, err = only(filepath.Join(dir, "boot", "vmlinuz-*")); err != nil {
		return Image{}, err
	}
	if image.Initrd, err = only(filepath.Join(dir, "boot", "initrd.img-*")); err != nil {
		return Image{}, err
	}
	if _, err := os.Stat(image.Disk); err == nil {
		return image, nil
	}
	fmt.Fprintf(log, "making the root disk %s, once\n", image.Disk)
	partial := fmt.Sprintf("%s.%d", image.Disk, os.Getpid())
	defer os.Remove(partial)
	out, err := exec.CommandContext(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-L", RootLabel, "-d", dir, partial, diskSize).CombinedOutput()
	if err != nil {
		return Image{}, fmt.Errorf("mke2fs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return image, os.Rename(partial, image.Disk)
}

// SystemdVersion is the version of the root's systemd, which its private library has in its name.
func (i Image) SystemdVersion() (int, error) {
	path, err := only(filepath.Join(i.Root, "usr/lib/*/systemd/libsystemd-shared-*.so"))
	if err != nil {
		return 0, err
	}
	name := strings.TrimSuffix(filepath.Base(path), ".so")
	return strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
}

func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s: want one file, found %d", pattern, len(found))
	}
	return found[0], nil
}

// Modules are the files of kernel modules in the order in which they have to be
// inserted; what the kernel has built in is left out.
func (i Image) Modules(names ...string) ([]string, error) {
	top, err := only(filepath.Join(i.Root, "usr/lib/modules/*/modules.dep"))
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(top)
	text, err := os.ReadFile(top)
	if err != nil {
		return nil, err
	}
	needs := map[string][]string{} // by file, relative to dir
	file := map[string]string{}    // by module
	for _, line := range strings.Split(string(text), "\n") {
		path, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		needs[path] = strings.Fields(rest)
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		file[strings.ReplaceAll(name, "-", "_")] = path
	}
	builtin, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	var order []string
	seen := map[string]bool{}
	var add func(path string)
	add = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		for _, need := range needs[path] {
			add(need)
		}
		order = append(order, filepath.Join(dir, path))
	}
	var missing []error
	for _, name := range names {
		switch path := file[name]; {
		case path != "":
			add(path)
		case !strings.Contains(string(builtin), "/"+name+".ko"):
			missing = append(missing, fmt.Errorf("module %s: not in %s", name, dir))
		}
	}
	return order, errors.Join(missing...)
}
