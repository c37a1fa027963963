package sandbox_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// opOf names the place of a call of an op list: the assembly keeps the index of the op in R13.
func opOf(regs *unix.PtraceRegs) call {
	c := call{number: regs.Orig_rax, place: "op " + strconv.FormatUint(regs.R13, 10), about: any1}
	switch c.number {
	case unix.SYS_PRCTL:
		c.about = int32(regs.Rdi)
	case unix.SYS_DUP3:
		c.about = int32(regs.Rsi)
	}
	return c
}

// opStatuses are the statuses that a failed call of an op list may lead to, by its number and, where several settings make the same
// call, its first argument: systemd.exec(5), Process Exit Codes, and not what the list says of itself.
var opStatuses = map[uint64]map[int32][]uint8{
	unix.SYS_SETSID:             {any1: {220}},
	unix.SYS_SETPRIORITY:        {any1: {201}},
	unix.SYS_SCHED_SETSCHEDULER: {any1: {214}},
	unix.SYS_SCHED_SETAFFINITY:  {any1: {215}},
	unix.SYS_SET_MEMPOLICY:      {any1: {242}},
	unix.SYS_IOPRIO_SET:         {any1: {211}},
	unix.SYS_PERSONALITY:        {any1: {230}},
	unix.SYS_CHROOT:             {any1: {210}},
	unix.SYS_CHDIR:              {any1: {200, 210}},
	unix.SYS_PRLIMIT64:          {any1: {205}},
	unix.SYS_CLOSE_RANGE:        {any1: {202}},
	unix.SYS_PIDFD_OPEN:         {any1: {202}},
	unix.SYS_FSTAT:              {any1: {202}},
	unix.SYS_FCNTL:              {any1: {202, 208, 209, 222}},
	unix.SYS_OPENAT:             {any1: {208, 209, 222}},
	unix.SYS_SOCKET:             {any1: {208, 209, 222}},
	unix.SYS_GETPEERNAME:        {any1: {208, 209, 222}},
	unix.SYS_WRITE:              {any1: {209, 222}},                                    // to the journal
	unix.SYS_DUP3:               {any1: {202}, 0: {208, 209, 222}, 1: {209}, 2: {222}}, // by the second argument
	unix.SYS_SETGROUPS:          {any1: {216}},
	unix.SYS_SETRESGID:          {any1: {216}},
	unix.SYS_CAPSET:             {any1: {218}},
	unix.SYS_SECCOMP:            {any1: {228}},
	unix.SYS_EXECVE:             {any1: {203}},
	unix.SYS_KEYCTL:             {any1: {237}},
	unix.SYS_PRCTL: {
		unix.PR_SET_TIMERSLACK: {212}, unix.PR_CAPBSET_DROP: {218}, unix.PR_CAP_AMBIENT: {218}, unix.PR_SET_SECUREBITS: {213}, unix.PR_SET_NO_NEW_PRIVS: {227},
	},
}

const any1 = -1

// opsUnharmed are the calls whose failure takes nothing from the service that it was to be protected by: keys in its own keyring, and
// how it reaches a journal that is perhaps not there.
var opsUnharmed = []uint64{unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_CONNECT, unix.SYS_SHUTDOWN, unix.SYS_SETSOCKOPT}

// plainService is one without anything that takes an executor, and with most of what doesn't.
func plainService(t *testing.T) *start {
	s := newStart(t, `
id -u; id -G; grep -e ^Cap -e ^NoNew -e ^Seccomp /proc/self/status; ulimit -n; ulimit -c; nice; pwd; umask; chrt -p $$ | sed "s/pid [0-9]*//"; ionice; taskset -p $$ | cut -d: -f2
cat /proc/self/timerslack_ns /proc/self/personality; [ "$(cut -d" " -f6 /proc/self/stat)" = "$(cut -d" " -f5 /proc/self/stat)" ] && echo group; cat; cat <&3; cat <&4
ls /proc/self/fd | wc -l; hostname x 2>/dev/null || echo refused; unshare -n true 2>/dev/null || echo refused; echo "$LISTEN_FDS"; [ "$LISTEN_PID" = $$ ] && echo mine`)
	journal := filepath.Join(s.dir, "journal")
	l, err := net.Listen("unix", journal)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	s.ctx.Journal, s.ctx.JournalSocket = true, journal
	files := make([]*os.File, 2)
	s.fresh = func() {
		for i := range files {
			if _, err := files[i].Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range files {
		path := filepath.Join(s.dir, "passed"+strconv.Itoa(i))
		if err := os.WriteFile(path, []byte(path[len(path)-7:]+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if files[i], err = os.Open(path); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { files[i].Close() })
		s.ctx.FDs = append(s.ctx.FDs, execplan.FD{Number: int32(files[i].Fd()), Name: "passed"})
	}
	s.ctx.ManagerPIDFDID = kernel.PidFDIDOf(os.Getpid())
	e := s.exec
	e.User, e.Group = "root", "root"
	e.StandardInput, e.StandardInputData = unit.Stdio{Kind: "data"}, []byte("on standard input\n")
	e.StandardError = unit.Stdio{Kind: "journal"}
	e.Nice, e.TimerSlackNSec, e.UMask = unit.Some[int32](5), 70_000, 0o027
	e.CPUSchedulingSet, e.CPUSchedulingPolicy, e.CPUSchedulingResetOnFork = true, 3, true
	e.CPUAffinity, e.NUMAPolicy = []byte{1}, 0
	e.IOSchedulingSet, e.IOSchedulingClass = true, unit.Some[int32](3)
	e.Limits[unit.RLimitNOFILE], e.Limits[unit.RLimitCORE] = &value.Rlimit{Soft: 99, Hard: 99}, &value.Rlimit{Soft: 1 << 20, Hard: 1 << 20}
	e.KeyringMode, s.ctx.InvocationID = "shared", [16]byte{1, 2, 3}
	e.WorkingDirectory = "/usr/share"
	e.CapabilityBoundingSet, e.AmbientCapabilities = 1<<unix.CAP_CHOWN|1<<unix.CAP_SETPCAP|1<<unix.CAP_SYS_ADMIN, 1<<unix.CAP_CHOWN
	e.SecureBits, e.NoNewPrivileges = 1<<2, true
	e.Sandbox = sandboxWith(func(x *unit.Sandbox) {
		x.Personality = "x86-64"
		x.SystemCallFilter, x.SystemCallErrorNumber = unit.FilterList{Set: true, Names: []string{"@clock", "sethostname"}}, 1
		x.RestrictNamespaces, x.LockPersonality = 0, true
	})
	return s
}

// chrooted is one with another root and without a mount namespace, whose program may be in one of several directories.
func chrooted(t *testing.T) *start {
	s := newStart(t, `ls / | tr "\n" " "; ls /proc /dev | wc -l`)
	root := filepath.Join(s.dir, "root")
	newRoot(t, root)
	for _, dir := range []string{"/usr", "/lib64"} {
		if err := unix.Mount(dir, root+dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(root+dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	s.ctx.Command.Path = "sh"
	s.exec.ExecSearchPath = []string{"/nowhere", "/usr/bin"}
	s.exec.RootDirectory, s.exec.WorkingDirectory, s.exec.WorkingDirectoryMissingOK = root, "/usr", true
	s.exec.Sandbox = sandboxWith(func(x *unit.Sandbox) { x.MountAPIVFS, x.BindLogSockets = unit.No, unit.No })
	s.ctx.UserMode = true // a system manager makes a mount namespace
	return s
}

// TestOpFaults is TestFaults for a start without an executor: one op of its list after the other fails.
func TestOpFaults(t *testing.T) {
	if !apart(t) {
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	t.Run("plain", func(t *testing.T) {
		opFaults(t, plainService(t), 80, []uint8{200, 201, 202, 203, 205, 208, 209, 211, 212, 213, 214, 215, 216, 218, 220, 222, 227, 228, 230, 237, 242}, opsUnharmed)
	})
	// The first of two candidates can't be executed, and there may be no directory to work in.
	t.Run("chrooted", func(t *testing.T) {
		opFaults(t, chrooted(t), 12, []uint8{202, 203, 208, 209, 210, 220}, append([]uint64{unix.SYS_EXECVE, unix.SYS_CHDIR}, opsUnharmed...))
	})
}

func opFaults(t *testing.T, s *start, least int, statuses []uint8, unharmed []uint64) {
	defer preferred()()
	mounts := mountTable(t)
	calls, want := s.traced(t, nil)
	s.tier(plan.TierOps)
	if s.failure != nil || !s.status.Exited() || s.status.ExitStatus() != 0 || want == "" {
		t.Fatalf("calls %v, without a fault: %v, wait status %#x, output %q", calls, s.failure, int(s.status), want)
	}
	if len(calls) < least {
		t.Fatalf("only %d calls were seen: %v", len(calls), calls)
	}
	refused := map[uint8]int{}
	for _, call := range calls {
		_, got := s.traced(t, &fault{call: call, errno: unix.EIO})
		what := fmt.Sprintf("%s, call %d (%d), fails", call.place, call.number, call.about)
		nothingLeft(t, what, mounts)
		switch {
		case s.status.Signaled():
			t.Errorf("%s: the child was ended by %v", what, s.status.Signal())
		case s.failure != nil:
			if int(s.failure.Status) != s.status.ExitStatus() || s.failure.Errno != int32(unix.EIO) || s.failure.Setting == "" || s.failure.Message == "" {
				t.Errorf("%s: status %d, failure %+v", what, s.status.ExitStatus(), s.failure)
			}
			if got != "" {
				t.Errorf("%s: the program ran all the same: %q", what, got)
			}
			may := opStatuses[call.number][call.about]
			if may == nil {
				may = opStatuses[call.number][any1]
			}
			if !slices.Contains(may, s.failure.Status) {
				t.Errorf("%s: status %d of %v, %v", what, s.failure.Status, may, s.failure)
			}
			refused[s.failure.Status]++
		case got != want:
			t.Errorf("%s: the program ran otherwise:\n%s", what, cmp.Diff(want, got))
		case !slices.Contains(unharmed, call.number):
			t.Errorf("%s: the program ran all the same", what)
		}
	}
	t.Logf("%d calls; refused by status: %v", len(calls), refused)
	for _, status := range statuses {
		if refused[status] == 0 {
			t.Errorf("no fault led to status %d", status)
		}
	}
}
