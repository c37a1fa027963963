package sandbox_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/sandbox"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// The test binary is its own executor: started under a name in parentheses it
// carries out the plan it is given.
func init() {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[0], "(") {
		runtime.LockOSThread()
		fd, err := strconv.Atoi(os.Args[1])
		if err != nil {
			os.Exit(64)
		}
		unix.Exit(int(sandbox.Main(fd)))
	}
	unix.Umask(0o022) // whatever who runs the tests has
}

// start is one test start: a unit, its context, and what became of it.
type start struct {
	t    *testing.T
	dir  string
	unit *unit.Unit
	exec *unit.Exec
	ctx  execplan.Context

	out     string // where the program's standard output goes
	kill    bool   // instead of waiting
	fresh   func() // called before each of several runs
	plan    *plan.Plan
	status  unix.WaitStatus
	failure *plan.Failure
	notices []*plan.Failure
}

var image = -1

// hangTime ends what hangs. Nothing that works takes as long, on whatever machine.
const hangTime = 2 * time.Minute

// newStart prepares a start of /bin/sh with script.
func newStart(t *testing.T, script string, args ...string) *start {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test changes users, limits and mounts: it needs root")
	}
	if image < 0 {
		var err error
		if image, err = spawn.Image("/proc/self/exe"); err != nil {
			t.Fatal(err)
		}
	}
	s := &start{t: t, dir: t.TempDir(), unit: unit.New(own("probe")+".service", nil)}
	e := *s.unit.GetExec()
	s.exec = &e
	s.unit.Exec = s.exec
	svc := *s.unit.GetService()
	s.unit.Service = &svc
	for d := s.dir; d != "/"; d = filepath.Dir(d) {
		if fi, err := os.Stat(d); err == nil && fi.Mode().Perm()&0o5 != 0o5 {
			if err := os.Chmod(d, fi.Mode().Perm()|0o055); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.out = filepath.Join(s.dir, "out")
	e.StandardOutput = unit.Stdio{Kind: "file", Arg: s.out}
	s.ctx = execplan.Context{
		Phase:      "ExecStart",
		Command:    value.Command{Path: "/bin/sh", Argv: append([]string{"/bin/sh", "-c", script}, args...), Flags: value.CommandNoEnvExpand},
		ManagerEnv: []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"},
	}
	return s
}

// own is a name for what all of the machine can see: the same test may run twice at a time.
func own(name string) string { return "muster-test-" + name + "-" + strconv.Itoa(os.Getpid()) }

// run starts the unit and waits for its end.
func (s *start) run() string {
	s.t.Helper()
	before := openFDs(s.t)
	s.launch()
	if after := openFDs(s.t); after != before {
		s.t.Errorf("descriptors in the manager: %d before, %d after", before, after)
	}
	text, err := os.ReadFile(s.out)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *start) launch() {
	s.t.Helper()
	s.end(s.begin())
}

// begin starts without waiting.
func (s *start) begin() *spawn.Child {
	s.t.Helper()
	p, err := execplan.Build(s.unit, s.ctx)
	if err != nil {
		s.t.Fatalf("Build: %v", err)
	}
	s.plan = p
	spawner, err := spawn.New(image)
	if err != nil {
		s.t.Fatal(err)
	}
	child, err := spawner.Start(p, spawn.Options{})
	if err != nil {
		s.t.Fatalf("Start: %v", err)
	}
	return child
}

// end waits for the child; one that is told to run on is killed.
func (s *start) end(child *spawn.Child) {
	s.t.Helper()
	if s.kill {
		if err := unix.Kill(child.Pid, unix.SIGKILL); err != nil {
			s.t.Fatal(err)
		}
	}
	for {
		_, err := unix.Wait4(child.Pid, &s.status, 0, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			s.t.Fatalf("wait: %v", err)
		}
	}
	child.Close()
	s.failure, s.notices = child.Failure(), child.Notices()
}

// ok runs and expects success.
func (s *start) ok() string {
	s.t.Helper()
	out := s.run()
	if s.failure != nil {
		s.t.Fatalf("tier %d %v: %v", s.plan.Tier, s.plan.Reasons, s.failure)
	}
	if !s.status.Exited() || s.status.ExitStatus() != 0 {
		s.t.Fatalf("tier %d %v: wait status %#x, output %q", s.plan.Tier, s.plan.Reasons, int(s.status), out)
	}
	return out
}

// fails runs and expects the exit status and a message about setting.
func (s *start) fails(status uint8, setting string) {
	s.t.Helper()
	s.run()
	if !s.status.Exited() || s.status.ExitStatus() != int(status) {
		s.t.Errorf("wait status %#x, want exit %d; failure %v", int(s.status), status, s.failure)
	}
	if s.failure == nil || s.failure.Status != status || s.failure.Setting != setting {
		s.t.Errorf("failure %+v, want status %d of %s", s.failure, status, setting)
	}
}

func (s *start) tier(want uint8) {
	s.t.Helper()
	if s.plan.Tier != want {
		s.t.Errorf("tier %d (%v), want %d", s.plan.Tier, s.plan.Reasons, want)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// both runs f in tier 1 and again in tier 2, forced by an optional
// environment file that is not there.
func both(t *testing.T, f func(t *testing.T, force func(*start))) {
	t.Run("ops", func(t *testing.T) {
		f(t, func(s *start) { t.Cleanup(func() { s.tier(plan.TierOps) }) })
	})
	t.Run("executor", func(t *testing.T) {
		f(t, func(s *start) {
			s.exec.EnvironmentFiles = append(s.exec.EnvironmentFiles, unit.EnvironmentFile{Path: "/nonexistent/env", Optional: true})
			t.Cleanup(func() { s.tier(plan.TierExecutor) })
		})
	})
}

// TestIdle: the executor waits for as long as it is told to, and no longer. The
// runtime's own signals must not end the wait.
func TestIdle(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		for _, c := range []struct {
			hold, usec, atLeast time.Duration
		}{{150 * time.Millisecond, 600_000_000, 150 * time.Millisecond}, {time.Hour, 100_000, 100 * time.Millisecond}} {
			s := newStart(t, `true`)
			force(s)
			var gate [2]int
			if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			s.ctx.IdleFD, s.ctx.IdleUSec = int32(gate[0]), uint64(c.usec)
			began := time.Now()
			child := s.begin()
			unix.Close(gate[0])
			timer := time.AfterFunc(c.hold, func() { _, _ = unix.Write(gate[1], []byte{0}) })
			s.end(child)
			timer.Stop()
			unix.Close(gate[1])
			if took := time.Since(began); took < c.atLeast || took > hangTime {
				t.Errorf("held for %v of at most %v µs: the start took %v", c.hold, int64(c.usec), took)
			}
		}
	})
}
