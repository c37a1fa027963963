package manager

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

func TestGlobDirectory(t *testing.T) {
	for pattern, want := range map[string]string{
		"/a/b/*.x": "/a/b", "/a/b*/c": "/a", "/*": "/", "/a/[b]/c": "/a", "/a/b": "/a/b", "/{a,b}/c": "/", "/a/b?": "/a",
	} {
		if got := globDirectory(pattern); got != want {
			t.Errorf("%s: got %s, want %s", pattern, got, want)
		}
	}
}

// judgement waits for events and tells what they mean.
func judgement(t *testing.T, w *pathWatch, paths []unit.PathSpec) (index int, relevant bool) {
	t.Helper()
	for range 200 {
		list, err := w.inotify.Read()
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			return w.judge(list, paths)
		}
		time.Sleep(time.Millisecond)
	}
	return -1, false
}

// TestPathWatch checks what a change means: of the path itself, on the way to it, beside it.
func TestPathWatch(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "a/b/c")
	write := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, kind string
		prepare    func()
		do         func()
		index      int
		relevant   bool
	}{
		{"a file beside it", "PathExists", func() {}, func() { write(filepath.Join(dir, "a/b/other")) }, -1, false},
		{"it appears", "PathExists", func() {}, func() { write(target) }, -1, true},
		{"it is written", "PathChanged", func() { write(target) }, func() { write(target) }, 0, true},
		{"it is removed", "PathModified", func() { write(target) }, func() { _ = os.Remove(target) }, 0, true},
		{"a directory above moves", "PathExists", func() {}, func() { _ = os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "z")) }, -1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_ = os.Remove(target)
			test.prepare()
			paths := []unit.PathSpec{{Type: test.kind, Path: target}}
			w, err := newPathWatch(paths)
			if err != nil {
				t.Fatal(err)
			}
			defer w.inotify.Close()
			test.do()
			index, relevant := judgement(t, w, paths)
			if index != test.index || relevant != test.relevant {
				t.Errorf("got %d %v, want %d %v", index, relevant, test.index, test.relevant)
			}
		})
	}
}

// TestPathOverflow: when events were lost the path may have been touched.
func TestPathOverflow(t *testing.T) {
	w := &pathWatch{}
	lost := []kernel.InotifyEvent{{WD: -1, Mask: unix.IN_Q_OVERFLOW}}
	if i, ok := w.judge(lost, []unit.PathSpec{{Type: "PathExists"}, {Type: "PathChanged"}}); i != 1 || !ok {
		t.Errorf("with PathChanged=: %d %v", i, ok)
	}
	if i, ok := w.judge(lost, []unit.PathSpec{{Type: "PathExists"}}); i != -1 || !ok {
		t.Errorf("with PathExists= only: %d %v", i, ok)
	}
}
