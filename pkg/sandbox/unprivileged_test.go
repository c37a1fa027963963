package sandbox_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

const unprivilegedVar = "MUSTER_TEST_UNPRIVILEGED"

// TestUserManager starts services like a --user manager does: the test runs
// again as nobody and is its own manager there.
func TestUserManager(t *testing.T) {
	if dir := os.Getenv(unprivilegedVar); dir != "" {
		asUser(t, dir)
		return
	}
	s := newStart(t, "") // makes the directories above reachable
	const nobody = 65534
	home := filepath.Join(s.dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(s.dir, "self")
	image, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, image, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestUserManager$")
	cmd.Env = []string{unprivilegedVar + "=" + home, "HOME=" + home, "TMPDIR=" + home}
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func asUser(t *testing.T, home string) {
	image, err := spawn.Image("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	spawner, err := spawn.New(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		set        func(e *unit.Exec)
		failure    string
	}{
		{"plain", "65534 0 " + home, func(*unit.Exec) {}, ""},
		{"limits are cut", "65534 0 " + home, func(e *unit.Exec) {
			e.Limits[unit.RLimitNOFILE] = &value.Rlimit{Soft: 1 << 30, Hard: 1 << 30}
		}, ""},
		{"oom score stays", "65534 0 " + home, func(e *unit.Exec) { e.OOMScoreAdjust = unit.Some[int32](-500) }, ""},
		{"filters imply no_new_privs", "65534 1 " + home, func(e *unit.Exec) { e.Sandbox = sandboxWith(func(s *unit.Sandbox) { s.LockPersonality = true }) }, ""},
		{"directories", "65534 0 " + home, func(e *unit.Exec) { e.StateDirectory.Items = items("mine/deep") }, ""},
		{"own name", "65534 0 " + home, func(e *unit.Exec) { e.User = "nobody" }, ""},
		{"other user", "", func(e *unit.Exec) { e.User = "daemon" }, "SupplementaryGroups"},
		{"bounding set", "", func(e *unit.Exec) { e.CapabilityBoundingSet = 0 }, "CapabilityBoundingSet"},
		{"mounts", "", func(e *unit.Exec) {
			e.Sandbox = sandboxWith(func(s *unit.Sandbox) { s.TemporaryFileSystem = []unit.TemporaryFileSystem{{Path: "/srv"}} })
		}, "mount namespace"},
	} {
		u := unit.New("probe.service", unit.NewDefaults(unit.DefaultManagerConfig(false)))
		e := *u.GetExec()
		u.Exec = &e
		out := filepath.Join(home, "out")
		e.StandardOutput = unit.Stdio{Kind: "truncate", Arg: out}
		c.set(&e)
		p, err := execplan.Build(u, execplan.Context{
			Phase: "ExecStart", UserMode: true, UID: 65534,
			Prefixes:   plan.Prefixes{home + "/run", home + "/state", home + "/cache", home + "/log", home + "/config"},
			Command:    value.Command{Path: "/bin/sh", Argv: []string{"sh", "-c", `echo $(id -u) $(grep NoNewPrivs /proc/self/status | cut -f2) $HOME`}, Flags: value.CommandNoEnvExpand},
			ManagerEnv: []string{"PATH=/usr/bin:/bin", "HOME=" + home, "USER=nobody"},
		})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		child, err := spawner.Start(p, spawn.Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := unix.Wait4(child.Pid, nil, 0, nil); err != nil {
			t.Fatal(err)
		}
		child.Close()
		f := child.Failure()
		if (f != nil) != (c.failure != "") || f != nil && f.Setting != c.failure {
			t.Errorf("%s: failure %v, want %q", c.name, f, c.failure)
			continue
		}
		if text, _ := os.ReadFile(out); f == nil && strings.TrimSpace(string(text)) != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
	if fi, err := os.Stat(home + "/state/mine/deep"); err != nil || !fi.IsDir() {
		t.Errorf("directory: %v", err)
	}
}
