package sandbox_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// TestNewerSettings are those that the systemd the scenarios are compared with
// doesn't know, or where the effect isn't visible from a service alone.
func TestNewerSettings(t *testing.T) {
	set := func(f func(s *unit.Sandbox)) func(*unit.Exec) {
		return func(e *unit.Exec) { e.Sandbox = sandboxWith(f) }
	}
	for _, c := range []struct {
		name, script, want string
		set                func(e *unit.Exec)
	}{
		{"MemoryTHP=disable", `grep THP_enabled /proc/self/status | cut -f2`, "0", set(func(s *unit.Sandbox) { s.MemoryTHP = "disable" })},
		{"MemoryTHP=system", `grep THP_enabled /proc/self/status | cut -f2`, "1", set(func(s *unit.Sandbox) { s.MemoryTHP = "system" })},
		{"ProtectHostname=private:NAME", `cat /proc/sys/kernel/hostname; echo other >/proc/sys/kernel/hostname; cat /proc/sys/kernel/hostname`, "web\nother",
			set(func(s *unit.Sandbox) { s.ProtectHostname, s.PrivateHostname = "private", "web" })},
		{"ProtectHostname=private", `hostname seen && hostname`, "seen", set(func(s *unit.Sandbox) { s.ProtectHostname = "private" })},
		{"ProtectHostname=yes", `hostname seen 2>/dev/null || echo refused`, "refused", set(func(s *unit.Sandbox) { s.ProtectHostname = "yes" })},
		{"PrivateBPF", `grep -c " /sys/fs/bpf .* bpf " /proc/self/mountinfo`, "1", set(func(s *unit.Sandbox) { s.PrivateBPF = "yes" })},
		{"PrivatePIDs", `echo $$; set -- /proc/[0-9]*; echo $#`, "1\n1", set(func(s *unit.Sandbox) { s.PrivatePIDs = "yes" })},
		{"PrivatePIDs, PrivateUsers", `echo $$; id -u; wc -l </proc/self/uid_map`, "1\n0\n1",
			set(func(s *unit.Sandbox) { s.PrivatePIDs, s.PrivateUsers = "yes", "self" })},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStart(t, c.script)
			c.set(s.exec)
			expect(t, s.ok(), c.want)
			s.tier(plan.TierExecutor)
		})
	}
}

// TestMemoryTHP asks the process how huge pages are switched off (prctl(2), PR_GET_THP_DISABLE): 1 all, 3 all but those asked for by madvise(2). A kernel
// that can't do the latter makes the start fail.
func TestMemoryTHP(t *testing.T) {
	const exceptAdvised = 2
	script := fmt.Sprintf(`perl -e 'print syscall(%d, %d, 0, 0, 0, 0), "\n"'`, unix.SYS_PRCTL, unix.PR_GET_THP_DISABLE)
	for _, c := range []struct{ setting, want string }{{"inherit", "0"}, {"disable", "1"}, {"madvise", "3"}, {"system", "0"}} {
		t.Run(c.setting, func(t *testing.T) {
			s := newStart(t, script)
			s.exec.Sandbox = sandboxWith(func(s *unit.Sandbox) { s.MemoryTHP = c.setting })
			if c.setting == "madvise" {
				err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, exceptAdvised, 0, 0)
				if errors.Is(err, unix.EINVAL) {
					s.fails(plan.ExitMemoryTHP, "MemoryTHP")
					return
				}
				if err := errors.Join(err, unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0)); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, s.ok(), c.want)
		})
	}
}

// bpfDelegates says whether the kernel takes the options of a bpf file system that delegate (Linux 6.9).
func bpfDelegates(t *testing.T) bool {
	t.Helper()
	fs, err := unix.Fsopen("bpf", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fs)
	err = unix.FsconfigSetString(fs, "delegate_cmds", "0x1")
	if err != nil && !errors.Is(err, unix.EINVAL) {
		t.Fatal(err)
	}
	return err == nil
}

// TestBPFDelegation: what BPFDelegateCommands= and its neighbours name stands in the options of the file system, and a service with user and mount
// namespaces of its own gets tokens for it (bpf(2), BPF_TOKEN_CREATE), and only then. A kernel that can't makes the start fail.
func TestBPFDelegation(t *testing.T) {
	const token = 36
	// The kernel writes names where it knows its own types, else numbers.
	script := fmt.Sprintf(`tail -n 1 /proc/mounts | tr " ," "\n\n" | grep ^delegate_
perl -e 'use Fcntl; sysopen($d, "/sys/fs/bpf", O_RDONLY) or die; $a = pack("LL", 0, fileno($d)); $r = syscall(%d, %d, $a, 8); print $r < 0 ? "refused\n" : "token\n"'`, unix.SYS_BPF, token)
	for _, c := range []struct {
		setting, text, names, numbers string
		userns                        bool
	}{
		{"Commands", "BPFMapCreate,BPFTokenCreate", "delegate_cmds=map_create:token_create\ntoken", "delegate_cmds=0x1000000001\ntoken", true},
		{"Maps", "BPFMapTypeArray,BPFMapTypeRingbuf", "delegate_maps=array:ringbuf\ntoken", "delegate_maps=0x8000004\ntoken", true},
		{"Programs", "BPFProgTypeTracing,BPFProgTypeXdp", "delegate_progs=xdp:tracing\ntoken", "delegate_progs=0x4000040\ntoken", true},
		{"Attachments", "BPFFlowDissector,BPFNetfilter", "delegate_attachs=flow_dissector:netfilter\ntoken", "delegate_attachs=0x200000020000\ntoken", true},
		{"Maps", "any", "delegate_maps=any\ntoken", "delegate_maps=any\ntoken", true},
		{"Commands", "BPFMapCreate", "delegate_cmds=map_create\nrefused", "delegate_cmds=0x1\nrefused", false},
		{"Commands", "", "refused", "refused", true},
	} {
		t.Run(fmt.Sprint(c.setting, c.text, c.userns), func(t *testing.T) {
			s := newStart(t, script)
			s.exec.Sandbox = sandboxWith(func(s *unit.Sandbox) {
				s.PrivateBPF = "yes"
				*map[string]*string{"Commands": &s.BPFDelegateCommands, "Maps": &s.BPFDelegateMaps, "Programs": &s.BPFDelegatePrograms, "Attachments": &s.BPFDelegateAttachments}[c.setting] = c.text
				if c.userns {
					s.PrivateUsers, s.DelegateNamespaces = "self", unix.CLONE_NEWNS
				}
			})
			switch {
			case c.text == "" || bpfDelegates(t):
				if got := strings.TrimSpace(s.ok()); got != c.names && got != c.numbers {
					t.Errorf("want %s, got %s", c.names, got)
				}
			case c.userns:
				s.fails(plan.ExitBPF, "BPFDelegate"+c.setting)
			default:
				s.fails(plan.ExitNamespace, "PrivateBPF")
			}
		})
	}
}

// nsOwner prints the user namespace that owns a namespace (ioctl_ns(2)).
const nsOwner = `perl -e 'for (@ARGV) { open($f, "<", "/proc/self/ns/$_") or die; $n = ioctl($f, 0xb701, 0); if (!defined $n) { print "$_ out-of-sight\n"; next } open($u, "<&=", $n) or die; print "$_ ", (stat $u)[1], "\n" }; print "user ", (stat "/proc/self/ns/user")[1], "\n"' `

// TestDelegateNamespaces: what is delegated belongs to the service's user
// namespace, the rest to ours.
func TestDelegateNamespaces(t *testing.T) {
	s := newStart(t, nsOwner+`mnt net uts; grep -c "lo:" /proc/net/dev; umount /usr 2>/dev/null || echo kept`)
	s.exec.Sandbox = sandboxWith(func(s *unit.Sandbox) {
		s.PrivateNetwork, s.ProtectHostname, s.ProtectSystem = true, "private", "yes"
		s.DelegateNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET
	})
	lines := strings.Split(strings.TrimSpace(s.ok()), "\n")
	if len(lines) != 6 {
		t.Fatalf("output %q", lines)
	}
	got := map[string]string{}
	for _, l := range lines[:4] {
		name, ino, _ := strings.Cut(l, " ")
		got[name] = ino
	}
	if got["mnt"] != got["user"] || got["net"] != got["user"] || got["uts"] != "out-of-sight" {
		t.Errorf("owners %v: want mnt and net to be of the service's user namespace, uts not", got)
	}
	// What the sandbox mounted can't be taken off by the owner of the copy.
	if lines[4] != "1" || lines[5] != "kept" {
		t.Errorf("network and mounts: %q", lines[4:])
	}
}

// TestUserNamespacePath: the service runs in a user namespace that is there.
func TestUserNamespacePath(t *testing.T) {
	holder := exec.Command("unshare", "--user", "--map-root-user", "cat")
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = holder.Wait() }()
	path := "/proc/" + strconv.Itoa(holder.Process.Pid) + "/ns/user"
	own, _ := os.Readlink("/proc/self/ns/user")
	want := own
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if want, err = os.Readlink(path); err == nil && want != own {
			break
		}
		if time.Since(began) > hangTime {
			t.Fatalf("%s is %q: %v", path, want, err)
		}
	}
	s := newStart(t, `readlink /proc/self/ns/user`)
	s.exec.Sandbox = sandboxWith(func(s *unit.Sandbox) { s.UserNamespacePath = path })
	expect(t, s.ok(), want)

	s = newStart(t, `true`)
	s.exec.Sandbox = sandboxWith(func(s *unit.Sandbox) { s.UserNamespacePath = "/nonexistent/ns" })
	s.fails(plan.ExitUser, "UserNamespacePath")
}
