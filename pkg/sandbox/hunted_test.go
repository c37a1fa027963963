package sandbox_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
)

// hunter prints what a process of the same user gets hold of in the one whose pid is its argument.
const hunter = `
my $pid = shift; my $sink;
my %try = (
	seize => sub { syscall(101, 0x4206, $pid, 0, 0) == 0 },
	attach => sub { syscall(101, 16, $pid, 0, 0) == 0 },
	memory => sub { open(my $h, "+<", "/proc/$pid/mem") },
	reads => sub { open(my $h, "<", "/proc/$pid/mem") },
	environment => sub { open(my $h, "<", "/proc/$pid/environ") or return 0; scalar <$h> },
	descriptors => sub { opendir(my $h, "/proc/$pid/fd") or return 0; scalar grep { !/^\./ } readdir $h },
	descriptor => sub { my $n = 0; for (0 .. 15) { $n++ if open(my $h, "<", "/proc/$pid/fd/$_") } $n },
	root => sub { defined readlink "/proc/$pid/root" },
	program => sub { defined readlink "/proc/$pid/exe" },
	maps => sub { open(my $h, "<", "/proc/$pid/maps") or return 0; scalar <$h> },
	filter => sub { open(my $h, ">", "/proc/$pid/coredump_filter") or return 0; syswrite($h, "0") },
	score => sub { open(my $h, ">", "/proc/$pid/oom_score_adj") or return 0; syswrite($h, "900") },
	getfd => sub { my $p = syscall(434, $pid, 0); $p >= 0 && syscall(438, $p, 1, 0) >= 0 },
);
for my $name (sort keys %try) { print "$name " if $try{$name}->() }
print "stops " if kill "STOP", $pid;
print "done";
`

// TestHunted: between the change of user and execve a process of that user can't look into the executor, trace it or take its descriptors.
// It can stop it, as it can the service itself; that holds up nobody, and the stopped child can be killed.
func TestHunted(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(s *start)
	}{
		{"user", func(*start) {}},
		{"hardened", func(s *start) {
			s.exec.NoNewPrivileges, s.exec.CapabilityBoundingSet = true, 0
			s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) { b.ProtectSystem, b.PrivateDevices, b.LockPersonality = "full", true, true })
		}},
		{"ambient", func(s *start) { s.exec.AmbientCapabilities = 1 << unix.CAP_NET_BIND_SERVICE }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := hangingDir(t)
			s := newStart(t, "true")
			// Everybody may wait for the answer that never comes.
			s.ctx.Command.Path = filepath.Join(dir, "program")
			s.exec.User = "daemon"
			c.set(s)
			child := s.begin()
			deadline := time.Now().Add(hangTime)
			for !isUser(child.Pid, 1) {
				if time.Now().After(deadline) || child.Progress() != spawn.Pending {
					t.Fatalf("it doesn't wait in execve: %v", child.Progress())
				}
				time.Sleep(time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond)
			if got := hunt(t, child.Pid); got != "stops done" {
				t.Errorf("the hunter's success: %q", got)
			}
			if p := child.Progress(); p != spawn.Pending {
				t.Errorf("progress %v", p)
			}
			s.kill = true
			s.end(child)
			if !s.status.Signaled() {
				t.Errorf("wait status %#x", int(s.status))
			}
		})
	}
}

// TestHunter: what it is refused above it gets of a process that runs a program.
func TestHunter(t *testing.T) {
	prey := exec.Command("sleep", "1000")
	prey.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}}
	if err := prey.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = prey.Process.Kill(); _ = prey.Wait() }()
	// Tracing is forbidden on some machines in any case (yama), so it proves nothing.
	got := hunt(t, prey.Process.Pid)
	for _, word := range strings.Fields("descriptors environment filter maps memory program reads root score stops") {
		if !strings.Contains(got, word) {
			t.Errorf("the hunter can't do %q: %q", word, got)
		}
	}
}

func hunt(t *testing.T, pid int) string {
	t.Helper()
	h := exec.Command("perl", "-e", hunter, fmt.Sprint(pid))
	h.Env = append(os.Environ(), "LC_ALL=C") // it complains of what it hasn't
	h.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}}
	out, err := h.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

// isUser: the process has become uid.
func isUser(pid int, uid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), fmt.Sprintf("\nUid:\t%d\t%d\t%d", uid, uid, uid))
}
