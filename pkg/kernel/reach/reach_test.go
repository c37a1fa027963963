package reach

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deaf mounts a FUSE file system whose daemon never answers.
func deaf(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a file system")
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no FUSE on this machine: ", err)
	}
	if err := unix.Mount("hang", dir, "fuse.hang", unix.MS_NODEV|unix.MS_NOSUID, "fd="+strconv.Itoa(fd)+",rootmode=40000,user_id=0,group_id=0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(fd) // who waits gets an error now
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	})
}

func TestHangs(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "dead"), 0o755); err != nil {
		t.Fatal(err)
	}
	dead, file := filepath.Join(dir, "dead"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("here"), 0o644); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := Stat(unix.AT_FDCWD, dead, dead, 0, &st); err != nil {
		t.Fatal(err)
	}
	deaf(t, dead)
	began := time.Now()
	look := map[string]func() error{
		"stat":      func() error { return Stat(unix.AT_FDCWD, dead, dead, 0, &st) },
		"stat file": func() error { return Stat(unix.AT_FDCWD, dead+"/x", dead+"/x", 0, &st) },
		"lstat":     func() error { return Stat(unix.AT_FDCWD, dead, dead, unix.AT_SYMLINK_NOFOLLOW, &st) },
		"list":      func() error { return Do(dead, func() { _, _ = os.ReadDir(dead) }) },
		"entry": func() error {
			d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(d)
			return Stat(d, "dead", dead, unix.AT_SYMLINK_NOFOLLOW, &st)
		},
	}
	for name, f := range look {
		if err := f(); !errors.Is(err, ErrHangs) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(began); took > 4*remoteLimit { // of the five there are
		t.Errorf("they took %v together: only the first may wait", took)
	}
	var text []byte
	if err := Do(file, func() { text, _ = os.ReadFile(file) }); err != nil || string(text) != "here" {
		t.Errorf("a file beside it: %q, %v", text, err)
	}
}

func TestStatAgrees(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("12345"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(d)
	for range 2 { // not known, then known
		for _, c := range []struct {
			at, flags  int
			name, path string
		}{{d, unix.AT_SYMLINK_NOFOLLOW, "file", file}, {d, unix.AT_SYMLINK_NOFOLLOW, "link", link}, {d, 0, "link", link}, {unix.AT_FDCWD, 0, file, file}} {
			var got, want unix.Stat_t
			if err := Stat(c.at, c.name, c.path, c.flags, &got); err != nil {
				t.Fatal(err)
			}
			if err := unix.Fstatat(unix.AT_FDCWD, c.path, &want, c.flags); err != nil {
				t.Fatal(err)
			}
			if got.Dev != want.Dev || got.Ino != want.Ino || got.Mode != want.Mode || got.Size != want.Size || got.Mtim != want.Mtim || got.Ctim != want.Ctim || got.Uid != want.Uid {
				t.Errorf("%s: %+v instead of %+v", c.path, got, want)
			}
		}
	}
	var st unix.Stat_t
	if err := Stat(unix.AT_FDCWD, dir+"/none", dir+"/none", 0, &st); err != unix.ENOENT {
		t.Errorf("nothing there: %v", err)
	}
}
