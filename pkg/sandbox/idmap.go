package sandbox

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/spawn"
)

// nobody owns on disk what is mapped to the user of a DynamicUser= service when it is mounted (systemd.exec(5), RuntimeDirectory=). Whoever
// gets that number next has no files of the one before.
const nobody = 65534

// errNoMap: the kernel or this file system has no mounts with other owners, or we may not make them.
var errNoMap = errors.New("no id-mapped mounts")

// idMap is the user namespace whose maps turn nobody into the service's user; made when it is first needed.
type idMap struct {
	fd  int // 0: not made yet
	err error
}

// namespace gives a descriptor of it.
func (m *idMap) namespace(id *plan.Identity) (int, error) {
	if m.fd == 0 && m.err == nil {
		m.fd, m.err = mapNamespace(id)
	}
	return m.fd, m.err
}

// apply makes the owners of a detached tree mapped ones. What a service writes for itself isn't there to be executed, nor to be a device.
func (m *idMap) apply(tree int, id *plan.Identity, mayExecute bool) error {
	ns, err := m.namespace(id)
	if err != nil {
		return errNoMap
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Userns_fd: uint64(ns)}
	if !mayExecute {
		attr.Attr_set |= unix.MOUNT_ATTR_NOEXEC
	}
	if unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr) != nil {
		return errNoMap
	}
	return nil
}

// possible says whether the directory's file system can do it.
func (m *idMap) possible(dir int, id *plan.Identity) bool {
	tree, err := cloneTree(dir, "", true)
	if err != nil {
		return false
	}
	defer unix.Close(tree)
	return m.apply(tree, id, true) == nil
}

// mapNamespace makes a user namespace that nobody lives in. Only a process of it can name it, so one is born there and waits.
func mapNamespace(id *plan.Identity) (int, error) {
	var hold [2]int
	if err := unix.Pipe2(hold[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	var l kernel.OpList
	buf := l.Bytes(make([]byte, 8))
	l.Close(kernel.FD(hold[1]))
	l.Syscall(kernel.OpOther, plan.ExitUser, unix.SYS_READ, kernel.FD(hold[0]), buf, kernel.Value(1))
	l.Exit(0)
	child, err := kernel.Spawn(&l, kernel.SpawnOptions{Flags: unix.CLONE_NEWUSER})
	unix.Close(hold[0])
	if err != nil {
		unix.Close(hold[1])
		return -1, err
	}
	fd, err := writeMaps(child.PidFD, id)
	unix.Close(hold[1])
	_, waitErr := rawWait(child.Pid)
	child.Release()
	unix.Close(child.PidFD)
	if err == nil {
		err = waitErr
	}
	return fd, err
}

func writeMaps(pidFD int, id *plan.Identity) (int, error) {
	proc, err := procOf(pidFD)
	if err != nil {
		return -1, err
	}
	// Root stays root: what the administrator put there is no service's.
	for _, m := range []struct {
		file string
		id   uint32
	}{{"/uid_map", id.UID}, {"/gid_map", id.GID}} {
		if err := writeFile(proc+m.file, fmt.Sprintf("0 0 1\n%d %d 1\n", nobody, m.id)); err != nil {
			return -1, err
		}
	}
	return unix.Open(proc+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// procOf is the directory of a process in /proc, which may be that of a pid namespace above ours.
func procOf(pidFD int) (string, error) {
	text, err := readFile("/proc/self/fdinfo/"+strconv.Itoa(pidFD), maxFDInfo)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if pid, ok := strings.CutPrefix(line, "Pid:\t"); ok {
			return "/proc/" + strings.TrimSpace(pid), nil
		}
	}
	return "", unix.ESRCH
}

const maxFDInfo = 4096

// mappedOwner says whether a directory of a DynamicUser= service is to be nobody's on disk. One that already belongs to a number out of the
// dynamic range was made without maps and is left so.
func (r *run) mappedOwner(dir int, st *unix.Stat_t, existed bool) bool {
	id := r.p.Identity
	switch {
	case r.p.UserMode || id == nil || id.UID == nobody:
		return false
	case st.Uid == nobody:
		return true // whether it can still be mapped is seen when it is mounted
	case existed && (st.Uid == id.UID || spawn.IsDynamicUID(st.Uid)):
		return false
	}
	return r.idMap.possible(dir, id)
}

// mapSource maps the tree of a private directory that is nobody's. Where that can't be done any more the directory becomes the service's.
func (v *view) mapSource(e *entry) error {
	var st unix.Stat_t
	if err := unix.Fstat(e.tree, &st); err != nil {
		return err
	}
	id := v.identity
	if id == nil || st.Uid != nobody || id.UID == nobody {
		return setAttr(e.tree, "", unix.MOUNT_ATTR_NOSUID, 0, true)
	}
	mayExecute := false
	for i := range v.entries {
		mayExecute = mayExecute || v.entries[i].kind == exec && within(e.path, v.entries[i].path)
	}
	if v.idMap.apply(e.tree, id, mayExecute) == nil {
		return nil
	}
	dir, err := unix.Open(e.source, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := chownTree(dir, id.UID, id.GID, 0); err != nil {
		return err
	}
	if err := unix.Fchmod(dir, st.Mode&0o7777); err != nil {
		return err
	}
	return setAttr(e.tree, "", unix.MOUNT_ATTR_NOSUID, 0, true)
}
