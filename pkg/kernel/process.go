package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// EnvironMax bounds what is read of a process's environment and arguments.
const EnvironMax = 8 << 20

// ProcessStat is what /proc/PID/stat tells; proc_pid_stat(5).
type ProcessStat struct {
	Pid     int
	Comm    string
	State   byte // R S D Z T t I X
	Parent  int
	Group   int
	Session int
	// TTY is the device number of the controlling terminal, 0 for none.
	TTY   uint32
	Flags uint32 // PF_…
	Nice  int
	// StartTicks is the start time in clock ticks since boot: with the pid it
	// names a process for good.
	StartTicks uint64
	Threads    int
}

// IsKernelThread tells whether the process has no user space.
func (s ProcessStat) IsKernelThread() bool {
	const kthread = 0x00200000 // PF_KTHREAD
	return s.Flags&kthread != 0
}

// IsZombie tells whether the process has ended and waits to be reaped.
func (s ProcessStat) IsZombie() bool { return s.State == 'Z' || s.State == 'X' }

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// ReadStat reads the state of a process; ESRCH if there is none.
func ReadStat(pid int) (ProcessStat, error) {
	b, err := readProc(pid, "stat", smallFileMax)
	if err != nil {
		return ProcessStat{}, err
	}
	return parseStat(b)
}

func parseStat(b []byte) (ProcessStat, error) {
	// The command may hold anything, parentheses and newlines included.
	open, last := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || last < open {
		return ProcessStat{}, fmt.Errorf("stat: %w: %.80q", unix.EBADMSG, b)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	f := strings.Fields(string(b[last+1:]))
	if err != nil || len(f) < 20 {
		return ProcessStat{}, fmt.Errorf("stat: %w: %.80q", unix.EBADMSG, b)
	}
	num := func(i int) int64 {
		n, perr := strconv.ParseInt(f[i], 10, 64)
		if perr != nil && err == nil {
			err = fmt.Errorf("stat: %w: field %q", unix.EBADMSG, f[i])
		}
		return n
	}
	s := ProcessStat{
		Pid: pid, Comm: string(b[open+1 : last]), State: f[0][0],
		Parent: int(num(1)), Group: int(num(2)), Session: int(num(3)), TTY: uint32(num(4)),
		Flags: uint32(num(6)), Nice: int(num(16)), Threads: int(num(17)), StartTicks: uint64(num(19)),
	}
	return s, err
}

// readProc reads a file of a process and makes one error of its absence.
func readProc(pid int, name string, limit int) ([]byte, error) {
	b, err := ReadKernelFile(procFile(pid, name), limit)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("process %d: %w", pid, unix.ESRCH)
	}
	return b, err
}

// ProcessStatus is what /proc/PID/status tells; proc_pid_status(5).
type ProcessStatus struct {
	UID, GID      [4]uint32 // real, effective, saved, file system
	Groups        []uint32
	NSPid         []int // pid in each nested pid namespace, ours first
	Threads       int
	Capabilities  Capabilities
	NoNewPrivs    bool
	SignalBlocked uint64
	SignalIgnored uint64
	SignalCaught  uint64
	VMRSSBytes    uint64
}

// ReadStatus reads credentials and the like of a process.
func ReadStatus(pid int) (ProcessStatus, error) {
	b, err := readProc(pid, "status", 1<<20)
	if err != nil {
		return ProcessStatus{}, err
	}
	return parseStatus(string(b)), nil
}

func parseStatus(text string) (s ProcessStatus) {
	ids := func(v string) (out [4]uint32) {
		for i, f := range strings.Fields(v) {
			if n, err := strconv.ParseUint(f, 10, 32); err == nil && i < 4 {
				out[i] = uint32(n)
			}
		}
		return out
	}
	hex := func(v string) uint64 {
		n, _ := strconv.ParseUint(v, 16, 64)
		return n
	}
	for line := range strings.Lines(text) {
		key, v, _ := strings.Cut(line, ":")
		v = strings.TrimSpace(v)
		switch key {
		case "Uid":
			s.UID = ids(v)
		case "Gid":
			s.GID = ids(v)
		case "Groups":
			for f := range strings.FieldsSeq(v) {
				if n, err := strconv.ParseUint(f, 10, 32); err == nil {
					s.Groups = append(s.Groups, uint32(n))
				}
			}
		case "NSpid":
			for f := range strings.FieldsSeq(v) {
				if n, err := strconv.Atoi(f); err == nil {
					s.NSPid = append(s.NSPid, n)
				}
			}
		case "Threads":
			s.Threads, _ = strconv.Atoi(v)
		case "NoNewPrivs":
			s.NoNewPrivs = v == "1"
		case "VmRSS":
			n, _ := strconv.ParseUint(strings.TrimSuffix(v, " kB"), 10, 54)
			s.VMRSSBytes = n << 10
		case "SigBlk":
			s.SignalBlocked = hex(v)
		case "SigIgn":
			s.SignalIgnored = hex(v)
		case "SigCgt":
			s.SignalCaught = hex(v)
		case "CapInh":
			s.Capabilities.Inheritable = hex(v)
		case "CapPrm":
			s.Capabilities.Permitted = hex(v)
		case "CapEff":
			s.Capabilities.Effective = hex(v)
		case "CapBnd":
			s.Capabilities.Bounding = hex(v)
		case "CapAmb":
			s.Capabilities.Ambient = hex(v)
		}
	}
	return s
}

// ReadComm reads the command name, at most 15 bytes (longer for kernel threads).
func ReadComm(pid int) (string, error) {
	b, err := readProc(pid, "comm", smallFileMax)
	return string(bytes.TrimSuffix(b, []byte{'\n'})), err
}

// ReadCmdline reads the arguments; none for kernel threads and zombies. It can
// block on the process's memory (a hung FUSE page), so on the loop only for
// display with a worker.
func ReadCmdline(pid int) ([]string, error) {
	b, err := readProc(pid, "cmdline", EnvironMax)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00"), nil
}

// ReadEnviron reads the initial environment; needs ptrace rights on the
// process. For workers, as [ReadCmdline].
func ReadEnviron(pid int) ([]string, error) {
	b, err := readProc(pid, "environ", EnvironMax)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00"), nil
}

// LookupEnviron finds one variable of a process.
func LookupEnviron(pid int, name string) (value string, ok bool, err error) {
	list, err := ReadEnviron(pid)
	for _, e := range list {
		if v, found := strings.CutPrefix(e, name+"="); found {
			return v, true, err
		}
	}
	return "", false, err
}

// ParentPid returns the parent of a process, 0 if it is outside of our pid
// namespace.
func ParentPid(pid int) (int, error) {
	s, err := ReadStat(pid)
	return s.Parent, err
}

// ReadProcLink reads one of the links of a process: exe, cwd, root, ns/pid …
func ReadProcLink(pid int, name string) (string, error) {
	b := make([]byte, 4096)
	n, err := unix.Readlink(procFile(pid, name), b)
	if err != nil {
		return "", fmt.Errorf("process %d: %s: %w", pid, name, err)
	}
	return string(b[:n]), nil
}

// SameNamespace tells whether a process is in the same namespace as we are;
// kind is "pid", "mnt", "user", "cgroup" …
func SameNamespace(pid int, kind string) (bool, error) {
	var ours, theirs unix.Stat_t
	if err := unix.Stat("/proc/self/ns/"+kind, &ours); err != nil {
		return false, fmt.Errorf("namespace %s: %w", kind, err)
	}
	if err := unix.Stat(procFile(pid, "ns/"+kind), &theirs); err != nil {
		return false, fmt.Errorf("process %d: namespace %s: %w", pid, kind, err)
	}
	return ours.Ino == theirs.Ino && ours.Dev == theirs.Dev, nil
}
