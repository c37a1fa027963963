package generator

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestList(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("usr/a", "#!/bin/sh\n", 0o755)
	write("usr/b", "#!/bin/sh\n", 0o755)
	write("usr/c", "#!/bin/sh\n", 0o755)
	write("usr/readme", "text", 0o644)
	write("etc/a", "#!/bin/sh\n", 0o755)
	write("etc/b", "", 0o644)
	if err := os.Symlink("/dev/null", filepath.Join(root, "etc/c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("usr", filepath.Join(root, "merged")); err != nil {
		t.Fatal(err)
	}
	write("usr/d", "#!/bin/sh\n", 0o755)
	got := List(root, []string{"/etc", "/usr", "/merged", "/missing"})
	want := []string{filepath.Join(root, "etc/a"), filepath.Join(root, "usr/d")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestEnvironment(t *testing.T) {
	got := Context{Virtualization: "docker", Container: true, Architecture: "x86-64", FirstBoot: true}.Environment([]string{"PATH=/bin"})
	want := []string{"PATH=/bin", "SYSTEMD_SCOPE=system", "SYSTEMD_IN_INITRD=0", "SYSTEMD_FIRST_BOOT=1", "SYSTEMD_VIRTUALIZATION=container:docker", "SYSTEMD_ARCHITECTURE=x86-64"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if env := (Context{User: true, Virtualization: "none"}).Environment(nil); !slices.Equal(env, []string{"SYSTEMD_SCOPE=user"}) {
		t.Fatal(env)
	}
}

// TestApply: what is equal keeps its inode, what isn't is replaced, what is gone goes.
func TestApply(t *testing.T) {
	base := t.TempDir()
	o := OutputBelow(base + "/new")
	to := OutputBelow(base + "/old")
	put := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"same.service": "a", "other.service": "a", "gone.service": "a", "same.target.wants/x": "-> ../x",
		"other.target.wants/x": "-> ../x", "gone.target.wants/x": "-> ../x", "file.d": "was a file", "dir.service/x": "was a directory"} {
		put(to.Normal+"/"+name, text)
	}
	for name, text := range map[string]string{"same.service": "a", "other.service": "b", "new.service": "a", "same.target.wants/x": "-> ../x",
		"other.target.wants/x": "-> ../y", "file.d/a.conf": "x", "dir.service": "x", "deep.d/deeper/x": "x"} {
		put(o.Normal+"/"+name, text)
	}
	if err := unix.Mkfifo(o.Normal+"/fifo.service", 0o600); err != nil {
		t.Fatal(err)
	}
	inode := func(name string) uint64 {
		var st unix.Stat_t
		if err := unix.Lstat(to.Normal+"/"+name, &st); err != nil {
			return 0
		}
		return st.Ino
	}
	before := map[string]uint64{"same.service": inode("same.service"), "same.target.wants/x": inode("same.target.wants/x")}
	problems := o.Apply(to)
	if len(problems) != 2 || !strings.Contains(problems[0]+problems[1], "deeper") || !strings.Contains(problems[0]+problems[1], "fifo.service") {
		t.Errorf("problems %q", problems)
	}
	for name, want := range before {
		if inode(name) != want {
			t.Errorf("%s was replaced although it is equal", name)
		}
	}
	var have []string
	_ = filepath.Walk(to.Normal, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			text, err := os.Readlink(path)
			if err != nil {
				data, _ := os.ReadFile(path)
				text = string(data)
			}
			have = append(have, strings.TrimPrefix(path, to.Normal+"/")+" "+text)
		}
		return nil
	})
	want := []string{"dir.service x", "file.d/a.conf x", "new.service a", "other.service b", "other.target.wants/x ../y", "same.service a", "same.target.wants/x ../x"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	to.Trim()
	if _, err := os.Stat(to.Early); err == nil {
		t.Error("an empty directory was left")
	}
}
