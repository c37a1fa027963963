package learn

import (
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Observation is what a service did.
type Observation struct {
	For   time.Duration
	Calls map[string]uint64 // system calls and how often they were made

	Families     map[uint32]bool // of sockets that were made
	Namespaces   uint64          // CLONE_NEW… flags
	WriteExecute []string        // calls that asked for memory which is written and executed
	Realtime     bool            // a real-time policy was asked for
	SetID        bool            // a set-user-ID or set-group-ID bit was set
	Persona      bool            // the personality was changed
	Caps         map[int][]string
	Paths        map[access]bool
	Programs     map[string]bool // executed
	SetIDProgram string          // one of them that changes its user

	Lost, Unknown  uint64 // events there was no room for; calls without a name
	Blind          int    // relative paths that could not be completed
	Full           bool
	NoCapabilities error // why capabilities were not seen
}

func newObservation(d time.Duration) *Observation {
	return &Observation{For: d, Calls: map[string]uint64{}, Families: map[uint32]bool{}, Caps: map[int][]string{}, Paths: map[access]bool{}, Programs: map[string]bool{}}
}

// namespaceFlags are those that RestrictNamespaces= is about.
const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

const (
	protWrite, protExec = 2, 4
	shmExec             = 0o100000
	setIDBits           = 0o6000
	askPersona          = 0xffffffff
)

// rows are the calls whose arguments are noted.
func rows() map[string]row {
	m := map[string]row{}
	for name, r := range map[string]row{
		"socket": {Arg: 1, Mask: 0xffff}, "socketpair": {Arg: 1, Mask: 0xffff},
		"unshare": {Arg: 1, Mask: namespaceFlags}, "setns": {Arg: 2, Mask: namespaceFlags},
		"clone": {Arg: 1, Mask: namespaceFlags}, "clone3": {Arg: 1, Deref: 1, Mask: namespaceFlags},
		"mmap": {Arg: 3, Mask: protWrite | protExec}, "mprotect": {Arg: 3, Mask: protExec}, "pkey_mprotect": {Arg: 3, Mask: protExec},
		"shmat": {Arg: 3, Mask: shmExec}, "personality": {Arg: 1, Mask: askPersona}, "sched_setscheduler": {Arg: 2, Mask: 0xff},
		"fchmod": {Arg: 2, Mask: setIDBits}, "openat2": {Arg: 3, Deref: 1},
	} {
		m[name] = r
	}
	for name, p := range pathCalls {
		r := m[name]
		r.Path = uint32(p.path)
		if p.address {
			r.Raw = 1
		}
		if p.mode > 0 {
			r.Arg, r.Mask = uint32(p.mode), setIDBits
		}
		m[name] = r
	}
	return m
}

// pathCall says where a call has a path: the arguments, counted from one, 0 for none.
type pathCall struct {
	path, dir, flags, mode int
	write, address         bool
}

var pathCalls = map[string]pathCall{
	"open": {path: 1, flags: 2}, "openat": {path: 2, dir: 1, flags: 3}, "openat2": {path: 2, dir: 1}, "creat": {path: 1, write: true},
	"mkdir": {path: 1, write: true}, "mkdirat": {path: 2, dir: 1, write: true}, "rmdir": {path: 1, write: true},
	"mknod": {path: 1, write: true}, "mknodat": {path: 2, dir: 1, write: true},
	"unlink": {path: 1, write: true}, "unlinkat": {path: 2, dir: 1, write: true},
	"rename": {path: 2, write: true}, "renameat": {path: 4, dir: 3, write: true}, "renameat2": {path: 4, dir: 3, write: true},
	"link": {path: 2, write: true}, "linkat": {path: 4, dir: 3, write: true}, "symlink": {path: 2, write: true}, "symlinkat": {path: 3, dir: 2, write: true},
	"truncate": {path: 1, write: true}, "chmod": {path: 1, mode: 2, write: true}, "fchmodat": {path: 2, dir: 1, mode: 3, write: true},
	"fchmodat2": {path: 2, dir: 1, mode: 3, write: true}, "chown": {path: 1, write: true}, "lchown": {path: 1, write: true},
	"fchownat": {path: 2, dir: 1, write: true}, "utimensat": {path: 2, dir: 1, write: true}, "utimes": {path: 1, write: true}, "utime": {path: 1, write: true},
	"setxattr": {path: 1, write: true}, "lsetxattr": {path: 1, write: true}, "removexattr": {path: 1, write: true},
	"execve": {path: 1}, "execveat": {path: 2, dir: 1}, "chdir": {path: 1}, "access": {path: 1}, "faccessat": {path: 2, dir: 1}, "faccessat2": {path: 2, dir: 1},
	"stat": {path: 1}, "lstat": {path: 1}, "newfstatat": {path: 2, dir: 1}, "statx": {path: 2, dir: 1}, "readlink": {path: 1}, "readlinkat": {path: 2, dir: 1},
	"bind": {path: 2, write: true, address: true},
}

// call takes one counter.
func (o *Observation) call(name string, arg uint32, count uint64) {
	o.Calls[name] += count
	switch name {
	case "socket", "socketpair":
		o.Families[arg] = true
	case "unshare", "setns", "clone", "clone3":
		o.Namespaces |= uint64(arg) & namespaceFlags
	case "mmap":
		if arg&protWrite != 0 && arg&protExec != 0 {
			o.WriteExecute = append(o.WriteExecute, name)
		}
	case "mprotect", "pkey_mprotect", "shmat":
		if arg != 0 {
			o.WriteExecute = append(o.WriteExecute, name)
		}
	case "personality":
		o.Persona = o.Persona || arg != askPersona
	case "sched_setscheduler":
		const resetOnFork = 0x40
		policy := arg &^ resetOnFork
		o.Realtime = o.Realtime || policy == 1 || policy == 2 || policy == 6
	case "fchmod", "chmod", "fchmodat", "fchmodat2":
		o.SetID = o.SetID || arg&setIDBits != 0
	}
}

// adminCalls are those that want CAP_SYS_ADMIN for what they do. In any other the kernel asks for it, and of root gets it, only to know
// whose memory may be overcommitted.
var adminCalls = strings.Fields(`mount umount2 umount pivot_root move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr sethostname setdomainname
	setns unshare bpf quotactl quotactl_fd swapon swapoff ioctl keyctl setxattr lsetxattr fsetxattr removexattr prctl seccomp fanotify_init open_by_handle_at
	syslog perf_event_open socket setsockopt sendmsg sendmmsg sendto ioprio_set fcntl io_uring_setup process_madvise reboot`)

func (o *Observation) capability(number int, call string) {
	o.Caps[number] = append(o.Caps[number], call)
}

// needed are the calls that a capability was used in.
func (o *Observation) needed(number int) []string {
	calls := slices.Clone(o.Caps[number])
	sort.Strings(calls)
	calls = slices.Compact(calls)
	const sysAdmin = 21
	if number != sysAdmin {
		return calls
	}
	return slices.DeleteFunc(calls, func(name string) bool {
		return !slices.Contains(adminCalls, name) && (o.Namespaces&^unix.CLONE_NEWUSER == 0 || name != "clone" && name != "clone3")
	})
}

func (o *Observation) path(a access) {
	if strings.HasPrefix(a.Call, "execve") {
		o.Programs[a.Path] = true
		if fi, err := os.Stat(a.Path); err == nil && fi.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
			o.SetIDProgram = a.Path
		}
	}
	o.Paths[a] = true
}

// made says whether one of the calls was made.
func (o *Observation) made(names ...string) string {
	for _, n := range names {
		if o.Calls[n] > 0 {
			return n
		}
	}
	return ""
}

// touched gives a path that is one of those or below, and was used; only written ones if write.
func (o *Observation) touched(write bool, dirs ...string) string {
	least := ""
	for a := range o.Paths { // order-free: the least is taken
		if write && !a.Write {
			continue
		}
		if within(a.Path, dirs) && (least == "" || a.Path < least) {
			least = a.Path
		}
	}
	return least
}
