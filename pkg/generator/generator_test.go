package generator

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestPrepareAndTrim(t *testing.T) {
	out := OutputBelow(t.TempDir())
	if err := out.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out.Early+"/x.service", []byte("[Unit]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out.Trim()
	if _, err := os.Stat(out.Normal); err == nil {
		t.Error("an empty directory was left")
	}
	if _, err := os.Stat(out.Early + "/x.service"); err != nil {
		t.Error("output was removed:", err)
	}
	if err := out.Prepare(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(out.Early + "/x.service"); err == nil {
		t.Error("old output was kept")
	}
}
