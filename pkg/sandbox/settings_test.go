package sandbox_test

import (
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
