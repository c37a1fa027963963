package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The extended attributes that systemd sets on groups of units.
const (
	XattrDelegate       = "trusted.delegate"      // "1" on delegated groups
	XattrUserDelegate   = "user.delegate"         // the same for unprivileged readers
	XattrInvocationID   = "trusted.invocation_id" // 32 hex digits
	XattrUserInvocation = "user.invocation_id"
	XattrSurviveFinal   = "user.survive_final_kill_signal"
	XattrLogFilters     = "user.journald_log_filter_patterns"
	XattrOOMPreference  = "user.oomd_avoid"
	XattrOOMOmit        = "user.oomd_omit"
	XattrCoredump       = "user.coredump_receive"
	xattrValueMax       = 4096
	migrateRounds       = 16
)

// delegated are the files whose owner may manage the group, with whether the
// kernel must have them; see /sys/kernel/cgroup/delegate.
var delegated = []struct {
	file     string
	required bool
}{
	{"cgroup.procs", true},
	{"cgroup.subtree_control", true},
	{"cgroup.threads", false},
	{"memory.oom.group", false},
	{"memory.reclaim", false},
}

// Delegate makes uid and gid the owner of a group (Delegate= with User=): they
// may make groups below it and move their processes around. Files of other
// attributes stay ours.
func (t *Tree) Delegate(path string, uid, gid uint32) error {
	path = clean(path)
	if err := unix.Fchownat(t.rootFD, orDot(path), int(uid), int(gid), 0); err != nil {
		return fmt.Errorf("cgroup %s: chown: %w", t.Absolute(path), err)
	}
	for _, f := range delegated {
		err := unix.Fchownat(t.rootFD, join(path, f.file), int(uid), int(gid), 0)
		if err != nil && (f.required || !errors.Is(err, unix.ENOENT)) {
			return fmt.Errorf("cgroup %s: %s: chown: %w", t.Absolute(path), f.file, err)
		}
	}
	return nil
}

// Own makes uid and gid the owner of one attribute file.
func (t *Tree) Own(path, file string, uid, gid uint32) error {
	path = clean(path)
	if err := unix.Fchownat(t.rootFD, join(path, file), int(uid), int(gid), 0); err != nil {
		return fmt.Errorf("cgroup %s: %s: chown: %w", t.Absolute(path), file, err)
	}
	return nil
}

// SetXattr sets an extended attribute of the directory; "" removes it.
// EOPNOTSUPP or EPERM where the kernel or our rights don't allow it.
func (t *Tree) SetXattr(path, name, value string) error {
	fd, done, err := t.lend(path)
	if err == nil {
		if value == "" {
			err = unix.Fremovexattr(fd, name)
			if errors.Is(err, unix.ENODATA) {
				err = nil
			}
		} else {
			err = unix.Fsetxattr(fd, name, []byte(value), 0)
		}
		done()
	}
	if err != nil {
		return fmt.Errorf("cgroup %s: %s: %w", t.Absolute(path), name, err)
	}
	return nil
}

// Xattr reads an extended attribute; ENODATA if it is not set.
func (t *Tree) Xattr(path, name string) (string, error) {
	var b [xattrValueMax]byte
	n := 0
	fd, done, err := t.lend(path)
	if err == nil {
		n, err = unix.Fgetxattr(fd, name, b[:])
		done()
	}
	if err != nil {
		return "", fmt.Errorf("cgroup %s: %s: %w", t.Absolute(path), name, err)
	}
	return string(b[:n]), nil
}

// lend gives a descriptor of a directory, realized or not, until done is called.
func (t *Tree) lend(path string) (fd int, done func(), err error) {
	if path = clean(path); t.groups[path] != nil {
		fd, err = t.DirFD(path)
		return fd, func() {}, err
	}
	fd, err = unix.Openat(t.rootFD, orDot(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return fd, func() { _ = unix.Close(fd) }, err
}

func (t *Tree) xattrNumber(path, name string) uint64 {
	text, err := t.Xattr(path, name)
	if err != nil {
		return Infinity
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return Infinity
	}
	return n
}

// Migrate moves every process directly in one group to another, as often as new
// ones turn up, but not for ever. Kernel threads and processes that are just
// ending are passed over.
func (t *Tree) Migrate(from, to string) error {
	var last error
	for range migrateRounds {
		pids, err := t.Procs(from)
		if err != nil {
			return err
		}
		moved := 0
		for _, pid := range pids {
			err := t.AttachPid(to, pid)
			switch {
			case err == nil:
				moved++
			case !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EINVAL):
				last = err
			}
		}
		if moved == 0 {
			return last
		}
	}
	return last
}
