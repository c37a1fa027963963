package image

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Tree is a detached mount and where in the image's hierarchy it belongs. Path is "/" for the root, which comes first if there is one.
type Tree struct {
	Path string
	FD   int
}

// places of the partitions. pkg/sandbox knows a second one for esp.
var places = map[string]string{
	"root": "/", "usr": "/usr", "home": "/home", "srv": "/srv", "esp": "/efi", "xbootldr": "/boot", "tmp": "/var/tmp", "var": "/var",
}

// Mount mounts the parts of the image. On an error nothing of it is left.
//
// DEVIATION: file systems are not checked before: fsck is another program, and the journal of a file system is replayed by the kernel. A partition is a
// loop device with an offset rather than one that the kernel found in the table.
func (i *Image) Mount() ([]Tree, error) {
	var trees []Tree
	for n := range i.parts {
		p := &i.parts[n]
		fd, err := i.mountPart(p)
		if err != nil {
			CloseTrees(trees)
			return nil, fmt.Errorf("partition %s: %w", p.use, err)
		}
		trees = append(trees, Tree{places[p.use], fd})
	}
	return trees, nil
}

// CloseTrees gives up mounts that were not attached.
func CloseTrees(trees []Tree) {
	for _, t := range trees {
		unix.Close(t.FD)
	}
}

func (i *Image) mountPart(p *part) (int, error) {
	o := defaultOptions()
	if p.use == "esp" || p.use == "xbootldr" {
		o.add("nosuid,noexec,umask=0077")
	}
	for _, given := range i.req.Options {
		if given.Partition == p.use {
			o.add(given.Options)
		}
	}
	readOnly := i.readOnly || p.readOnly || p.verity != nil || o.attrs&unix.MOUNT_ATTR_RDONLY != 0 || p.fstype == "squashfs" || p.fstype == "erofs"
	device, path, err := attachLoop(i.fd, p.area, readOnly, i.block)
	if err != nil {
		return -1, err
	}
	defer unix.Close(device)
	if p.verity != nil {
		hashes, hashPath, err := attachLoop(p.verity.fd, p.verity.hashes, true, i.block)
		if err != nil {
			return -1, err
		}
		defer unix.Close(hashes)
		var stop func()
		path, stop, err = p.verity.activate(path, hashPath, "muster-verity-"+strings.TrimPrefix(path, "/dev/"))
		if err != nil {
			return -1, err
		}
		defer stop()
		if p.fstype, err = probePath(path); err != nil {
			return -1, fmt.Errorf("verity: %w", err)
		}
		if !isMountable(p.fstype) {
			return -1, fmt.Errorf("file systems of type %q aren't mounted from images", p.fstype)
		}
	}
	if readOnly {
		o.attrs |= unix.MOUNT_ATTR_RDONLY
	}
	tree, err := mountFS(p.fstype, path, o)
	if err != nil && readOnly && (p.fstype == "ext4" || p.fstype == "xfs") {
		// It was in use and has a journal, which can't be replayed on a device that is read-only.
		o.data = append(o.data, "norecovery")
		tree, err = mountFS(p.fstype, path, o)
	}
	if err == nil && p.grow && i.req.Grow && !readOnly {
		err = grow(tree, p)
		if err != nil {
			unix.Close(tree)
			return -1, err
		}
	}
	return tree, err
}

// probePath looks again through the eyes of the verity device: what the hashes don't confirm can't be read.
func probePath(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	whole, err := sizeOf(fd)
	if err != nil {
		return "", err
	}
	return probe(fd, whole)
}

// grow makes an ext4 file system as large as its partition.
func grow(tree int, p *part) error {
	if p.fstype != "ext4" {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(tree, &fs); err != nil {
		return err
	}
	if fs.Bsize <= 0 {
		return nil
	}
	return growExt4(tree, uint64(p.size)/uint64(fs.Bsize))
}

// options are those of one mount.
type options struct {
	attrs int
	data  []string // of the file system
}

// defaultOptions: an image brings no devices, as with systemd.
func defaultOptions() *options { return &options{attrs: unix.MOUNT_ATTR_NODEV} }

// flags are the options that belong to the mount, not to the file system.
var flags = map[string]struct{ set, clear int }{
	"ro": {unix.MOUNT_ATTR_RDONLY, 0}, "rw": {0, unix.MOUNT_ATTR_RDONLY},
	"nosuid": {unix.MOUNT_ATTR_NOSUID, 0}, "suid": {0, unix.MOUNT_ATTR_NOSUID},
	"nodev": {unix.MOUNT_ATTR_NODEV, 0}, "dev": {0, unix.MOUNT_ATTR_NODEV},
	"noexec": {unix.MOUNT_ATTR_NOEXEC, 0}, "exec": {0, unix.MOUNT_ATTR_NOEXEC},
	"noatime":     {unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME},
	"strictatime": {unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR_NOATIME},
	"relatime":    {0, unix.MOUNT_ATTR_STRICTATIME | unix.MOUNT_ATTR_NOATIME},
	"nodiratime":  {unix.MOUNT_ATTR_NODIRATIME, 0}, "diratime": {0, unix.MOUNT_ATTR_NODIRATIME},
	"nosymfollow": {unix.MOUNT_ATTR_NOSYMFOLLOW, 0}, "symfollow": {0, unix.MOUNT_ATTR_NOSYMFOLLOW},
	"defaults": {}, "loop": {}, "auto": {}, "noauto": {}, "nofail": {},
}

func (o *options) add(text string) {
	for word := range strings.SplitSeq(text, ",") {
		if word == "" || strings.HasPrefix(word, "x-") {
			continue
		}
		f, known := flags[word]
		if !known {
			o.data = append(o.data, word)
			continue
		}
		o.attrs = o.attrs&^f.clear | f.set
	}
}

// mountFS makes a detached mount of a device. What the file system says about a failure is part of the error.
func mountFS(fstype, source string, o *options) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", fstype, err)
	}
	defer unix.Close(fs)
	err = unix.FsconfigSetString(fs, "source", source)
	if err == nil && o.attrs&unix.MOUNT_ATTR_RDONLY != 0 {
		err = unix.FsconfigSetFlag(fs, "ro")
	}
	for _, word := range o.data {
		if err != nil {
			break
		}
		if name, text, ok := strings.Cut(word, "="); ok {
			err = unix.FsconfigSetString(fs, name, text)
		} else {
			err = unix.FsconfigSetFlag(fs, word)
		}
		if err != nil {
			err = fmt.Errorf("option %s: %w", word, err)
		}
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	if err != nil {
		return -1, fmt.Errorf("%s%s: %w", fstype, said(fs), err)
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, o.attrs)
}

// said reads what the kernel logged for a file system's user.
func said(fs int) string {
	var buf [256]byte
	n, err := unix.Read(fs, buf[:])
	if err != nil || n < 2 {
		return ""
	}
	return ": " + strings.TrimSpace(strings.TrimPrefix(string(buf[:n]), "e "))
}
