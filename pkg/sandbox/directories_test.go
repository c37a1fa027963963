package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
)

func items(paths ...string) []unit.DirectoryItem {
	var list []unit.DirectoryItem
	for _, p := range paths {
		list = append(list, unit.DirectoryItem{Path: p})
	}
	return list
}

// owner gives mode and owner of a path, not following links.
func owner(t *testing.T, path string) (os.FileMode, int) {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode(), int(fi.Sys().(*syscall.Stat_t).Uid)
}

func TestDirectories(t *testing.T) {
	s := newStart(t, `echo $RUNTIME_DIRECTORY $STATE_DIRECTORY $CACHE_DIRECTORY $LOGS_DIRECTORY $CONFIGURATION_DIRECTORY; touch $CACHE_DIRECTORY/mine`)
	p := s.prefixes()
	s.exec.User, s.exec.UMask = "daemon", 0o077
	s.exec.RuntimeDirectory = unit.Directory{Items: items("one", "two/three"), Mode: 0o2750}
	s.exec.StateDirectory = unit.Directory{Items: []unit.DirectoryItem{{Path: "state", Symlinks: []string{"links/alias"}}}, Mode: 0o700}
	s.exec.CacheDirectory.Items, s.exec.LogsDirectory.Items, s.exec.ConfigurationDirectory.Items = items("cache"), items("logs"), items("conf")
	// Something of another owner in a directory that exists already.
	old := filepath.Join(p[plan.DirState], "state")
	if err := os.MkdirAll(filepath.Join(old, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(old, "deep/link")); err != nil {
		t.Fatal(err)
	}
	want := p[0] + "/one:" + p[0] + "/two/three " + p[1] + "/state " + p[2] + "/cache " + p[3] + "/logs " + p[4] + "/conf"
	expect(t, s.ok(), want)
	for _, c := range []struct {
		path string
		mode os.FileMode
		uid  int
	}{
		{p[0] + "/one", os.ModeDir | os.ModeSetgid | 0o750, 1}, {p[0] + "/two", os.ModeDir | 0o755, 0}, {p[0] + "/two/three", os.ModeDir | os.ModeSetgid | 0o750, 1},
		{old, os.ModeDir | 0o700, 1}, {old + "/deep", os.ModeDir | 0o755, 1}, {old + "/deep/link", os.ModeSymlink | 0o777, 1},
		{p[2] + "/cache/mine", 0o600, 1}, {p[4] + "/conf", os.ModeDir | 0o755, 0}, {"/etc/passwd", 0o644, 0},
	} {
		if mode, uid := owner(t, c.path); mode != c.mode || uid != c.uid {
			t.Errorf("%s: %v of %d, want %v of %d", c.path, mode, uid, c.mode, c.uid)
		}
	}
	if got, err := os.Readlink(p[1] + "/links/alias"); err != nil || got != "../state" {
		t.Errorf("symlink %q, %v", got, err)
	}
	s.exec.StandardOutput.Kind = "truncate"
	expect(t, s.ok(), want) // all is there now
}

// TestDirectoryRaces: a link left by the service's own user is not followed.
func TestDirectoryRaces(t *testing.T) {
	s := newStart(t, `true`)
	p := s.prefixes()
	s.exec.User = "daemon"
	target := filepath.Join(s.dir, "precious")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, p[plan.DirState]+"/state"); err != nil {
		t.Fatal(err)
	}
	s.exec.StateDirectory.Items = items("state")
	s.fails(plan.ExitStateDirectory, "StateDirectory")

	s = newStart(t, `true`)
	p = s.prefixes()
	s.exec.User = "daemon"
	mine := p[plan.DirState] + "/mine"
	if err := os.Mkdir(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(mine, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, mine+"/sub"); err != nil {
		t.Fatal(err)
	}
	s.exec.StateDirectory.Items = items("mine/sub/dir")
	s.fails(plan.ExitStateDirectory, "StateDirectory")
	if _, uid := owner(t, target); uid != 0 {
		t.Errorf("the target of the link belongs to %d", uid)
	}
}

func TestEnvironment(t *testing.T) {
	s := newStart(t, `echo "$A|$B|$C|$D|$E|$PATH"; echo "$@"`)
	for name, text := range map[string]string{"one.env": "B=file\nC=\"two words\"\n# comment\nnot an assignment\n", "two.env": "C=later\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.exec.Environment = []string{"A=unit", "B=unit", "D=gone", "W=x  y"}
	s.exec.EnvironmentFiles = []unit.EnvironmentFile{{Path: s.dir + "/*.env"}, {Path: "/nonexistent", Optional: true}}
	s.exec.PassEnvironment, s.ctx.OwnEnv = []string{"E", "F"}, []string{"E=own", "G=own"}
	s.exec.UnsetEnvironment = []string{"D", "A=other"}
	s.exec.ExecSearchPath = []string{"/usr/bin", "/bin"}
	s.ctx.Command.Flags = 0
	s.ctx.Command.Argv[2] = strings.ReplaceAll(s.ctx.Command.Argv[2], "$", "$$")
	s.ctx.Command.Argv = append(s.ctx.Command.Argv, "sh", "${C}", "$W", "x$A", "$SYSTEMD_EXEC_PID-", "$UNSET", "${UNSET}")
	out := strings.Split(s.ok(), "\n")
	if out[0] != "unit|file|later||own|/usr/bin:/bin" {
		t.Errorf("variables %q", out[0])
	}
	if f := strings.Fields(out[1]); strings.Join(f, " ") != "later x y x$A" {
		t.Errorf("arguments %q", out[1])
	}
}

func TestSearchPath(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		s := newStart(t, `echo found`)
		s.ctx.Command.Path = "sh"
		s.exec.ExecSearchPath = []string{"/nonexistent", s.dir, "/bin"}
		force(s)
		expect(t, s.ok(), "found")
	})
}

func TestViaShell(t *testing.T) {
	s := newStart(t, `echo $0 $SHELL`)
	s.exec.User = "root"
	s.ctx.Command.Argv = []string{"sh", "-c", "echo $0"}
	s.ctx.Command.Flags |= 1 << 5
	expect(t, s.ok(), "sh")
}

func TestDynamicUser(t *testing.T) {
	s := newStart(t, `id -u; echo $USER $STATE_DIRECTORY; cd $P && touch mine; touch /usr/x 2>/dev/null || echo strict; grep NoNewPrivs /proc/self/status | cut -f2; ls -A /tmp`)
	name := own("dynamic")
	s.unit.Name = name + ".service"
	p := s.prefixes()
	s.exec.DynamicUser = true
	s.exec.StateDirectory.Items = items("state")
	s.exec.Environment = []string{"P=" + p[1] + "/private/state"} // the link to it is in /tmp, of which the service has its own
	s.ctx.PrivateTmpDir = [2]string{s.dir + "/a", s.dir + "/b"}
	t.Cleanup(func() {
		if err := spawn.ReleaseDynamicUser(name); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(spawn.DynamicUserDir + "/direct:" + name); err == nil {
			t.Error("the user is still taken")
		}
	})
	out := strings.Split(s.ok(), "\n")
	if out[0] < "61184" || out[0] > "65519" || out[1] != name+" "+p[1]+"/state" || out[2] != "strict" || out[3] != "1" {
		t.Errorf("output %q", out)
	}
	if link, err := os.Readlink(p[1] + "/state"); err != nil || link != "private/state" {
		t.Errorf("link %q, %v", link, err)
	}
	if mode, _ := owner(t, p[1]+"/private"); mode.Perm() != 0o700 {
		t.Errorf("private is %v", mode)
	}
	again := strings.Split(s.ok(), "\n")
	if again[0] != out[0] {
		t.Errorf("uid %s, was %s", again[0], out[0])
	}
	// Without DynamicUser= the directory comes back.
	s.exec.DynamicUser, s.exec.User = false, "daemon"
	s.ctx.Command.Argv[2] = "ls $STATE_DIRECTORY"
	s.exec.StandardOutput.Kind = "truncate"
	expect(t, s.ok(), "mine")
	if mode, uid := owner(t, p[1]+"/state"); !mode.IsDir() || uid != 1 {
		t.Errorf("state is %v of %d", mode, uid)
	}
}
