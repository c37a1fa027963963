package condition

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// root makes a directory with what the tests look at.
func root(t *testing.T) *Facts {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"etc/os-release": "ID=debian\nVERSION_ID=\"13\"\n", "file": "x", "empty": "", "dir/entry": "", "proc/cpuinfo": "flags\t: fpu sse4_2 avx2\n",
		"proc/meminfo": "MemTotal: 2097152 kB\n", "proc/self/status": "CapBnd:\t0000000000200001\n", "sys/firmware/efi/x": "",
		"sys/class/dmi/id/sys_vendor": "QEMU\n", "etc/machine-id": "0123456789abcdef0123456789abcdef\n", "etc/passwd": "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n",
		"etc/group": "root:x:0:\n", "run/credentials/@system/token": "s", "proc/pressure/cpu": "some avg10=1.00 avg60=2.00 avg300=50.00 total=1\n",
		"sys/module/loop/initstate": "live\n", "etc/machine-info": "TAGS=\"prod web\"\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "emptydir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "file"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return &Facts{
		Root: dir, Virtualization: "docker", Container: true, Environment: []string{"A=1", "B=x y"}, Version: "257", Kernel: "6.1.0-13-amd64",
		CommandLine: []string{"quiet", "root=/dev/vda", "foo.bar=1"}, Controllers: []string{"cpu", "memory"}, Architecture: "x86-64",
	}
}

func TestConditions(t *testing.T) {
	f := root(t)
	for _, c := range []struct {
		kind, param string
		want        bool
	}{
		{"PathExists", "/file", true}, {"PathExists", "/none", false}, {"PathExistsGlob", "/f*", true}, {"PathExistsGlob", "/q*", false},
		{"PathIsDirectory", "/dir", true}, {"PathIsDirectory", "/file", false}, {"PathIsSymbolicLink", "/link", true}, {"PathIsSymbolicLink", "/file", false},
		{"FileNotEmpty", "/file", true}, {"FileNotEmpty", "/empty", false}, {"FileIsExecutable", "/file", true}, {"FileIsExecutable", "/empty", false},
		{"DirectoryNotEmpty", "/dir", true}, {"DirectoryNotEmpty", "/emptydir", false}, {"PathIsReadWrite", "/", true}, {"PathIsSocket", "/file", false},
		{"PathIsMountPoint", "/dir", false}, {"PathIsEncrypted", "/file", false},
		{"Architecture", "x86-64", true}, {"Architecture", "arm64", false}, {"Architecture", "native", true},
		{"Virtualization", "yes", true}, {"Virtualization", "container", true}, {"Virtualization", "vm", false}, {"Virtualization", "docker", true},
		{"Virtualization", "kvm", false}, {"Virtualization", "private-users", false},
		{"KernelCommandLine", "quiet", true}, {"KernelCommandLine", "root", true}, {"KernelCommandLine", "root=/dev/vda", true},
		{"KernelCommandLine", "root=/dev/sda", false}, {"KernelCommandLine", "qui", false},
		{"KernelVersion", ">=6.1", true}, {"KernelVersion", ">=6.1 <6.2", true}, {"KernelVersion", "<5.10", false}, {"KernelVersion", "6.1.*", true},
		{"KernelVersion", "> 6.0", true}, {"Version", "systemd >=250", true}, {"Version", "systemd <250", false}, {"Version", ">=6", true},
		{"Environment", "A", true}, {"Environment", "A=1", true}, {"Environment", "A=2", false}, {"Environment", "C", false},
		{"OSRelease", "ID=debian", true}, {"OSRelease", "ID=debian VERSION_ID>=12", true}, {"OSRelease", "VERSION_ID<12", false}, {"OSRelease", "ID=deb*", true},
		{"CPUFeature", "avx2", true}, {"CPUFeature", "avx512f", false}, {"Memory", ">=1G", true}, {"Memory", "4G", false}, {"Memory", "<4G", true},
		{"CPUs", ">=1", true}, {"CPUs", "<1", false}, {"Capability", "CAP_SYS_ADMIN", true}, {"Capability", "CAP_NET_RAW", false},
		{"ControlGroupController", "v2", true}, {"ControlGroupController", "cpu memory", true}, {"ControlGroupController", "io", false},
		{"Credential", "token", true}, {"Credential", "other", false}, {"Firmware", "uefi", true}, {"Firmware", "device-tree", false},
		{"Firmware", "smbios-field(sys_vendor = QEMU)", true}, {"Firmware", "smbios-field(sys_vendor = Dell)", false},
		{"Host", "0123456789abcdef0123456789abcdef", true}, {"Host", "ffffffffffffffffffffffffffffffff", false}, {"Host", "*", true},
		{"Null", "yes", true}, {"Null", "no", false}, {"FirstBoot", "no", true}, {"FirstBoot", "yes", false},
		{"CPUPressure", "60%", true}, {"CPUPressure", "10%", false}, {"CPUPressure", "0.5%/10sec", false}, {"MemoryPressure", "1%", true}, {"IOPressure", "1%", true},
		{"KernelModuleLoaded", "loop", true}, {"KernelModuleLoaded", "nope", false}, {"MachineTag", "pr*", true}, {"MachineTag", "dev", false},
		{"Security", "selinux", false}, {"Security", "tpm2", false}, {"NeedsUpdate", "/etc", true}, {"ACPower", "true", true},
		{"Fraction", "100%", true}, {"Fraction", "tag 0%", false}, {"User", "root", os.Getuid() == 0}, {"User", "@system", os.Getuid() < 1000},
		{"User", "web", os.Getuid() == 33}, {"Group", "root", os.Getgid() == 0}, {"Group", "nosuchgroup", false},
	} {
		for _, negate := range []bool{false, true} {
			got, err := Test(f, unit.Condition{Type: "Condition" + c.kind, Param: c.param, Negate: negate})
			if err != nil || got != (c.want != negate) {
				t.Errorf("Condition%s=%s (negated %v): %v %v", c.kind, c.param, negate, got, err)
			}
		}
	}
}

// TestEveryConditionIsKnown compares with the table of what systemd accepts.
func TestEveryConditionIsKnown(t *testing.T) {
	file, err := os.Open("testdata/conditions.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	n := 0
	for s.Scan() {
		fields := strings.Split(s.Text(), "\t")
		if kind, ok := strings.CutPrefix(fields[0], "Condition"); ok && fields[1] == "Condition" {
			n++
			if _, known := tests[kind]; !known {
				t.Errorf("%s has no test", fields[0])
			}
		}
	}
	if n < 35 {
		t.Fatalf("only %d conditions were read", n)
	}
}

func TestAllAndTriggers(t *testing.T) {
	f := root(t)
	null := func(v string, trigger bool) unit.Condition {
		return unit.Condition{Type: "ConditionNull", Param: v, Trigger: trigger}
	}
	for _, c := range []struct {
		list []unit.Condition
		want bool
		text string
	}{
		{nil, true, ""},
		{[]unit.Condition{null("yes", false), null("no", false)}, false, "ConditionNull=no"},
		{[]unit.Condition{null("no", true), null("yes", true)}, true, ""},
		{[]unit.Condition{null("no", true), null("no", true)}, false, "ConditionNull=|no"},
		{[]unit.Condition{null("yes", true), null("no", false)}, false, "ConditionNull=no"},
	} {
		got, results, text := TestAll(f, c.list)
		if got != c.want || text != c.text || len(results) != len(c.list) {
			t.Errorf("%v: %v %v %q", c.list, got, results, text)
		}
	}
}

func TestMayBlock(t *testing.T) {
	if !MayBlock([]unit.Condition{{Type: "ConditionPathExists"}}) || MayBlock([]unit.Condition{{Type: "AssertVirtualization"}}) {
		t.Fatal("paths may block, facts don't")
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1", "1", 0}, {"1.10", "1.9", 1}, {"1~rc1", "1", -1}, {"1-1", "1", 1}, {"1.0", "1", 1}, {"6.1.0-13-amd64", "6.1", 1}, {"6.1", "6.1.0", -1},
		{"0001", "1", 0}, {"a", "b", -1}, {"1^x", "1", 1}, {"257", "250", 1},
	} {
		if got := value.CompareVersions(c.a, c.b); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := value.CompareVersions(c.b, c.a); got != -c.want {
			t.Errorf("%s %s turned round: %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}
