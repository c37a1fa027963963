package sandbox_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// unfailing are the calls that no setting depends on: the runtime's own, those that can't fail or whose failure means nothing. Every other
// call is made to fail once, at each place where the executor makes it.
var unfailing = []uint64{
	unix.SYS_FUTEX, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MPROTECT, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK,
	unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_TGKILL, unix.SYS_CLONE, unix.SYS_RESTART_SYSCALL,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
	unix.SYS_GETPPID, unix.SYS_UMASK, unix.SYS_CLOSE, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_PPOLL,
}

// forbidden are the calls that a container may forbid, and that something is tried instead of, or gone on without.
var forbidden = []uint64{
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_MKNODAT, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_SECCOMP, unix.SYS_SETRESUID, unix.SYS_SETGROUPS, unix.SYS_CAPSET, unix.SYS_PRCTL, unix.SYS_MOUNT_SETATTR, unix.SYS_OPENAT2, unix.SYS_PIVOT_ROOT,
	unix.SYS_SETHOSTNAME, unix.SYS_KEYCTL, unix.SYS_CHDIR,
}

// told are the calls whose first arguments say what they are about; places are told apart by them too.
var told = []uint64{unix.SYS_PRCTL, unix.SYS_PRLIMIT64, unix.SYS_SETRLIMIT, unix.SYS_UNSHARE, unix.SYS_DUP3, unix.SYS_FCNTL, unix.SYS_SETNS, unix.SYS_KEYCTL}

// call is a call that can be made to fail: its number, and where it is made from.
type call struct {
	number uint64
	place  string // arguments and return addresses, or the op
	about  int32  // of an op, the argument that says what it is about
}

// probe prints what protects the process it runs in.
const probe = `
id -u; id -G; grep -e ^Cap -e ^NoNew -e ^Seccomp /proc/self/status; ulimit -n; nice; hostname
for d in /usr /etc /home /var /proc/sys /dev /run; do [ -w $d ] && echo "writable $d"; ls -A $d 2>/dev/null | wc -l | sed "s,^,$d ," | grep -e /home -e /var; done; ls -A /dev | grep -v -e ^loop -e ^dm- | wc -l
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

// secluded is a dynamic user's service with directories, credentials, and what hardened has not.
func secluded(t *testing.T) *start {
	s := newStart(t, probe+`
pwd; cd "${CREDENTIALS_DIRECTORY:?}" || exit 1; pwd; cat file set; stat -c %U $STATE_DIRECTORY $CACHE_DIRECTORY $LOGS_DIRECTORY; echo "$VALUE $LISTEN_FDS"; ls -A /tmp /var/tmp | wc -l
chrt -p $$ | sed "s/pid [0-9]*//"; ionice; cat /proc/self/oom_score_adj /proc/self/coredump_filter; touch /sys/fs/cgroup/x 2>/dev/null || echo refused; ls /proc | grep -c meminfo; cat /proc/keys | wc -l
perl -e 'print syscall(41, 16, 3, 0) == -1 ? "refused" : "made"; print syscall(9, 0, 4096, 7, 0x22, -1, 0) == -1 ? "refused" : "mapped"'`)
	e := s.exec
	e.User, e.DynamicUser, e.CapabilityBoundingSet = own("faults"), true, 0
	e.StateDirectory, e.CacheDirectory, e.LogsDirectory = unit.Directory{Mode: 0o700, Items: items("a/state")}, unit.Directory{Mode: 0o755, Items: items("cache")}, unit.Directory{Mode: 0o755, Items: items("logs")}
	s.prefixes()
	for _, name := range []string{"env", "open", "cred"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte("VALUE="+name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e.EnvironmentFiles = []unit.EnvironmentFile{{Path: s.dir + "/env"}}
	s.unit.Service.OpenFile = []unit.OpenFile{{Path: s.dir + "/open", FDName: "open", Flags: unit.OpenFileReadOnly}}
	e.OOMScoreAdjust, e.CoredumpFilter = unit.Some[int32](100), unit.Some[uint64](0x31)
	e.CPUSchedulingSet, e.CPUSchedulingPolicy = true, 3
	e.IOSchedulingSet, e.IOSchedulingClass = true, unit.Some[int32](3)
	e.KeyringMode = "private"
	e.Sandbox = sandboxWith(func(x *unit.Sandbox) {
		x.PrivateTmp, x.ProtectSystem, x.ProtectHome, x.ProtectControlGroups = "yes", "full", "yes", "strict"
		x.ProtectKernelModules, x.ProtectClock, x.RestrictRealtime, x.MemoryDenyWriteExecute = true, true, true, true
		x.ProtectProc, x.ProcSubset = "invisible", "pid"
		x.BindPaths = []unit.BindPath{{Source: "/usr/share", Destination: "/srv", ReadOnly: true, Recursive: true}}
		x.NoExecPaths, x.ExecPaths = []string{"/"}, []string{"/usr", "/bin", "-/lib64", "/lib"}
		x.LoadCredential = []unit.Credential{{ID: "file", Path: s.dir + "/cred"}}
		x.SetCredential = []unit.CredentialData{{ID: "set", Data: []byte("text\n")}}
		x.RestrictAddressFamilies = unit.FilterList{Set: true, Allow: true, Names: []string{"AF_UNIX"}}
		x.SystemCallArchitectures = []string{"native"}
		x.PrivateNetwork = true
	})
	return s
}

// rooted is a service with a root directory of its own.
func rooted(t *testing.T) *start {
	s := newStart(t, `id -u; id -G; ls / | tr "\n" " "; ls /dev /run | grep -v -e ^loop -e ^dm- | wc -l; test -c /dev/null && test -e /proc/self/stat && echo api; pwd; [ -w /usr ] && echo w
grep -e ^Cap -e ^NoNew -e ^Seccomp /proc/self/status; ls /proc/self/fd | wc -l; ls -A /usr/lib/modules; hostname x 2>/dev/null || echo refused; ls /srv/here | wc -l`)
	root := filepath.Join(s.dir, "root")
	s.fresh = func() { newRoot(t, root) }
	s.exec.RootDirectory, s.exec.WorkingDirectory = root, "/srv"
	s.exec.User, s.exec.Group, s.exec.SupplementaryGroups, s.exec.SecureBits = "daemon", "bin", []string{"adm"}, 1<<2
	s.exec.CapabilityBoundingSet = 1 << unix.CAP_SETUID
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) {
		b.BindPaths = []unit.BindPath{{Source: "/usr", Destination: "/usr", ReadOnly: true, Recursive: true}, {Source: "/lib64", Destination: "/lib64", ReadOnly: true, Recursive: true}}
		b.TemporaryFileSystem = []unit.TemporaryFileSystem{{Path: "/srv/here", Options: "ro,nosuid"}}
		b.PrivatePIDs, b.PrivateIPC, b.ProtectKernelModules, b.PrivateBPF = "yes", true, true, "yes"
		b.MountFlags = unix.MS_PRIVATE
		b.SystemCallFilter = unit.FilterList{Set: true, Allow: true, Names: []string{"@system-service"}}
		b.SystemCallErrorNumber = 1
	})
	return s
}

// imaged is a service with a disk image and an extension.
func imaged(t *testing.T) *start {
	s := newStart(t, `cat /srv/image/file; [ -w /srv/image ] && echo writable; cat /usr/share/ext; touch /usr/x 2>/dev/null || echo refused; ls /proc/self/fd | wc -l`)
	tree := filepath.Join(s.dir, "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "file"), []byte("in the image\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "data.raw")
	if out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, file, "4M").CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	ext := filepath.Join(s.dir, "ext")
	if err := os.MkdirAll(ext+"/usr/share", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(ext+"/usr/lib/extension-release.d", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"/usr/share/ext": "of the extension\n", "/usr/lib/extension-release.d/extension-release.ext": "ID=_any\n"} {
		if err := os.WriteFile(ext+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	place := filepath.Join(s.dir, "place")
	s.fresh = func() { _ = os.RemoveAll(place) }
	s.ctx.Command.Argv[2] = strings.ReplaceAll(s.ctx.Command.Argv[2], "/srv/image", place)
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) {
		b.MountImages = []unit.MountImage{{Source: file, Destination: place}}
		b.ExtensionDirectories = []string{ext}
	})
	return s
}

// newRoot makes a directory like the root of a system, anew.
func newRoot(t *testing.T, root string) {
	t.Helper()
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"usr", "srv", "lib64", "dev", "proc", "sys", "run"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []string{"bin", "lib", "sbin"} {
		if err := os.Symlink("usr/"+l, filepath.Join(root, l)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaults makes one call after the other fail. Either the start is refused
// with a status that says why, or the program is as confined as it would have
// been: it never runs with less. And nothing is left behind.
func TestFaults(t *testing.T) {
	if !apart(t) {
		return
	}
	// Whatever the executor starts comes to us when its parent is gone.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for _, c := range []struct {
		name     string
		start    func(*testing.T) *start
		statuses []uint8 // that some fault must lead to
	}{
		{"hardened", hardened, []uint8{plan.ExitNamespace, plan.ExitNetwork, plan.ExitUser, plan.ExitGroup, plan.ExitCapabilities, plan.ExitSeccomp,
			plan.ExitNoNewPrivileges, plan.ExitLimits, plan.ExitNice, plan.ExitRuntimeDirectory, plan.ExitFDs, plan.ExitStdout, plan.ExitSetsid, plan.ExitExec}},
		{"secluded", secluded, []uint8{plan.ExitNamespace, plan.ExitNetwork, plan.ExitUser, plan.ExitGroup, plan.ExitCapabilities, plan.ExitAddressFamilies, plan.ExitKeyring,
			plan.ExitStateDirectory, plan.ExitCredentials, plan.ExitOOMAdjust, plan.ExitSetScheduler, plan.ExitIOPrio}},
		{"rooted", rooted, []uint8{plan.ExitNamespace, plan.ExitUser, plan.ExitGroup, plan.ExitCapabilities, plan.ExitSeccomp, plan.ExitSecureBits, plan.ExitChroot, plan.ExitChdir}},
		{"imaged", imaged, []uint8{plan.ExitNamespace}},
	} {
		t.Run(c.name, func(t *testing.T) { faults(t, c.start(t), c.statuses) })
	}
}

// faultTime bounds one of the starts below: each fault is a start with some thousand changes between two processes, which takes a
// millisecond or, on a machine that has much else to do, some hundred.
const faultTime = 40 * time.Second

func faults(t *testing.T, s *start, statuses []uint8) {
	defer preferred()()
	began, mounts := time.Now(), mountTable(t)
	calls, want := s.traced(t, nil)
	if s.failure != nil || !s.status.Exited() || s.status.ExitStatus() != 0 {
		t.Fatalf("without a fault: %v, wait status %#x, output %q", s.failure, int(s.status), want)
	}
	if len(calls) < 100 {
		t.Fatalf("only %d calls were seen: %v", len(calls), calls)
	}
	refused := map[uint8]int{}
	all := possible(calls)
	tried := 0
	// In any order: when the time is over, others are left out each time.
	for _, n := range rand.Perm(len(all)) {
		tried++
		s.faulty(t, all[n], want, refused)
		nothingLeft(t, all[n].String(), mounts)
		if os.Getenv("MUSTER_ALL_FAULTS") == "" && time.Since(began) > faultTime {
			break
		}
	}
	t.Logf("%d calls, %d faults of %d; refused by status: %v", len(calls), tried, len(all), refused)
	if tried < len(all) {
		return // which doesn't say what the others lead to
	}
	for _, status := range statuses {
		if refused[status] == 0 {
			t.Errorf("no fault led to status %d", status)
		}
	}
}

// preferred gives a tracer a thread, which is what the kernel means by one, and puts it before others until the function is called: it and
// what it traces hand over to each other all the time, and beside busy neighbours each would wait for its turn.
func preferred() func() {
	runtime.LockOSThread()
	if unix.Setpriority(unix.PRIO_PROCESS, 0, -15) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		// The thread may be used for another test.
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
		runtime.UnlockOSThread()
	}
}

// possible are the faults that are tried: all calls take minutes, so one at each place stands for the others.
func possible(calls []call) []fault {
	var all []fault
	for n, call := range calls {
		after := 0
		for _, earlier := range calls[:n] {
			if earlier == call {
				after++
			}
		}
		if after > 0 && os.Getenv("MUSTER_ALL_FAULTS") == "" {
			continue
		}
		// EIO is nobody's expected answer.
		for _, errno := range []unix.Errno{unix.EIO, unix.EPERM} {
			if errno == unix.EIO || slices.Contains(forbidden, call.number) {
				all = append(all, fault{call: call, after: after, errno: errno})
			}
		}
	}
	return all
}

// faulty makes one call fail and judges what comes of it.
func (s *start) faulty(t *testing.T, what fault, want string, refused map[uint8]int) {
	t.Helper()
	var got string
	for try := 1; ; try++ {
		broken := what
		if _, got = s.traced(t, &broken); broken.after < 0 {
			break
		}
		// Something on the machine made the start go another way: a lock that somebody held, a mount that went.
		if try == 5 {
			t.Errorf("%v: it was not made again: status %#x, failure %v, output %q", what, int(s.status), s.failure, got)
			return
		}
	}
	switch {
	case s.status.Signaled():
		t.Errorf("%v: the executor hangs or crashes: %v", what, s.status.Signal())
	case s.failure != nil:
		if int(s.failure.Status) != s.status.ExitStatus() || s.failure.Setting == "" || s.failure.Status < plan.ExitChdir || s.failure.Errno == 0 && s.failure.Message == "" {
			t.Errorf("%v: status %d, failure %+v", what, s.status.ExitStatus(), s.failure)
		}
		if got != "" {
			t.Errorf("%v: the program ran all the same: %q", what, got)
		}
		refused[s.failure.Status]++
	case got != want:
		t.Errorf("%v: status %#x, notices %v, the program ran otherwise:\n%s", what, int(s.status), s.notices, cmp.Diff(want, got))
	}
}

// apart runs the test once more, in a process with a mount table of its own: what others mount meanwhile is no
// mount that was left. It is true in that process. The table is shared with those that are made from it, so that a
// mount in a start's namespace that isn't kept to itself is seen.
func apart(t *testing.T) bool {
	t.Helper()
	const inside = "MUSTER_TEST_APART"
	if os.Getenv(inside) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), inside+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // which the child's life hangs on
	defer runtime.UnlockOSThread()
	out, err := c.CombinedOutput()
	if t.Log(string(out)); err != nil {
		t.Error(err)
	}
	return false
}

// mountTable gives what there is mounted, by everything but the options of the file systems: these are shared with the namespace that
// we come from.
func mountTable(t *testing.T) map[string]bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	mounts := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		mount, _, _ := strings.Cut(line, " - ")
		mounts[mount] = true
	}
	return mounts
}

// nothingLeft: no mount that was not there before or was changed, and no process. That mounts are gone is no matter: the kernel takes
// them away when others remove the directories.
func nothingLeft(t *testing.T, what string, before map[string]bool) {
	t.Helper()
	for mount := range mountTable(t) {
		if !before[mount] {
			t.Fatalf("%s: a mount is left or changed: %s", what, mount)
		}
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err == unix.ECHILD {
			return
		}
		if time.Since(began) > hangTime {
			t.Fatalf("%s: a process is left", what)
		}
	}
}

// fault is the call to make fail, and with what: the one that is made after as many others like it.
type fault struct {
	call
	after int
	errno unix.Errno
}

func (f fault) String() string {
	return fmt.Sprintf("call %d, the one after %d others, fails with %v (%s)", f.number, f.after, f.errno, f.place)
}

// traced runs the start with a fault, if it isn't nil. It gives the calls that were made and what the program
// printed. What the manager takes away after a service is taken away.
func (s *start) traced(t *testing.T, broken *fault) (calls []call, output string) {
	t.Helper()
	_ = os.Remove(s.out)
	if s.fresh != nil {
		s.fresh()
	}
	for _, dir := range s.ctx.Prefixes {
		if dir == "" || dir == s.dir {
			continue
		}
		_ = os.RemoveAll(dir)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var gate [2]int
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	s.ctx.IdleFD, s.ctx.IdleUSec = int32(gate[0]), uint64(hangTime.Microseconds())
	child := s.begin()
	unix.Close(gate[0])
	// The executor waits for the gate: from there on it is followed.
	for began := time.Now(); !waitsInPoll(child.Pid, s.plan.Tier == plan.TierExecutor); time.Sleep(200 * time.Microsecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the child doesn't wait at its gate")
		}
	}
	const seize, interrupt = 0x4206, 0x4207
	ptrace(t, seize, child.Pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_EXITKILL)
	ptrace(t, interrupt, child.Pid, 0)
	// An executor that hangs because of a fault is one that a person waits for.
	slow := time.AfterFunc(time.Minute, func() { _ = unix.Kill(child.Pid, unix.SIGKILL) })
	defer slow.Stop()
	// The child of an op list has the other end as well.
	if _, err := unix.Write(gate[1], []byte{0}); err != nil {
		t.Fatal(err)
	}
	unix.Close(gate[1])
	calls = s.follow(t, child, broken)
	child.Close()
	s.failure, s.notices = child.Failure(), child.Notices()
	if p := execplan.Cleanup(s.unit, s.ctx, false); p != nil {
		carry(t, p)
	}
	text, err := os.ReadFile(s.out)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	// A dynamic user is another one each time.
	return calls, dynamicIDs.ReplaceAllString(string(text), "dynamic")
}

var dynamicIDs = regexp.MustCompile(`\b6[1-5][0-9]{3}\b`)

// follow goes from call to call until the program is executed, then lets go.
func (s *start) follow(t *testing.T, child *spawn.Child, wanted *fault) (calls []call) {
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
					regs.Rax, broken = ^uint64(wanted.errno)+1, false
				} else if wanted == nil && !slices.Contains(unfailing, regs.Orig_rax) {
					calls = append(calls, s.place(child.Pid, &regs))
				} else if wanted != nil && wanted.number == regs.Orig_rax && wanted.after >= 0 && s.place(child.Pid, &regs) == wanted.call {
					if wanted.after == 0 {
						regs.Orig_rax, broken, change = unix.SYS_GETPID, true, true // that no filter forbids
					}
					wanted.after--
				}
				if change {
					if err := unix.PtraceSetRegs(child.Pid, &regs); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if wanted != nil && wanted.after < 0 && !broken {
			ptrace(t, unix.PTRACE_CONT, child.Pid, 0) // to the program: what is called on the way is of no interest
		} else {
			ptrace(t, unix.PTRACE_SYSCALL, child.Pid, 0)
		}
	}
}

// place names the place of a call.
func (s *start) place(pid int, regs *unix.PtraceRegs) call {
	if s.plan.Tier == plan.TierOps {
		return opOf(regs)
	}
	return placeOf(pid, regs)
}

// placeOf names the place of a call by the return addresses of its callers: programs in Go keep a chain of frame pointers.
func placeOf(pid int, regs *unix.PtraceRegs) call {
	c := call{number: regs.Orig_rax}
	text := &strings.Builder{}
	if slices.Contains(told, c.number) {
		fmt.Fprintf(text, "%d ", int32(regs.Rdi))
		if c.number != unix.SYS_PRCTL { // one capability stands for the others
			fmt.Fprintf(text, "%d ", int32(regs.Rsi))
		}
	}
	var word [16]byte
	for frame, n := regs.Rbp, 0; frame != 0 && n < 24; n++ {
		if m, err := unix.PtracePeekData(pid, uintptr(frame), word[:]); err != nil || m != len(word) {
			break
		}
		pc := binary.LittleEndian.Uint64(word[8:])
		name := "?"
		if f := runtime.FuncForPC(uintptr(pc)); f != nil { // the executor is this test's own program
			name = f.Name()[strings.LastIndexByte(f.Name(), '/')+1:]
		}
		fmt.Fprintf(text, "%s+%x ", name, pc)
		frame = binary.LittleEndian.Uint64(word[:])
	}
	c.place = text.String()
	return c
}

func ptrace(t *testing.T, request, pid int, data uintptr) {
	t.Helper()
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, data, 0, 0); errno != 0 && errno != unix.ESRCH {
		t.Fatalf("ptrace %#x: %v", request, errno)
	}
}

// waitsInPoll: the first thread is in ppoll, and if there is one to be, the program is the executor.
func waitsInPoll(pid int, executor bool) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	if err != nil || !bytes.HasPrefix(text, fmt.Appendf(nil, "%d ", unix.SYS_PPOLL)) {
		return false
	}
	if !executor {
		return true
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasPrefix(string(line), "(")
}
