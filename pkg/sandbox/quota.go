package sandbox

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// Project numbers that are given to directories of services: the upper half, which administrators leave alone, as systemd does.
const (
	projectFirst = uint32(1) << 31
	projectCount = uint32(1)<<31 - 2
	projectTries = 64 // numbers tried when one is another's
)

// fsxattr is struct fsxattr of linux/fs.h.
type fsxattr struct {
	flags, extent, extents, project, cow uint32
	_                                    [8]byte
}

const (
	ioctlGetXattr  = 0x801c581f // FS_IOC_FSGETXATTR
	ioctlSetXattr  = 0x401c5820 // FS_IOC_FSSETXATTR
	projectInherit = 0x200
)

func (x *fsxattr) get(fd int) error { return xattrCall(fd, ioctlGetXattr, x) }
func (x *fsxattr) set(fd int) error { return xattrCall(fd, ioctlSetXattr, x) }

func xattrCall(fd int, request uintptr, x *fsxattr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(x))); errno != 0 {
		return errno
	}
	return nil
}

// dqblk is struct if_dqblk of linux/quota.h.
type dqblk struct {
	blockHard, blockSoft, space  uint64 // limits in units of 1024 bytes, what is used in bytes
	inodeHard, inodeSoft, inodes uint64
	blockTime, inodeTime         uint64
	valid                        uint32
	_                            uint32
}

const (
	quotaGet    = 0x800007
	quotaSet    = 0x800008
	quotaLimits = 1 | 4 // QIF_BLIMITS, QIF_ILIMITS
)

// call is quotactl_fd(2) about a project.
func (q *dqblk) call(fd int, command uint32, project uint32) error {
	const ofProjects = 2
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), uintptr(command<<8|ofProjects), uintptr(project), uintptr(unsafe.Pointer(q)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// limitDirectory counts what is in a directory of a service, and limits it (StateDirectoryQuota= and its like, systemd.exec(5)). Limits that a
// former configuration has left are lifted.
func limitDirectory(p *plan.Plan, d *plan.Directory, fd int, path string) error {
	wanted := d.QuotaSet || d.Accounting
	var x fsxattr
	if err := x.get(fd); err != nil {
		if !wanted {
			return nil
		}
		return withoutQuota(p, d, path, err)
	}
	ours := x.flags&projectInherit != 0 && x.project >= projectFirst
	if !wanted && !ours {
		return nil
	}
	if !ours {
		project, err := freeProject(fd, path)
		if err == nil {
			err = assign(fd, project, 0)
		}
		if err != nil {
			return withoutQuota(p, d, path, err)
		}
		x.project = project
	}
	limits, err := limitsOf(d, fd)
	if err == nil {
		err = limits.call(fd, quotaSet, x.project)
	}
	if err != nil {
		return withoutQuota(p, d, path, err)
	}
	return nil
}

// withoutQuota is for file systems that have no project quotas: a limit that can't be kept is a failure, a count that can't be made is told.
// DEVIATION: systemd 258 starts such a service without its quota. Here it fails by default and starts with DegradedPolicy=warn, as with everything that protects.
func withoutQuota(p *plan.Plan, d *plan.Directory, path string, err error) error {
	if err != unix.ENOTTY && err != unix.EOPNOTSUPP && err != unix.ESRCH && err != unix.ENOSYS && err != unix.EINVAL && err != unix.EPERM {
		return err
	}
	if !d.QuotaSet && !d.Accounting {
		return nil // nothing to lift either
	}
	f := failed(0, d.Kind.Setting()+"Quota", path, fmt.Errorf("the file system has no project quotas: %w", err))
	if !d.QuotaSet || !d.FailDegraded {
		tell(p, f)
		return nil
	}
	return errors.New(f.Message)
}

// freeProject finds a number for a path that no other directory has.
func freeProject(fd int, path string) (uint32, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(path))
	for i := range uint32(projectTries) {
		project := projectFirst + (h.Sum32()+i)%projectCount
		var q dqblk
		err := q.call(fd, quotaGet, project)
		if err == unix.ENOENT || err == nil && q.inodes == 0 && q.space == 0 {
			return project, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, unix.EEXIST
}

// assign gives a project's number to a directory and all that is in it, on the same file system.
func assign(fd int, project uint32, depth int) error {
	if depth > maxDepth {
		return unix.ELOOP
	}
	var x fsxattr
	if err := x.get(fd); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	x.project = project
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		x.flags |= projectInherit
	}
	if err := x.set(fd); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	names, err := readDirFD(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		var entry unix.Stat_t
		err := unix.Fstatat(fd, name, &entry, unix.AT_SYMLINK_NOFOLLOW)
		if kind := entry.Mode & unix.S_IFMT; err != nil || entry.Dev != st.Dev || kind != unix.S_IFREG && kind != unix.S_IFDIR {
			continue // the rest holds no data
		}
		sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT || err == unix.ELOOP {
			continue
		}
		if err != nil {
			return err
		}
		err = assign(sub, project, depth+1)
		unix.Close(sub)
		if err != nil {
			return err
		}
	}
	return nil
}

// limitsOf computes the limits; zero is none. A share is one of all blocks and all inodes of the file system.
func limitsOf(d *plan.Directory, fd int) (dqblk, error) {
	const unit = 1024
	q := dqblk{valid: quotaLimits}
	if !d.QuotaSet {
		return q, nil
	}
	q.blockHard = max(d.QuotaBytes/unit, 1)
	if d.QuotaScale != 0 {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(fd, &fs); err != nil {
			return q, err
		}
		q.blockHard = max(share(fs.Blocks, d.QuotaScale)*uint64(max(fs.Bsize, 0))/unit, 1)
		if fs.Files > 0 {
			q.inodeHard = max(share(fs.Files, d.QuotaScale), 1)
		}
	}
	q.blockSoft, q.inodeSoft = q.blockHard, q.inodeHard
	return q, nil
}

// share is the part of n that scale is of 2^32-1.
func share(n uint64, scale uint32) uint64 {
	high, low := bits.Mul64(n, uint64(scale))
	part, _ := bits.Div64(high, low, 1<<32-1)
	return part
}
