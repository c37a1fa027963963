package generators

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/generator/cryptsetup"
	"github.com/muster-init/muster/pkg/generator/debugshell"
	"github.com/muster-init/muster/pkg/generator/environmentd"
	"github.com/muster-init/muster/pkg/generator/fstab"
	"github.com/muster-init/muster/pkg/generator/getty"
	"github.com/muster-init/muster/pkg/generator/hibernateresume"
	"github.com/muster-init/muster/pkg/generator/integritysetup"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/generator/program"
	"github.com/muster-init/muster/pkg/generator/runline"
	"github.com/muster-init/muster/pkg/generator/sysv"
	"github.com/muster-init/muster/pkg/generator/veritysetup"
	"github.com/muster-init/muster/pkg/generator/xdgautostart"
)

// everything runs all generators that read text on the same text and command line.
func everything(text, line string, initrd bool) map[string]*output.Tree {
	yes := func(string) bool { return true }
	return map[string]*output.Tree{
		"fstab": fstab.Generate(fstab.Input{CommandLine: line, Initrd: initrd, Fstab: fstab.Source{Path: "/f", Text: text}, RootFstab: fstab.Source{Path: "/r", Text: text},
			Measured: true, Programs: fstab.Programs{Fsck: "/fsck", MakeFS: "/makefs"}}),
		"getty": getty.Generate(getty.Input{CommandLine: line, Active: strings.Fields(text), SerialCredential: text, ContainerTTYs: text, Container: initrd,
			HasTTY: yes, IsTerminal: yes}),
		"debug":      debugshell.Generate(debugshell.Input{CommandLine: line, Initrd: initrd}),
		"run":        runline.Generate(runline.Input{CommandLine: line, Initrd: initrd}),
		"crypt":      cryptsetup.Generate(cryptsetup.Input{CommandLine: line, Initrd: initrd, Path: "/c", Text: text, Program: "/cs", MakeFS: "/mk", Umount: "/um"}),
		"verity":     veritysetup.Generate(veritysetup.Input{CommandLine: line, Initrd: initrd, Path: "/v", Text: text, Program: "/vs"}),
		"integrity":  integritysetup.Generate(integritysetup.Input{Path: "/i", Text: text, Program: "/is"}),
		"hibernate":  hibernateresume.Generate(hibernateresume.Input{CommandLine: line, Initrd: initrd}),
		"sysv":       sysv.Generate(sysv.Input{Scripts: []sysv.Script{{Name: "a", Path: "/etc/init.d/a", Text: text}, {Name: "b.sh", Path: "/etc/init.d/b.sh", Text: text}}, Links: []sysv.Link{{Runlevel: 2, Name: "S01a"}}}),
		"xdg":        xdgautostart.Generate(xdgautostart.Input{Files: []xdgautostart.File{{Name: "a.desktop", Path: "/a", Text: text}}, Find: func(p string) string { return "/bin/" + filepath.Base(p) }, Condition: "/cond"}),
		"xdg header": xdgautostart.Generate(xdgautostart.Input{Files: []xdgautostart.File{{Name: "b", Path: "/b", Text: "[Desktop Entry]\nType=Application\n" + text}}, Find: func(p string) string { return "/bin/x" }, Condition: "/cond"}),
	}
}

// sound reports what must never be written, whatever the input: paths that lead elsewhere, lines that are neither comment, section nor setting, and
// settings that end in a backslash, which would swallow the next.
func sound(t *testing.T, name string, tree *output.Tree) {
	t.Helper()
	if len(tree.Messages()) > 101 {
		t.Errorf("%s: %d messages", name, len(tree.Messages()))
	}
	for _, f := range tree.Files() {
		if strings.Contains(f.Path, "/../") || strings.HasPrefix(f.Path, "../") || strings.HasPrefix(f.Path, "/") || strings.Count(f.Path, "/") > 1 || len(f.Path) > 600 {
			t.Errorf("%s: path %q", name, f.Path)
		}
		for line := range strings.Lines(f.Text) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case line == "", line[0] == '#', line[0] == '[' && strings.HasSuffix(line, "]"):
			case strings.ContainsAny(line, "\r\x00"), !strings.Contains(line, "="), strings.HasSuffix(line, `\`):
				t.Errorf("%s: %s: line %q", name, f.Path, line)
			}
		}
	}
}

func FuzzGenerators(f *testing.F) {
	for _, c := range garbage() {
		if len(c) < 4096 {
			f.Add(c, "root=/dev/sda1 systemd.mount-extra=a:/b systemd.mask=x luks.name=a=b roothash=aa resume=/dev/x systemd.run=y systemd.debug_shell=z", true)
		}
	}
	f.Add("data /dev/sda3 /k:LABEL=x luks,header=/h:UUID=y,tmp=ext4,_netdev,keyfile-timeout=3", "luks.uuid=11111111-2222-3333-4444-555555555555 rd.luks.key=/k", true)
	f.Add("# Provides: x $y\n# Required-Start: $network \"a b\nExec=sh -c \"x %f\" \\\\\nOnlyShowIn=a\\;b;c;", "systemd.wants=../x systemd.unit=foo", false)
	f.Fuzz(func(t *testing.T, text, line string, initrd bool) {
		for name, tree := range everything(text, line, initrd) {
			sound(t, name, tree)
		}
		list, _ := environmentd.Generate([]environmentd.Source{{Path: "/e", Text: text}}, func(string) (string, bool) { return "v", true })
		back, complaints := environmentd.Parse("/back", environmentd.Format(list))
		control := false
		for _, p := range list {
			control = control || strings.ContainsFunc(p.Value, func(r rune) bool { return r < ' ' || r == 127 }) || p.Value == ""
		}
		// What is printed is read back as it was, control characters aside, which the format has no way to write.
		if !control && (len(back) != len(list) || len(complaints) > 0) {
			t.Errorf("%d of %d assignments came back: %q", len(back), len(list), complaints)
		}
	})
}

// garbage are inputs that nobody wrote on purpose.
func garbage() []string {
	long := strings.Repeat("x", 1<<20)
	return []string{
		"", "\n", "\x00", "\\", "#", strings.Repeat("\n", 10000), long, "/dev/" + long + " /mnt ext4", "/dev/sda1 /" + long + " ext4 defaults 0 0", "a b " + long + " c",
		"a\x00b c\x00d e f", "\xff\xfe /x ext4 defaults", "/dev/sda1 /mnt/no-newline ext4 defaults 0 2", "/dev/sda1 /x\\012y ext4 a\\012b",
		"x /dev/sda1 none " + strings.Repeat("luks,", 10000), "x\\x2f..\\x2f /dev/sda1", "../../etc/passwd /dev/sda1 none", ". /dev/sda1 /k:LABEL=x", "/ /dev/sda1 /k:LABEL=x",
		"[Desktop Entry]\nType=Application\nExec=" + long, "[Desktop Entry]\nType=Application\nExec=\"open", "[Desktop Entry\nExec=x", "=\n==\n===", "A=\"open\nB=x",
		"A=" + strings.Repeat("${A:-", 1000) + strings.Repeat("}", 1000), "A=$A$A$A\nA=$A$A$A$A$A$A$A$A\nA=$A$A$A$A$A$A$A$A\nA=$A$A$A$A$A$A$A$A\nA=$A$A$A$A$A$A$A$A\nA=$A$A$A$A$A$A$A$A$A$A$A$A",
		"### BEGIN INIT INFO\n# Provides: " + strings.Repeat("a$b ", 5000) + "\n# Required-Start: \"", strings.Repeat("/dev/sda1 /m ext4 defaults 0 0\n", 3000),
	}
}

// TestGarbage: no input makes a generator fail in another way than with messages, or write something unsound.
func TestGarbage(t *testing.T) {
	for i, text := range garbage() {
		for _, initrd := range []bool{false, true} {
			for name, tree := range everything(text, text, initrd) {
				sound(t, name, tree)
			}
		}
		list, messages := environmentd.Generate([]environmentd.Source{{Path: "/e", Text: text}}, func(string) (string, bool) { return "", false })
		if len(messages) > 60 {
			t.Errorf("%d: %d messages", i, len(messages))
		}
		for _, p := range list {
			if len(p.Value) > 128<<10 {
				t.Errorf("%d: a value of %d bytes", i, len(p.Value))
			}
		}
	}
}

// TestGoodLinesStay: a good line between bad ones is used by the program as a whole, and each bad line is named.
func TestGoodLinesStay(t *testing.T) {
	for _, c := range []struct{ generator, path, good, bad, unit, message string }{
		{"systemd-fstab-generator", "etc/fstab", "/dev/sda1 /good ext4 defaults 0 0", "/dev/sda1\x00 /bad ext4", "normal/good.mount", "/etc/fstab:1: "},
		{"systemd-fstab-generator", "etc/fstab", "/dev/sda1 /good ext4 defaults 0 0", strings.Repeat("z", 1<<20), "normal/good.mount", "/etc/fstab:1: "},
		{"systemd-cryptsetup-generator", "etc/crypttab", "good /dev/sda1 none luks", "bad", "normal/systemd-cryptsetup@good.service", "/etc/crypttab:1: "},
		{"systemd-cryptsetup-generator", "etc/crypttab", "good /dev/sda1 none luks", "../x /dev/sda2 /k:LABEL=x", "normal/systemd-cryptsetup@good.service", "/etc/crypttab:1: "},
		{"systemd-cryptsetup-generator", "etc/crypttab", "good /dev/sda1 none luks", "bad relative none luks", "normal/systemd-cryptsetup@good.service", "/etc/crypttab:1: "},
		{"systemd-veritysetup-generator", "etc/veritytab", "good /dev/sda1 /dev/sda2 aabb", "bad /var/x /dev/y aabb", "normal/systemd-veritysetup@good.service", "/etc/veritytab:1: "},
		{"systemd-integritysetup-generator", "etc/integritytab", "good /dev/sda1", "bad /dev/sda2 none", "normal/systemd-integritysetup@good.service", "/etc/integritytab:1: "},
		{"30-systemd-environment-d-generator", "etc/environment.d/a.conf", "GOOD=1", "1BAD=x", "", "/etc/environment.d/a.conf:1: "},
	} {
		root, out := t.TempDir(), t.TempDir()
		tc := &testCase{}
		if _, err := tc.lay(root); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, c.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(c.bad+"\n"+c.good), 0o644); err != nil { // no newline at the end
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		program.Main(program.Process{Root: root, Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stderr},
			[]string{c.generator, out + "/normal", out + "/early", out + "/late"})
		if !strings.Contains(stderr.String(), c.message) {
			t.Errorf("%s: no %q in %.300q", c.generator, c.message, stderr.String())
		}
		if c.unit == "" {
			if stdout.String() != "GOOD=1\n" {
				t.Errorf("%s: %q", c.generator, stdout.String())
			}
		} else if _, err := os.Stat(filepath.Join(out, c.unit)); err != nil {
			t.Errorf("%s: %v: %s", c.generator, err, stderr.String())
		}
	}
}
