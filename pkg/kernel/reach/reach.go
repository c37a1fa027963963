// Package reach lets a thread that must not hang look at files that somebody else may answer for: a server of NFS, a FUSE daemon.
//
// Invariants:
//  1. What lies on a local file system and is in the kernel's cache is looked at in place, for two system calls more. That nobody else is asked is
//     known beforehand: openat2(2) with RESOLVE_CACHED looks names up without waiting, statx(2) with AT_STATX_DONT_SYNC asks no server.
//  2. All else is done by a goroutine of its own. The caller waits for a bounded time, then gets [ErrHangs] and goes on.
//  3. While one look hangs, others below the same mount point fail at once, and no more than hangingMax goroutines are held up at a time. So the
//     caller is not stopped again and again by the same dead server.
//
// It is for the few files that the loop of PID 1 needs before it can go on (unit files). What can wait belongs on the manager's workers.
package reach

import (
	"errors"
	"fmt"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
)

// ErrHangs says that a file system gave no answer in time.
var ErrHangs = errors.New("the file system does not answer")

const (
	// remoteLimit is for file systems that others answer for: an answer that takes longer is no use to whoever waits for the manager.
	remoteLimit = 1500 * time.Millisecond
	// localLimit is for disks, which may have to spin up.
	localLimit = 10 * time.Second
	// hangingMax bounds the goroutines (and so the threads) that are held up.
	hangingMax = 8
	// knownMax bounds what is remembered about mounts.
	knownMax = 256
	// knownFor is how long that is believed: kernels before 6.8 give the id of a mount that is gone to another one.
	knownFor = 10 * time.Second
)

// localTypes are the file systems that nobody else answers for, statfs(2).
var localTypes = map[uint32]bool{
	unix.EXT4_SUPER_MAGIC: true, unix.TMPFS_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.SQUASHFS_MAGIC: true, unix.EROFS_SUPER_MAGIC_V1: true, unix.RAMFS_MAGIC: true, unix.F2FS_SUPER_MAGIC: true, unix.PROC_SUPER_MAGIC: true,
	unix.SYSFS_MAGIC: true, unix.CGROUP2_SUPER_MAGIC: true, unix.MSDOS_SUPER_MAGIC: true, unix.ISOFS_SUPER_MAGIC: true, unix.REISERFS_SUPER_MAGIC: true,
	0xca451a4e: true /* bcachefs */, 0x2fc12fc1: true, /* zfs */
}

// remoteTypes are those in the mount table that somebody else answers for; a subtype is behind a dot.
var remoteTypes = map[string]bool{
	"fuse": true, "fuseblk": true, "virtiofs": true, "nfs": true, "nfs4": true, "cifs": true, "smb3": true, "9p": true, "ceph": true, "afs": true, "coda": true,
	"lustre": true, "ocfs2": true, "gfs2": true, "glusterfs": true, "autofs": true, "orangefs": true,
}

// resolveCached is RESOLVE_CACHED of openat2(2).
const resolveCached = 0x20

// mountBits ask for the id of the mount, of which one that is never used again where the kernel has it.
const mountBits = unix.STATX_MNT_ID | unix.STATX_MNT_ID_UNIQUE

var state struct {
	sync.Mutex
	local   map[uint64]bool
	since   time.Time
	hanging []*look
}

// look is one that is under way or hangs.
type look struct {
	path  string // or another name
	point string // the mount point above it, once it hangs
}

// Do calls work, which looks at path and what is in it. When work hangs, Do returns ErrHangs and work goes on by itself: what it writes must not be
// read then. The path is absolute.
func Do(path string, work func()) error {
	if InPlace(path) {
		work()
		return nil
	}
	l := &look{path: path}
	if err := l.admit(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go l.run(func() { learn(path); work() }, done)
	point, remote := path, true
	err := await(done, remoteLimit)
	if errors.Is(err, ErrHangs) {
		if point, remote = mountOf(path); !remote {
			err = await(done, localLimit-remoteLimit)
		}
	}
	return l.result(point, err)
}

// Apart calls work, which looks at many files, always in a goroutine. When it hangs, Apart of the same name fails at once until it ends.
func Apart(name string, work func()) error {
	l := &look{path: name}
	if err := l.admit(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go l.run(work, done)
	return l.result(name, await(done, remoteLimit))
}

// await gives what came of a look, or ErrHangs.
func await(done <-chan error, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return ErrHangs
	}
}

// result notes that the look hangs, if it does.
func (l *look) result(point string, err error) error {
	if !errors.Is(err, ErrHangs) {
		return err
	}
	state.Lock()
	l.point = point
	state.Unlock()
	return fmt.Errorf("%s: %w", l.path, ErrHangs)
}

// InPlace tells whether a look at path and what is in it needs nobody's answer.
func InPlace(path string) bool { return inPlace(unix.AT_FDCWD, path) }

// inPlace tells whether a look at path needs nobody's answer.
func inPlace(dir int, path string) bool {
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolveCached})
	if err != nil {
		// That there is nothing is in the cache too.
		return err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|mountBits, &st) != nil {
		return false
	}
	return known(st.Mnt_id)
}

func known(id uint64) bool {
	state.Lock()
	defer state.Unlock()
	if time.Since(state.since) > knownFor {
		state.local, state.since = nil, time.Now()
	}
	return state.local[id]
}

// learn notes whether the file system that path leads to is a local one. It may hang as well.
func learn(path string) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	var st unix.Statx_t
	if unix.Fstatfs(fd, &fs) != nil || !localTypes[uint32(fs.Type)] || unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_TYPE|mountBits, &st) != nil {
		return
	}
	state.Lock()
	defer state.Unlock()
	if state.local == nil || len(state.local) >= knownMax {
		state.local = map[uint64]bool{}
	}
	state.local[st.Mnt_id] = true
}

// Stat is fstatat(2) of name in the open directory dir, whose path together is path; of what loaders ask: type and permissions, size, inode, device and
// times. dir may be AT_FDCWD, name is absolute then.
func Stat(dir int, name, path string, flags int, st *unix.Stat_t) error {
	if flags&unix.AT_SYMLINK_NOFOLLOW != 0 && dir != unix.AT_FDCWD {
		// The name was just listed; only what is mounted there could hang.
		var x unix.Statx_t
		if unix.Statx(dir, name, flags|unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS|mountBits, &x) == nil && known(x.Mnt_id) {
			*st = unix.Stat_t{
				Dev: unix.Mkdev(x.Dev_major, x.Dev_minor), Ino: x.Ino, Mode: uint32(x.Mode), Uid: x.Uid, Gid: x.Gid, Size: int64(x.Size),
				Mtim: unix.NsecToTimespec(x.Mtime.Sec*1e9 + int64(x.Mtime.Nsec)), Ctim: unix.NsecToTimespec(x.Ctime.Sec*1e9 + int64(x.Ctime.Nsec)),
			}
			return nil
		}
	} else if inPlace(dir, name) {
		return unix.Fstatat(dir, name, st, flags)
	}
	var found unix.Stat_t
	var failure error
	if err := Do(path, func() { failure = unix.Fstatat(unix.AT_FDCWD, path, &found, flags) }); err != nil {
		return err
	}
	*st = found
	return failure
}

// admit counts the look in; it is refused where others hang already.
func (l *look) admit() error {
	state.Lock()
	defer state.Unlock()
	for _, other := range state.hanging {
		if other.point != "" && below(l.path, other.point) {
			return fmt.Errorf("%s: %w, as %s before", l.path, ErrHangs, other.path)
		}
	}
	if len(state.hanging) >= hangingMax {
		return fmt.Errorf("%s: %w: too many others hang", l.path, ErrHangs)
	}
	state.hanging = append(state.hanging, l)
	return nil
}

func (l *look) run(work func(), done chan<- error) {
	defer func() {
		var err error
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v\n%s", l.path, r, debug.Stack())
		}
		state.Lock()
		for i, other := range state.hanging {
			if other == l {
				state.hanging = append(state.hanging[:i], state.hanging[i+1:]...)
				break
			}
		}
		state.Unlock()
		done <- err
	}()
	work()
}

func below(name, point string) bool {
	return name == point || point == "/" || strings.HasPrefix(name, point+"/")
}

// mountOf finds the mount point above a path by its name, and whether somebody else answers for it.
func mountOf(name string) (point string, remote bool) {
	table, err := kernel.OpenMountTable()
	if err != nil {
		return name, false
	}
	defer table.Close()
	list, err := table.Read()
	if err != nil {
		return name, false
	}
	name, point = path.Clean(name), ""
	for _, m := range list {
		if below(name, m.Point) && len(m.Point) >= len(point) {
			kind, _, _ := strings.Cut(m.Type, ".")
			point, remote = m.Point, remoteTypes[kind]
		}
	}
	if !remote {
		point = name // others on the same disk are not to blame
	}
	return point, remote
}
