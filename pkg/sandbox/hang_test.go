package sandbox_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
)

// hangingDir mounts a file system whose server, this test, never answers.
func hangingDir(t *testing.T) string {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("this test needs FUSE: %v", err)
	}
	dir := t.TempDir()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)
	if err := unix.Mount("muster-test", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fd)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(fd)
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestHangingPaths: whatever path of a unit hangs, the manager does not.
func TestHangingPaths(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(s *start, path string)
	}{
		{"StandardOutput", func(s *start, path string) { s.exec.StandardOutput.Arg = path }},
		{"WorkingDirectory", func(s *start, path string) { s.exec.WorkingDirectory = path }},
		{"ExecStart", func(s *start, path string) { s.ctx.Command.Path = path }},
		{"RootDirectory", func(s *start, path string) { s.exec.RootDirectory = path }},
		{"EnvironmentFile", func(s *start, path string) { s.exec.EnvironmentFiles = []unit.EnvironmentFile{{Path: path}} }},
		{"ReadOnlyPaths", func(s *start, path string) {
			s.exec.Sandbox = sandboxWith(func(b *unit.Sandbox) { b.ReadOnlyPaths = []string{path} })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := hangingDir(t)
			s := newStart(t, "true")
			c.set(s, filepath.Join(dir, "file"))
			begun := time.Now()
			child := s.begin()
			if took := time.Since(begun); took > hangTime {
				t.Errorf("the start took %v", took)
			}
			time.Sleep(50 * time.Millisecond)
			if p := child.Progress(); p != spawn.Pending {
				t.Errorf("progress %v, want it to hang", p)
			}
			// A child that hangs can be killed, like any other.
			s.kill = true
			s.end(child)
			if !s.status.Signaled() {
				t.Errorf("wait status %#x, failure %v", int(s.status), s.failure)
			}
		})
	}
}

// BenchmarkStart measures a start until the program has run, and how long the
// caller is kept.
func BenchmarkStart(b *testing.B) {
	// The executor as it is built is smaller than this test.
	fd, err := spawn.Image("../../bin/muster-executor")
	if err != nil {
		b.Log(err)
		fd, err = spawn.Image("/proc/self/exe")
	}
	if err != nil {
		b.Fatal(err)
	}
	spawner, err := spawn.New(fd)
	if err != nil {
		b.Fatal(err)
	}
	u := unit.New("bench.service", nil)
	ctx := execplan.Context{Phase: "ExecStart", ManagerEnv: []string{"PATH=/usr/bin", "LANG=C.UTF-8"}}
	ctx.Command.Path, ctx.Command.Argv = "/bin/true", []string{"/bin/true"}
	ctx.InvocationID[0] = 1
	for _, c := range []struct {
		name string
		set  func(e *unit.Exec)
	}{
		{"ops", func(*unit.Exec) {}},
		{"executor", func(e *unit.Exec) { e.User = "daemon" }},
		{"namespace", func(e *unit.Exec) {
			e.User = "daemon"
			e.Sandbox = sandboxWith(func(s *unit.Sandbox) { s.ProtectSystem, s.PrivateDevices = "strict", true })
		}},
		{"hardened", func(e *unit.Exec) {
			e.User, e.NoNewPrivileges, e.CapabilityBoundingSet = "daemon", true, 0
			e.Sandbox = sandboxWith(func(s *unit.Sandbox) {
				s.PrivateTmp, s.ProtectSystem, s.ProtectHome, s.PrivateDevices = "disconnected", "strict", "yes", true
				s.ProtectKernelTunables, s.ProtectKernelModules, s.ProtectKernelLogs, s.ProtectControlGroups = true, true, true, "yes"
				s.RestrictNamespaces, s.MemoryDenyWriteExecute = 0, true
				s.RestrictAddressFamilies = unit.FilterList{Set: true, Allow: true, Names: []string{"AF_UNIX", "AF_INET"}}
				s.SystemCallFilter = unit.FilterList{Set: true, Allow: true, Names: []string{"@system-service"}}
			})
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := *u.GetExec()
			c.set(&e)
			u.Exec = &e
			var kept time.Duration
			for range b.N {
				begun := time.Now()
				p, err := execplan.Build(u, ctx)
				if err != nil {
					b.Fatal(err)
				}
				child, err := spawner.Start(p, spawn.Options{})
				if err != nil {
					b.Fatal(err)
				}
				kept += time.Since(begun)
				if _, err := unix.Wait4(child.Pid, nil, 0, nil); err != nil {
					b.Fatal(err)
				}
				child.Close()
				if f := child.Failure(); f != nil {
					b.Fatal(f)
				}
			}
			b.ReportMetric(float64(kept.Microseconds())/float64(b.N), "µs-kept/op")
		})
	}
}
