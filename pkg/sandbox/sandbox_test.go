package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// confined starts script with sandbox settings.
func confined(t *testing.T, script string, set func(s *start, b *unit.Sandbox)) *start {
	t.Helper()
	s := newStart(t, script)
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) { set(s, b) })
	return s
}

func ownNamespace(kind string) string {
	// What cannot be read gives a name that no namespace has.
	name, _ := os.Readlink("/proc/self/ns/" + kind)
	return name
}

func TestMounts(t *testing.T) {
	// canWrite prints one letter per path: w if a file can be made in it.
	const canWrite = `for d in "$@"; do if touch $d/.probe 2>/dev/null; then rm $d/.probe; printf w; else printf r; fi; done`
	cases := []struct {
		name, script, want string
		args               []string
		set                func(s *start, b *unit.Sandbox)
	}{
		{"ProtectSystem=yes", canWrite, "rrw", []string{"/usr", "/boot", "/etc"}, func(_ *start, b *unit.Sandbox) { b.ProtectSystem = "yes" }},
		{"ProtectSystem=full", canWrite, "rrw", []string{"/usr", "/etc", "/var"}, func(_ *start, b *unit.Sandbox) { b.ProtectSystem = "full" }},
		{"ProtectSystem=strict", canWrite, "rrrrww", []string{"/usr", "/etc", "/var", "/", "/dev/shm", "/root"}, func(_ *start, b *unit.Sandbox) { b.ProtectSystem = "strict" }},
		{"strict with ReadWritePaths", canWrite, "rwr", []string{"/var", "/var/tmp", "/var/lib"}, func(_ *start, b *unit.Sandbox) {
			b.ProtectSystem, b.ReadWritePaths = "strict", []string{"/var/tmp", "-/nonexistent/dir"}
		}},
		{"ReadOnlyPaths below ReadWritePaths", canWrite, "rwr", []string{"/", "/var", "/var/tmp"}, func(_ *start, b *unit.Sandbox) {
			b.ReadOnlyPaths, b.ReadWritePaths = []string{"/", "/var/tmp"}, []string{"/var"}
		}},
		{"ProtectHome=yes", `ls /root; cd /root 2>/dev/null && ls -d /root/.* | wc -l`, "2", nil, func(_ *start, b *unit.Sandbox) { b.ProtectHome = "yes" }},
		{"ProtectHome=read-only", canWrite, "rw", []string{"/root", "/tmp"}, func(_ *start, b *unit.Sandbox) { b.ProtectHome = "read-only" }},
		{"ProtectHome=tmpfs", `stat -f -c %T /root; ` + canWrite, "tmpfs\nr", []string{"/root"}, func(_ *start, b *unit.Sandbox) { b.ProtectHome = "tmpfs" }},
		{"InaccessiblePaths", `ls -A /var/lib | wc -l; stat -c %a /var/lib; cat /etc/hostname | wc -c; stat -c "%a %F" /etc/hostname`, "0\n0\n0\n0 regular empty file", nil,
			func(_ *start, b *unit.Sandbox) { b.InaccessiblePaths = []string{"/var/lib", "/etc/hostname"} }},
		{"below InaccessiblePaths", `ls -A /var/lib | wc -l`, "0", nil, func(_ *start, b *unit.Sandbox) {
			b.InaccessiblePaths, b.ReadWritePaths = []string{"/var/lib"}, []string{"/var/lib/dpkg"}
		}},
		{"TemporaryFileSystem", `stat -f -c %T /srv; stat -c %a /srv; ` + canWrite, "tmpfs\n700\nw", []string{"/srv"}, func(_ *start, b *unit.Sandbox) {
			b.TemporaryFileSystem = []unit.TemporaryFileSystem{{Path: "/srv", Options: "mode=0700"}}
		}},
		{"BindPaths in TemporaryFileSystem", `ls /var/lib; test -e /var/lib/dpkg/status && echo there`, "dpkg\nthere", nil, func(_ *start, b *unit.Sandbox) {
			b.TemporaryFileSystem = []unit.TemporaryFileSystem{{Path: "/var/lib", Options: "ro"}}
			b.BindPaths = []unit.BindPath{{Source: "/var/lib/dpkg", Destination: "/var/lib/dpkg", Recursive: true}}
		}},
		{"BindReadOnlyPaths", canWrite, "rw", []string{"/srv", "/var/tmp"}, func(_ *start, b *unit.Sandbox) {
			b.BindPaths = []unit.BindPath{{Source: "/var/tmp", Destination: "/srv", ReadOnly: true, Recursive: true}}
		}},
		{"ProtectKernelTunables", `test -w /proc/sys/kernel/hostname && echo w; echo x 2>/dev/null >/proc/sys/kernel/core_pattern || echo refused; cat /proc/kallsyms | wc -c`, "refused\n0", nil,
			func(_ *start, b *unit.Sandbox) { b.ProtectKernelTunables = true }},
		{"ProtectControlGroups", `grep ' /sys/fs/cgroup ' /proc/self/mountinfo | tail -n1 | cut -d" " -f6 | cut -d, -f1`, "ro", nil, func(_ *start, b *unit.Sandbox) { b.ProtectControlGroups = "yes" }},
		{"PrivateDevices", `cd /dev && ls | grep -v -e mqueue -e hugepages | tr "\n" " "; echo x >null && head -c1 zero | wc -c; touch /dev/x 2>/dev/null || echo ro`,
			"core fd full log null ptmx pts random shm stderr stdin stdout tty urandom zero 1\nro", nil,
			func(_ *start, b *unit.Sandbox) { b.PrivateDevices = true }},
		{"ProtectProc", `ls -d /proc/[0-9]* | wc -l`, "", nil, func(s *start, b *unit.Sandbox) {
			b.ProtectProc = "invisible"
			s.exec.User = "games" // who runs nothing else on the machine, as nobody may
		}},
		{"ProcSubset", `test -e /proc/meminfo || echo gone; test -e /proc/self/status && echo there`, "gone\nthere", nil, func(_ *start, b *unit.Sandbox) { b.ProcSubset = "pid" }},
		{"NoExecPaths", `/usr/bin/true && echo runs; d=$(mktemp -d); cp /usr/bin/true $d/probe; $d/probe 2>/dev/null || echo refused; rm -r $d`, "runs\nrefused", nil, func(_ *start, b *unit.Sandbox) {
			b.NoExecPaths, b.ExecPaths = []string{"/"}, []string{"/usr", "/bin", "-/lib64", "/lib"}
		}},
		{"PrivateNetwork", `cat /proc/net/dev | grep -c :; cat /sys/class/net/lo/flags`, "1\n0x9", nil, func(_ *start, b *unit.Sandbox) {
			b.PrivateNetwork = true
			b.BindPaths = nil
		}},
		{"PrivateIPC", `test "$(readlink /proc/self/ns/ipc)" = "$1" || echo own`, "own", []string{ownNamespace("ipc")}, func(_ *start, b *unit.Sandbox) { b.PrivateIPC = true }},
		{"ProtectHostname", `hostname elsewhere 2>/dev/null || echo refused`, "refused", nil, func(_ *start, b *unit.Sandbox) { b.ProtectHostname = "yes" }},
		{"PrivateUsers", `id -u; cat /proc/self/uid_map | tr -s " "; stat -c %u /etc/passwd; grep CapEff /proc/self/status | cut -f2`,
			"65534\n 0 0 1\n 65534 65534 1\n0\n0000000000000000", nil, func(s *start, b *unit.Sandbox) {
				b.PrivateUsers = "self"
				s.exec.User = "nobody"
			}},
		{"PrivateUsers of root", `id -u; cat /proc/self/uid_map | tr -s " "; mount -t tmpfs x /mnt 2>/dev/null || echo refused`,
			"0\n 0 0 1\nrefused", nil, func(s *start, b *unit.Sandbox) { b.PrivateUsers = "self" }},
		{"PrivateUsers=identity", `cat /proc/self/uid_map | tr -s " "`, "0 0 65536", nil, func(s *start, b *unit.Sandbox) { b.PrivateUsers = "identity" }},
		{"MountFlags", `grep " / / " /proc/self/mountinfo | tail -n1 | grep -c shared; true`, "0", nil, func(s *start, b *unit.Sandbox) { b.PrivateMounts, b.MountFlags = unit.Yes, 1<<18 }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := confined(t, c.script, c.set)
			s.ctx.Command.Argv = append(append(s.ctx.Command.Argv, "sh"), c.args...)
			out := s.ok()
			s.tier(plan.TierExecutor)
			if c.name == "ProtectProc" {
				// A shell, ls and wc are all there is of this user.
				if n := strings.TrimSpace(out); n != "3" && n != "2" && n != "4" {
					t.Errorf("%s processes are visible", n)
				}
				return
			}
			expect(t, out, c.want)
		})
	}
}

func TestPrivateTmp(t *testing.T) {
	s := confined(t, `ls -A /tmp | wc -l; stat -c %a /tmp; touch /tmp/mine /var/tmp/mine`, func(s *start, b *unit.Sandbox) {
		b.PrivateTmp = "yes"
		s.ctx.PrivateTmpDir = [2]string{s.dir + "/private-a", s.dir + "/private-b"}
	})
	expect(t, s.ok(), "0\n1777")
	for _, d := range s.ctx.PrivateTmpDir {
		if _, err := os.Stat(filepath.Join(d, "tmp/mine")); err != nil {
			t.Error(err)
		}
		if fi, err := os.Stat(d); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", d, fi.Mode(), err)
		}
	}
	// Somebody else's directory in the way is not used.
	if err := os.Chown(s.ctx.PrivateTmpDir[0], 1, 1); err != nil {
		t.Fatal(err)
	}
	s.fails(plan.ExitNamespace, "PrivateTmp")

	s = confined(t, `stat -f -c %T /tmp /var/tmp; stat -c %a /tmp`, func(s *start, b *unit.Sandbox) { b.PrivateTmp = "disconnected" })
	expect(t, s.ok(), "tmpfs\ntmpfs\n1777")
}

func TestNamespaceFailures(t *testing.T) {
	for _, c := range []struct {
		name, setting string
		status        uint8
		set           func(b *unit.Sandbox)
	}{
		{"missing ReadOnlyPaths", "ReadOnlyPaths", plan.ExitNamespace, func(b *unit.Sandbox) { b.ReadOnlyPaths = []string{"/nonexistent/dir"} }},
		{"missing BindPaths", "BindPaths", plan.ExitNamespace, func(b *unit.Sandbox) {
			b.BindPaths = []unit.BindPath{{Source: "/nonexistent/dir", Destination: "/srv"}}
		}},
		{"TemporaryFileSystem option", "TemporaryFileSystem", plan.ExitNamespace, func(b *unit.Sandbox) {
			b.TemporaryFileSystem = []unit.TemporaryFileSystem{{Path: "/srv", Options: "no-such-option"}}
		}},
		{"NetworkNamespacePath", "NetworkNamespacePath", plan.ExitNetwork, func(b *unit.Sandbox) { b.NetworkNamespacePath = "/nonexistent/ns" }},
		{"IPCNamespacePath", "IPCNamespacePath", plan.ExitNamespace, func(b *unit.Sandbox) { b.IPCNamespacePath = "/proc/self/ns/net" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			confined(t, "true", func(_ *start, b *unit.Sandbox) { c.set(b) }).fails(c.status, c.setting)
		})
	}
}

func TestFilters(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		for _, c := range []struct {
			name, script, want string
			set                func(s *start, b *unit.Sandbox)
		}{
			{"SystemCallFilter", `cd / && chmod 700 $1 2>&1 | grep -o "not permitted"; echo on`, "not permitted\non", func(_ *start, b *unit.Sandbox) {
				b.SystemCallFilter = unit.FilterList{Set: true, Names: []string{"fchmodat", "fchmodat2", "chmod"}}
				b.SystemCallErrorNumber = 1
			}},
			{"SystemCallFilter allow", `echo on; hostname x 2>/dev/null || echo refused`, "on\nrefused", func(_ *start, b *unit.Sandbox) {
				b.SystemCallFilter = unit.FilterList{Set: true, Allow: true, Names: []string{"@system-service"}}
				b.SystemCallErrorNumber = 1
			}},
			{"RestrictNamespaces", `unshare -n true 2>/dev/null || echo refused`, "refused", func(_ *start, b *unit.Sandbox) { b.RestrictNamespaces = 0 }},
			{"RestrictRealtime", `chrt -f 5 true 2>/dev/null || echo refused`, "refused", func(_ *start, b *unit.Sandbox) { b.RestrictRealtime = true }},
			{"RestrictSUIDSGID", `touch $1/f; chmod 4755 $1/f 2>/dev/null || echo refused; chmod 700 $1/f`, "refused", func(_ *start, b *unit.Sandbox) { b.RestrictSUIDSGID = true }},
			{"LockPersonality", `setarch i686 true 2>/dev/null || echo refused; true`, "refused", func(_ *start, b *unit.Sandbox) { b.LockPersonality = true }},
			{"MemoryDenyWriteExecute", `perl -e 'my $r = syscall(9, 0, 4096, 7, 0x22, -1, 0); print $r == -1 ? "refused" : "mapped"'`, "refused", func(_ *start, b *unit.Sandbox) { b.MemoryDenyWriteExecute = true }},
			{"RestrictAddressFamilies", `perl -e 'print syscall(41, 16, 3, 0) == -1 ? "refused" : "made"; print syscall(41, 1, 1, 0) == -1 ? " refused" : " made"'`, "refused made", func(_ *start, b *unit.Sandbox) {
				b.RestrictAddressFamilies = unit.FilterList{Set: true, Allow: true, Names: []string{"AF_UNIX", "AF_INET"}}
			}},
			{"SystemCallArchitectures", `echo on`, "on", func(_ *start, b *unit.Sandbox) { b.SystemCallArchitectures = []string{"native"} }},
			{"ProtectClock", `date -s 2020-01-01 2>/dev/null >/dev/null || echo refused; v=$(grep CapBnd /proc/self/status | cut -f2); echo $((0x$v & 0x802000000))`, "refused\n0", func(_ *start, b *unit.Sandbox) { b.ProtectClock = true }},
			{"no privileges needed", `grep -e NoNewPrivs -e Seccomp: /proc/self/status | cut -f2`, "0\n2", func(_ *start, b *unit.Sandbox) { b.LockPersonality = true }},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := confined(t, c.script, c.set)
				s.ctx.Command.Argv = append(s.ctx.Command.Argv, "sh", s.dir)
				force(s)
				expect(t, s.ok(), c.want)
			})
		}
	})
	// A user without capabilities gets filters without no_new_privs.
	s := confined(t, `id -u; grep -e NoNewPrivs -e Seccomp: -e CapEff /proc/self/status | cut -f2`, func(s *start, b *unit.Sandbox) {
		b.LockPersonality = true
		s.exec.User = "nobody"
	})
	expect(t, s.ok(), "65534\n0000000000000000\n0\n2")
}

func TestRootDirectory(t *testing.T) {
	s := newStart(t, `ls / | tr "\n" " "; test -e /proc/self && test -c /dev/null && echo api; pwd`)
	root := filepath.Join(s.dir, "root")
	for _, d := range []string{"usr", "srv", "lib64"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []string{"bin", "lib"} {
		if err := os.Symlink("usr/"+l, filepath.Join(root, l)); err != nil {
			t.Fatal(err)
		}
	}
	s.exec.RootDirectory, s.exec.WorkingDirectory = root, "/srv"
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) {
		b.BindPaths = []unit.BindPath{
			{Source: "/usr", Destination: "/usr", ReadOnly: true, Recursive: true},
			{Source: "/lib64", Destination: "/lib64", ReadOnly: true, Recursive: true},
		}
	})
	expect(t, s.ok(), "bin dev lib lib64 proc run srv sys usr api\n/srv")
}
