package spawn

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sysvKinds are the files of /proc/sysvipc, the column of the owner's uid in
// each, and the call that removes one by its id.
var sysvKinds = []struct {
	name   string
	column int
	remove func(id uintptr) unix.Errno
}{
	{"shm", 7, func(id uintptr) unix.Errno {
		_, _, e := unix.Syscall(unix.SYS_SHMCTL, id, unix.IPC_RMID, 0)
		return e
	}},
	{"sem", 4, func(id uintptr) unix.Errno {
		_, _, e := unix.Syscall6(unix.SYS_SEMCTL, id, 0, unix.IPC_RMID, 0, 0, 0)
		return e
	}},
	{"msg", 7, func(id uintptr) unix.Errno {
		_, _, e := unix.Syscall(unix.SYS_MSGCTL, id, unix.IPC_RMID, 0)
		return e
	}},
}

// RemoveIPC removes System V and POSIX IPC objects of a user. Root's and those
// of nobody are left alone. Not for the manager's loop.
func RemoveIPC(uid uint32) error {
	if uid == 0 {
		return nil
	}
	var errs []error
	for _, k := range sysvKinds {
		text, err := os.ReadFile("/proc/sysvipc/" + k.name)
		if err != nil {
			continue // a kernel without
		}
		lines := strings.Split(string(text), "\n")
		for _, line := range lines[1:] {
			f := strings.Fields(line)
			if len(f) <= k.column || f[k.column] != strconv.FormatUint(uint64(uid), 10) {
				continue
			}
			id, err := strconv.ParseUint(f[1], 10, 32)
			if err != nil {
				continue
			}
			if e := k.remove(uintptr(id)); e != 0 && e != unix.EINVAL && e != unix.EIDRM {
				errs = append(errs, fmt.Errorf("%s %d: %w", k.name, id, e))
			}
		}
	}
	for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
		errs = append(errs, removeOwned(dir, uid, 0))
	}
	return errors.Join(errs...)
}

// removeOwned removes the files of a user below dir, and directories of that
// user that are empty then.
func removeOwned(dir string, uid uint32, depth int) error {
	const deepest = 16
	entries, err := os.ReadDir(dir)
	if err != nil || depth > deepest {
		return nil
	}
	var errs []error
	for _, e := range entries {
		path := dir + "/" + e.Name()
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Uid != uid {
			continue
		}
		if e.IsDir() {
			errs = append(errs, removeOwned(path, uid, depth+1))
			err = unix.Rmdir(path)
		} else {
			err = unix.Unlink(path)
		}
		if err != nil && err != unix.ENOENT && err != unix.ENOTEMPTY {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}
