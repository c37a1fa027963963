package sandbox_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
)

// carry starts a plan that is not of Build and expects it to succeed.
func carry(t *testing.T, p *plan.Plan) {
	t.Helper()
	if p == nil {
		t.Fatal("nothing to do")
	}
	spawner, err := spawn.New(image)
	if err != nil {
		t.Fatal(err)
	}
	child, err := spawner.Start(p, spawn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(child.Pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	child.Close()
	if f := child.Failure(); f != nil || !status.Exited() || status.ExitStatus() != 0 {
		t.Fatalf("status %#x, failure %v", int(status), f)
	}
}

func TestCleanup(t *testing.T) {
	s := newStart(t, "touch /dev/shm/"+own("ipc")+"; ipcmk -M 4096 >/dev/null")
	p := s.prefixes()
	s.exec.User = "daemon"
	s.exec.RuntimeDirectory.Items = []unit.DirectoryItem{{Path: "deep/run", Symlinks: []string{"alias"}}}
	s.exec.StateDirectory.Items = items("state")
	s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) { b.PrivateTmp, b.RemoveIPC = "yes", true })
	s.ctx.InvocationID = [16]byte{7, 7, 7}
	s.ok()
	// The private /tmp hides this test's own directories from the service.
	if err := os.WriteFile(p[0]+"/deep/run/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tmp := execplan.PrivateTmpDirs(s.unit.Name, s.ctx.BootID, s.ctx.InvocationID)
	there := []string{p[0] + "/deep/run/file", p[0] + "/alias", tmp[0] + "/tmp", tmp[1] + "/tmp", "/dev/shm/" + own("ipc")}
	for _, path := range there {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	carry(t, execplan.Cleanup(s.unit, s.ctx, false))
	for _, path := range append(there, tmp[0], tmp[1], p[0]+"/deep/run") {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	if _, err := os.Stat(p[1] + "/state"); err != nil {
		t.Error(err)
	}
	carry(t, execplan.Cleanup(s.unit, s.ctx, false)) // nothing is left, no error
	carry(t, execplan.Clean(s.unit, s.ctx, []string{"state"}))
	if _, err := os.Stat(p[1] + "/state"); err == nil {
		t.Error("state is still there")
	}
}

// TestRemoveTree does not leave the directory by a link.
func TestRemoveTree(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	for _, d := range []string{"precious", "run/a/b"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(precious+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, l := range []string{"run/a/link", "run/outside"} {
		if err := os.Symlink(precious, filepath.Join(dir, l)); err != nil {
			t.Fatal(err)
		}
	}
	if err := spawn.RemoveTree(dir+"/run", "a"); err != nil {
		t.Error(err)
	}
	if err := spawn.RemoveTree(dir+"/run", "outside/file"); err == nil {
		t.Error("a link was followed")
	}
	if err := spawn.RemoveTree(dir+"/run", "../precious"); err == nil {
		t.Error("a path leaves its prefix")
	}
	if _, err := os.Stat(precious + "/file"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir + "/run/a"); err == nil {
		t.Error("the directory is still there")
	}
}

// TestCleanNow: small things on a tmpfs go at once, the rest is left to the
// executor.
func TestCleanNow(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "muster-test-") // a tmpfs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, path := range []string{"small/deep", "big"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400 {
		if err := os.WriteFile(filepath.Join(dir, "big", strconv.Itoa(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("small", filepath.Join(dir, "alias")); err != nil {
		t.Fatal(err)
	}
	disk := t.TempDir()
	c := &plan.Cleanup{Directories: []plan.CleanupDirectory{
		{Prefix: dir, Path: "small", Symlinks: []string{"alias", "absent/too"}}, {Prefix: dir, Path: "absent"}, {Prefix: dir, Path: "big"}, {Prefix: disk, Path: "x", Private: true},
	}}
	if !spawn.CleanNow(c) {
		t.Error("nothing is left for the executor")
	}
	if len(c.Directories) != 2 || c.Directories[0].Path != "big" || c.Directories[1].Path != "x" {
		t.Errorf("left: %+v", c.Directories)
	}
	for _, path := range []string{"small", "alias"} {
		if _, err := os.Lstat(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	// What is mounted inside is left alone and not touched.
	if err := os.MkdirAll(dir+"/mounted/fs", 0o755); err != nil {
		t.Fatal(err)
	}
	hang := dir + "/mounted/fs"
	if err := unix.Mount("muster-test", hang, "tmpfs", 0, "size=4k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(hang, unix.MNT_DETACH)
	c = &plan.Cleanup{Directories: []plan.CleanupDirectory{{Prefix: dir, Path: "mounted"}}}
	if !spawn.CleanNow(c) {
		t.Error("a mount was removed")
	}
}
