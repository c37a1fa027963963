package sandbox_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// faulty are the calls that protections are made of. Each of them is made to
// fail once, at each place where the executor makes it.
var faulty = map[uint64]string{
	unix.SYS_UNSHARE: "unshare", unix.SYS_SETNS: "setns", unix.SYS_MOUNT: "mount", unix.SYS_UMOUNT2: "umount2", unix.SYS_PIVOT_ROOT: "pivot_root",
	unix.SYS_OPEN_TREE: "open_tree", unix.SYS_MOVE_MOUNT: "move_mount", unix.SYS_FSOPEN: "fsopen", unix.SYS_FSCONFIG: "fsconfig",
	unix.SYS_FSMOUNT: "fsmount", unix.SYS_MOUNT_SETATTR: "mount_setattr", unix.SYS_OPENAT2: "openat2",
	unix.SYS_PRCTL: "prctl", unix.SYS_CAPSET: "capset", unix.SYS_SECCOMP: "seccomp", unix.SYS_SETRESUID: "setresuid", unix.SYS_SETRESGID: "setresgid",
	unix.SYS_SETGROUPS: "setgroups", unix.SYS_PRLIMIT64: "prlimit64", unix.SYS_SETRLIMIT: "setrlimit", unix.SYS_SETPRIORITY: "setpriority",
	unix.SYS_SETHOSTNAME: "sethostname", unix.SYS_MKDIRAT: "mkdirat", unix.SYS_MKNODAT: "mknodat", unix.SYS_FCHOWNAT: "fchownat",
	unix.SYS_FCHOWN: "fchown", unix.SYS_FCHMOD: "fchmod", unix.SYS_FCHMODAT: "fchmodat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_SETSID: "setsid",
	unix.SYS_CLOSE_RANGE: "close_range", unix.SYS_CHDIR: "chdir", unix.SYS_PERSONALITY: "personality",
}

// probe prints what protects the process it runs in.
const probe = `
id -u; id -G; grep -e ^Cap -e ^NoNew -e ^Seccomp /proc/self/status; ulimit -n; nice; hostname
for d in /usr /etc /home /var /proc/sys /dev /run; do [ -w $d ] && echo "writable $d"; ls -A $d 2>/dev/null | wc -l | sed "s,^,$d ," | grep -e /home -e /var -e /dev; done
grep -c : /proc/net/dev; [ "$(cut -d" " -f6 /proc/self/stat)" = "$(cut -d" " -f5 /proc/self/stat)" ] && echo group
for n in mnt net ipc uts user; do [ "$(readlink /proc/self/ns/$n)" = "$(readlink /proc/1/ns/$n 2>/dev/null)" ] && echo "not private: $n"; done
ls -ld $RUNTIME_DIRECTORY | cut -d" " -f1,3; ls /proc/self/fd | wc -l
`

// hardened is a service with most of what an executor can do.
func hardened(t *testing.T) *start {
	s := newStart(t, probe)
	e := s.exec
	e.User, e.NoNewPrivileges, e.CapabilityBoundingSet, e.AmbientCapabilities = "daemon", true, 1<<unix.CAP_NET_BIND_SERVICE|1<<unix.CAP_CHOWN, 1<<unix.CAP_CHOWN
	e.Nice = unit.Some[int32](5)
	e.Limits[unit.RLimitNOFILE] = &value.Rlimit{Soft: 99, Hard: 99}
	e.RuntimeDirectory = unit.Directory{Mode: 0o750, Items: []unit.DirectoryItem{{Path: "probe"}}}
	s.ctx.Prefixes = plan.Prefixes{filepath.Join(s.dir, "run"), s.dir, s.dir, s.dir, s.dir}
	e.Sandbox = sandboxWith(func(x *unit.Sandbox) {
		x.ProtectSystem, x.ProtectHome, x.PrivateDevices = "strict", "tmpfs", true
		x.TemporaryFileSystem = []unit.TemporaryFileSystem{{Path: "/var", Options: "ro"}}
		x.PrivateNetwork, x.PrivateIPC, x.ProtectHostname, x.PrivateHostname = true, true, "private", "probe"
		x.PrivateUsers, x.ProtectKernelTunables, x.ProtectKernelLogs = "self", true, true
		x.InaccessiblePaths, x.ReadWritePaths = []string{"-/root"}, []string{s.dir}
		x.RestrictNamespaces, x.RestrictSUIDSGID, x.LockPersonality = 0, true, true
		x.SystemCallFilter = unit.FilterList{Set: true, Names: []string{"@clock"}}
	})
	return s
}

// TestFaults makes one call after the other fail. Either the start is refused
// with a status that says why, or the program is as confined as it would have
// been: it never runs with less. And nothing is left behind.
func TestFaults(t *testing.T) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	s := hardened(t)
	calls, want := s.traced(t, -1)
	if s.failure != nil || !s.status.Exited() || s.status.ExitStatus() != 0 {
		t.Fatalf("without a fault: %v, wait status %#x, output %q", s.failure, int(s.status), want)
	}
	if len(calls) < 100 {
		t.Fatalf("only %d calls were seen: %v", len(calls), calls)
	}
	mounts := mountTable(t)
	refused := map[uint8]int{}
	for n, call := range calls {
		// All places take minutes: the first and the last of each call stand for the others.
		if os.Getenv("MUSTER_ALL_FAULTS") == "" && slices.Index(calls, call) != n && slices.Contains(calls[n+1:], call) {
			continue
		}
		_, got := s.traced(t, n)
		what := fmt.Sprintf("call %d, %s, fails", n, call)
		if s.status.Signaled() {
			t.Errorf("%s: the executor hangs", what)
			continue
		}
		switch {
		case s.failure != nil:
			if int(s.failure.Status) != s.status.ExitStatus() || s.failure.Setting == "" || s.failure.Status < 200 {
				t.Errorf("%s: status %d, failure %+v", what, s.status.ExitStatus(), s.failure)
			}
			if got != "" {
				t.Errorf("%s: the program ran all the same: %q", what, got)
			}
			refused[s.failure.Status]++
		case got != want:
			t.Errorf("%s: the program ran as\n%swant\n%s", what, got, want)
		}
		if now := mountTable(t); now != mounts {
			t.Fatalf("%s: mounts are left:\n%s", what, now)
		}
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Fatalf("%s: a process is left: %d, %v", what, pid, err)
		}
	}
	t.Logf("%d calls; refused by status: %v", len(calls), refused)
	for _, status := range []uint8{plan.ExitNamespace, plan.ExitNetwork, plan.ExitUser, plan.ExitGroup, plan.ExitCapabilities, plan.ExitSeccomp,
		plan.ExitNoNewPrivileges, plan.ExitLimits, plan.ExitNice, plan.ExitRuntimeDirectory, plan.ExitFDs} {
		if refused[status] == 0 {
			t.Errorf("no fault led to status %d", status)
		}
	}
}

func mountTable(t *testing.T) string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// traced runs the start with the fault at the given one of the calls in faulty,
// -1 for none. It gives the calls that were made and what the program printed.
func (s *start) traced(t *testing.T, fault int) (calls []string, output string) {
	t.Helper()
	_ = os.Remove(s.out)
	_ = os.RemoveAll(s.ctx.Prefixes[plan.DirRuntime])
	if err := os.Mkdir(s.ctx.Prefixes[plan.DirRuntime], 0o755); err != nil {
		t.Fatal(err)
	}
	var gate [2]int
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	s.ctx.IdleFD, s.ctx.IdleUSec = int32(gate[0]), 20_000_000
	child := s.begin()
	unix.Close(gate[0])
	// The executor waits for the gate: from there on it is followed.
	for began := time.Now(); !waitsInPoll(child.Pid); time.Sleep(200 * time.Microsecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the executor doesn't wait at its gate")
		}
	}
	const seize, interrupt = 0x4206, 0x4207
	ptrace(t, seize, child.Pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_EXITKILL)
	ptrace(t, interrupt, child.Pid, 0)
	// An executor that hangs because of a fault is one that a person waits for.
	slow := time.AfterFunc(20*time.Second, func() { _ = unix.Kill(child.Pid, unix.SIGKILL) })
	defer slow.Stop()
	unix.Close(gate[1])
	calls = s.follow(t, child, fault)
	child.Close()
	s.failure, s.notices = child.Failure(), child.Notices()
	text, err := os.ReadFile(s.out)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return calls, string(text)
}

// follow goes from call to call until the program is executed, then lets go.
func (s *start) follow(t *testing.T, child *spawn.Child, fault int) (calls []string) {
	t.Helper()
	inside, broken := false, false
	for {
		if _, err := unix.Wait4(child.Pid, &s.status, unix.WALL, nil); err != nil {
			if err == unix.EINTR {
				continue
			}
			t.Fatal(err)
		}
		if !s.status.Stopped() {
			return calls
		}
		if s.status.TrapCause() == unix.PTRACE_EVENT_EXEC {
			if err := unix.PtraceDetach(child.Pid); err != nil {
				t.Fatal(err)
			}
			s.end(child)
			return calls
		}
		if s.status.StopSignal() == unix.SIGTRAP|0x80 {
			if inside = !inside; inside || broken {
				var regs unix.PtraceRegs
				if err := unix.PtraceGetRegs(child.Pid, &regs); err != nil {
					t.Fatal(err)
				}
				change := broken
				if broken {
					regs.Rax, broken = ^uint64(unix.EIO)+1, false
				} else if name, ok := faulty[regs.Orig_rax]; ok {
					if len(calls) == fault {
						regs.Orig_rax, broken, change = ^uint64(0), true, true
					}
					calls = append(calls, name)
				}
				if change {
					if err := unix.PtraceSetRegs(child.Pid, &regs); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		ptrace(t, unix.PTRACE_SYSCALL, child.Pid, 0)
	}
}

func ptrace(t *testing.T, request, pid int, data uintptr) {
	t.Helper()
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, data, 0, 0); errno != 0 && errno != unix.ESRCH {
		t.Fatalf("ptrace %#x: %v", request, errno)
	}
}

// waitsInPoll: the first thread is in ppoll, and the program is the executor.
func waitsInPoll(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	if err != nil || !bytes.HasPrefix(text, fmt.Appendf(nil, "%d ", unix.SYS_PPOLL)) {
		return false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasPrefix(string(line), "(")
}
