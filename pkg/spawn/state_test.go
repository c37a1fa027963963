package spawn

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

func TestWriteState(t *testing.T) {
	path := t.TempDir()
	dir, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	for _, step := range []struct {
		f    plan.StateFile
		link string
		data string
	}{
		{plan.StateFile{Name: "a", Link: "one"}, "one", ""},
		{plan.StateFile{Name: "a", Link: "two"}, "two", ""},
		{plan.StateFile{Name: "a", Data: []byte("text")}, "", "text"},
		{plan.StateFile{Name: "a"}, "", ""},
		{plan.StateFile{Name: "a"}, "", ""},
	} {
		if err := writeState(dir, step.f); err != nil {
			t.Fatal(err)
		}
		link, _ := os.Readlink(filepath.Join(path, "a"))
		if link != step.link {
			t.Errorf("link %q, want %q", link, step.link)
		}
		if step.link == "" {
			if data, _ := os.ReadFile(filepath.Join(path, "a")); string(data) != step.data {
				t.Errorf("data %q, want %q", data, step.data)
			}
		}
	}
	if left, err := os.ReadDir(path); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestImage(t *testing.T) {
	if _, err := Image("/nonexistent"); err == nil {
		t.Error("an image of nothing")
	}
	fd, err := Image("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if !ImageFD(fd) {
		t.Error("the image is not sealed")
	}
	if _, err := unix.Write(fd, []byte("x")); err != unix.EPERM {
		t.Errorf("writing to it: %v", err)
	}
	if ImageFD(0) {
		t.Error("standard input passes for an image")
	}
}

// TestNoExecutor: a plan of tier 2 fails in the manager, with no process.
func TestNoExecutor(t *testing.T) {
	s, err := New(-1)
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Unit: "a.service", Tier: plan.TierExecutor, Paths: []string{"/bin/true"}, Argv: []string{"true"}, StatusFD: plan.None, IdleFD: plan.None}
	before, _ := os.ReadDir("/proc/self/fd")
	if _, err := s.Start(p, Options{}); err == nil {
		t.Error("started without an executor")
	}
	after, _ := os.ReadDir("/proc/self/fd")
	if len(before) != len(after) {
		t.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
}

// TestNotice: the status descriptor tells when the program was executed, and
// which step failed otherwise.
func TestNotice(t *testing.T) {
	s, err := New(-1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want Progress
	}{{"/bin/true", Executed}, {"/nonexistent", Failed}} {
		p := &plan.Plan{
			Unit: "a.service", Phase: "ExecStart", Tier: plan.TierOps, Paths: []string{c.path}, Argv: []string{"x"},
			StatusFD: plan.None, IdleFD: plan.None, NUMAPolicy: -1, Bounding: ^uint64(0),
		}
		child, err := s.Start(p, Options{Notice: true})
		if err != nil {
			t.Fatal(err)
		}
		for {
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(child.StatusFD), Events: unix.POLLIN}}, 120_000); err == unix.EINTR {
				continue
			} else if err != nil || n != 1 {
				t.Fatalf("no notice: %d, %v", n, err)
			}
			break
		}
		if got := child.Progress(); got != c.want {
			t.Errorf("%s: %v, want %v", c.path, got, c.want)
		}
		if _, err := unix.Wait4(child.Pid, nil, 0, nil); err != nil {
			t.Fatal(err)
		}
		child.Close()
		if f := child.Failure(); (f != nil) != (c.want == Failed) {
			t.Errorf("%s: failure %v", c.path, f)
		}
	}
}
