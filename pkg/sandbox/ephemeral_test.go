package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEphemeral: the commands of an activation share one copy, in which everything is as in the original, and the original stays as it is.
func TestEphemeral(t *testing.T) {
	dir := t.TempDir()
	source, place := filepath.Join(dir, "source"), filepath.Join(dir, "trees", "web-1")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(source+"/sub/empty", 0o755))
	must(os.WriteFile(source+"/file", []byte("original"), 0o640))
	must(os.Link(source+"/file", source+"/sub/hard"))
	must(os.Symlink("../file", source+"/sub/soft"))
	must(unix.Mkfifo(source+"/fifo", 0o600))
	must(os.Chown(source+"/file", 33, 44))
	must(unix.Chmod(source+"/sub", 0o1751))
	sparse, err := os.Create(source + "/sparse")
	must(err)
	_, err = sparse.WriteAt([]byte("end"), 8<<20)
	must(err)
	must(sparse.Close())
	must(os.MkdirAll(filepath.Dir(place), 0o755))
	must(os.MkdirAll(place, 0o700)) // with what a start that was killed has left
	must(os.WriteFile(place+"/root.part0", nil, 0o600))

	copied, err := ephemeral(place, source)
	must(err)
	var a, b unix.Stat_t
	must(unix.Stat(copied+"/file", &a))
	must(unix.Stat(copied+"/sub/hard", &b))
	if a.Ino != b.Ino || a.Nlink != 2 || a.Uid != 33 || a.Gid != 44 || a.Mode&0o7777 != 0o640 {
		t.Errorf("file: %+v, its link is %d", a, b.Ino)
	}
	must(unix.Stat(source+"/file", &b))
	if a.Mtim != b.Mtim || a.Ino == b.Ino {
		t.Errorf("times %v and %v, inodes %d and %d", a.Mtim, b.Mtim, a.Ino, b.Ino)
	}
	must(unix.Stat(copied+"/sub", &a))
	if a.Mode&0o7777 != 0o1751 {
		t.Errorf("mode of a directory: %o", a.Mode)
	}
	if text, err := os.ReadFile(copied + "/sub/soft"); string(text) != "original" {
		t.Errorf("by the link: %q, %v", text, err)
	}
	must(unix.Stat(copied+"/sparse", &a))
	if a.Size != 8<<20+3 || a.Blocks > 2048 {
		t.Errorf("sparse file of %d bytes has %d blocks", a.Size, a.Blocks)
	}
	must(unix.Lstat(copied+"/fifo", &a))
	if a.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("fifo: %o", a.Mode)
	}

	must(os.WriteFile(copied+"/file", []byte("changed"), 0o640))
	again, err := ephemeral(place, source)
	if text, _ := os.ReadFile(again + "/file"); again != copied || string(text) != "changed" || err != nil {
		t.Errorf("the second command: %s with %q, %v", again, text, err)
	}
	if text, _ := os.ReadFile(source + "/file"); string(text) != "original" {
		t.Errorf("the original is %q", text)
	}
	if path, err := ephemeral(filepath.Join(dir, "trees", "web-2"), source+"/file"); err != nil {
		t.Error(err)
	} else if text, _ := os.ReadFile(path); string(text) != "original" {
		t.Errorf("copy of a file: %q", text)
	}
}
