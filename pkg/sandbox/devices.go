package sandbox

import "golang.org/x/sys/unix"

// device nodes of PrivateDevices=: pseudo devices, no hardware.
var deviceNodes = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var deviceLinks = [][2]string{
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	{"core", "/proc/kcore"}, {"ptmx", "pts/ptmx"}, {"log", "/run/systemd/journal/dev-log"},
}

// deviceTrees are mounts of the host's /dev that stay.
var deviceTrees = []string{"pts", "shm", "mqueue", "hugepages"}

// mountDevices puts a /dev with pseudo devices only at target.
func mountDevices(target string) error {
	const attrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_STRICTATIME
	dev, err := newFS("tmpfs", attrs, "mode=0755", "size=4m", "nr_inodes=64k")
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	type mounted struct {
		name string
		tree int
	}
	var trees []mounted
	for _, n := range deviceNodes {
		err := unix.Mknodat(dev, n.name, unix.S_IFCHR|0o666, int(unix.Mkdev(n.major, n.minor)))
		if err == nil {
			err = unix.Fchmodat(dev, n.name, 0o666, 0)
		}
		if err == nil {
			continue
		}
		// Where nodes can't be made, in containers, the host's are mounted.
		tree, err := cloneTree(unix.AT_FDCWD, "/dev/"+n.name, false)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return err
		}
		if err := unix.Mknodat(dev, n.name, unix.S_IFREG|0o666, 0); err != nil && err != unix.EEXIST {
			return err
		}
		trees = append(trees, mounted{n.name, tree})
	}
	for _, l := range deviceLinks {
		if err := unix.Symlinkat(l[1], dev, l[0]); err != nil {
			return err
		}
	}
	for _, name := range deviceTrees {
		tree, err := cloneTree(unix.AT_FDCWD, "/dev/"+name, true)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return err
		}
		if err := unix.Mkdirat(dev, name, 0o755); err != nil {
			return err
		}
		trees = append(trees, mounted{name, tree})
	}
	if err := attach(dev, target); err != nil {
		return err
	}
	for _, m := range trees {
		err := attach(m.tree, target+"/"+m.name)
		unix.Close(m.tree)
		if err != nil {
			return err
		}
	}
	return setAttr(unix.AT_FDCWD, target, unix.MOUNT_ATTR_RDONLY, 0, false)
}
