package fstab

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/generator/output"
)

func generate(text string) *output.Tree {
	return Generate(Input{Fstab: Source{Path: "/etc/fstab", Text: text}, Programs: Programs{Fsck: "/sbin/fsck", MakeFS: "/usr/lib/systemd/systemd-makefs"}})
}

func find(t *testing.T, tree *output.Tree, path string) string {
	t.Helper()
	for _, f := range tree.Files() {
		if f.Path == path {
			return f.Text
		}
	}
	var have []string
	for _, f := range tree.Files() {
		have = append(have, f.Path)
	}
	t.Fatalf("no %s in %q, messages %q", path, have, tree.Messages())
	return ""
}

// TestGarbage: what is wrong costs its line or its option, and is named with file and line.
func TestGarbage(t *testing.T) {
	for _, c := range []struct {
		name, line string
		message    string // a part of the one message
		lost       bool   // the mount is not made
	}{
		{"no mount point", "/dev/sda1", "/etc/fstab:2: line has no mount point", true},
		{"relative", "/dev/sda1 x ext4", `/etc/fstab:2: mount point "x"`, true},
		{"NUL", "/dev/sda1 /x\x00y ext4", "/etc/fstab:2: line holds NUL", true},
		{"too long", "/dev/sda1 /x ext4 " + strings.Repeat("a", 1<<20), "/etc/fstab:2: line is longer", true},
		{"line break by escape", `/dev/sda1\012Foo=bar /x ext4`, "/etc/fstab:2: \"/dev/sda1\\nFoo=bar\" holds a line break", true},
		{"line break in options", `/dev/sda1 /x ext4 a\012[Service]\012ExecStart=/evil`, "holds a line break", true},
		{"empty dependency", "/dev/sda1 /x ext4 x-systemd.after=,ro", "/etc/fstab:2: x-systemd.after=", false},
		{"path as name", "/dev/sda1 /x ext4 x-systemd.wanted-by=../../etc,ro", `"../../etc"`, false},
		{"empty name", "/dev/sda1 /x ext4 x-systemd.required-by=", `""`, false},
		{"long name", "/dev/sda1 /" + strings.Repeat("x", 300) + " ext4", "/etc/fstab:2: ", true},
		{"second", "/dev/sda1 /good ext4", "/etc/fstab:2: good.mount: ", false},
		{"timeout", "/dev/sda1 /x ext4 x-systemd.mount-timeout=soon", "/etc/fstab:2: x-systemd.mount-timeout=soon", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := generate("/dev/sdz1 /good ext4 defaults 0 2\n" + c.line)
			find(t, tree, "good.mount")
			if len(tree.Messages()) != 1 || !strings.Contains(tree.Messages()[0], c.message) {
				t.Errorf("messages %q, want one with %q", tree.Messages(), c.message)
			}
			if !c.lost && c.name != "second" {
				find(t, tree, "x.mount")
			}
			for _, f := range tree.Files() {
				if strings.Contains(f.Text, "\nFoo=") || strings.Contains(f.Text, "[Service]") || strings.Contains(f.Path, "..") {
					t.Errorf("%s: %s", f.Path, f.Text)
				}
			}
		})
	}
}

// TestOwnWay are inputs for which systemd writes something that it can't read itself.
func TestOwnWay(t *testing.T) {
	tree := generate(`/dev/sda1 /x ext4 x-systemd.requires-mounts-for=/with\040space 0 0`)
	if text := find(t, tree, "x.mount"); !strings.Contains(text, `RequiresMountsFor="/with space"`) {
		t.Error(text)
	}
	tree = generate("/dev/disk/../sdz /y ext4 defaults 0 2")
	if text := find(t, tree, "y.mount"); !strings.Contains(text, "What=/dev/disk/../sdz\n") {
		t.Error(text)
	}
	tree = generate(`/dev/sda1 /end\134 ext4 defaults 0 0`)
	if text := find(t, tree, `end\x5c.mount`); !strings.Contains(text, "Where=/end\\ \nType") {
		t.Error("a backslash at the end of a line joins the next:", text)
	}
}

// TestMany: a file that is far too long stays within the bound.
func TestMany(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		b.WriteString("/dev/sda1 /mnt/")
		b.WriteString(strings.Repeat("x", i%100))
		b.WriteString(" ext4 defaults 0 0\n")
	}
	tree := generate(b.String())
	if len(tree.Files()) > 3*100+2 || len(tree.Messages()) > 101 {
		t.Errorf("%d files, %d messages", len(tree.Files()), len(tree.Messages()))
	}
}

func FuzzGenerate(f *testing.F) {
	f.Add("/dev/sda1 / ext4 errors=remount-ro 0 1\nLABEL=a\\040b /mnt/x\\011y auto x-systemd.automount,x-systemd.makefs,nofail 0 2", "root=/dev/sda1 rw", true)
	f.Add("server:/x /mnt nfs bg,_netdev 0 0\n/swap none swap sw,x-systemd.device-timeout=5 0 0", "systemd.mount-extra=a:/b:c:d systemd.swap-extra=x", false)
	f.Add("UUID=\"x\" /usr xfs x-initrd.mount,x-systemd.wanted-by=a.target 0 1", "mount.usr=LABEL=x mount.usrflags=ro rootflags=bg", true)
	f.Fuzz(func(t *testing.T, text, line string, initrd bool) {
		tree := Generate(Input{CommandLine: line, Initrd: initrd, Fstab: Source{"/etc/fstab", text}, RootFstab: Source{"/sysroot/etc/fstab", text},
			Measured: true, Programs: Programs{Fsck: "/fsck", MakeFS: "/makefs"}})
		for _, file := range tree.Files() {
			if strings.Contains(file.Path, "..") && !strings.Contains(file.Path, "x2e") && strings.Contains(file.Path, "../") {
				t.Errorf("path %q", file.Path)
			}
			for line := range strings.Lines(file.Text) {
				if strings.ContainsAny(line[:len(line)-1], "\r\x00") || line[0] != '#' && line[0] != '[' && line[0] != '\n' && !strings.Contains(line, "=") {
					t.Errorf("%s: line %q", file.Path, line)
				}
			}
		}
	})
}
