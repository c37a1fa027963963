package facts

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machine makes a root directory with the given files; a name that ends in a
// slash is a directory.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir != path {
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestIdentity(t *testing.T) {
	root := machine(t, map[string]string{
		"proc/sys/kernel/random/boot_id":  "4FC0F5A6-1d4e-4b58-9d4c-0123456789ab\n",
		"etc/machine-id":                  "00112233445566778899aabbccddeeff\n",
		"sys/class/dmi/id/product_uuid":   "00000000-0000-0000-0000-000000000000\n",
		"proc/device-tree/vm,uuid":        "12345678-1d4e-4b58-9d4c-0123456789ab\x00",
		"usr/lib/os-release":              "# c\nID=debian\nVERSION_ID=\"13 \\\"x\\\" $a\\n\"\nNAME='a b'\nbad line\n9=x\nID=last\nE=\nF=a\\ b c\n",
		"etc/login.defs":                  "# SYS_UID_MAX 1\nSYS_UID_MAX\t\t  499\n",
		"proc/sys/kernel/hostname":        "box\n",
		"run/systemd/first-boot":          "",
		"proc/sys/kernel/osrelease":       "6.1.0\n",
		"sys/class/dmi/id/product_serial": "abc \n",
	})
	if id, err := BootID(root); id != "4fc0f5a61d4e4b589d4c0123456789ab" || err != nil {
		t.Errorf("%q %v", id, err)
	}
	if id, err := MachineID(root); id != "00112233445566778899aabbccddeeff" || err != nil {
		t.Errorf("%q %v", id, err)
	}
	if id, err := ProductUUID(root); id != "123456781d4e4b589d4c0123456789ab" || err != nil {
		t.Errorf("%q %v", id, err)
	}
	if v, ok := SMBIOSField(root, "product_serial"); v != "abc" || !ok {
		t.Errorf("%q %v", v, ok)
	}
	if _, ok := SMBIOSField(root, "../id/product_serial"); ok {
		t.Error("a path was taken as a field")
	}
	want := map[string]string{"ID": "last", "VERSION_ID": `13 "x" $a\n`, "NAME": "a b", "E": "", "F": "a b"}
	if got, err := OSRelease(root); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	if SystemUIDMax(root) != 499 || SystemUIDMax(t.TempDir()) != 999 || Hostname(root) != "box" || !FirstBoot(root) || KernelVersion(root) != "6.1.0" {
		t.Error("login.defs, host name, first boot or version")
	}
	for _, content := range []string{"", "uninitialized\n"} {
		if _, err := MachineID(machine(t, map[string]string{"etc/machine-id": content})); !errors.Is(err, ErrUninitialized) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := MachineID(t.TempDir()); !errors.Is(err, ErrUninitialized) {
		t.Errorf("absent: %v", err)
	}
	if _, err := MachineID(machine(t, map[string]string{"etc/machine-id": "xyz\n"})); err == nil || errors.Is(err, ErrUninitialized) {
		t.Errorf("garbage: %v", err)
	}
}

func TestSplitCommandLine(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{"  quiet  ro root=/dev/vda1\n", []string{"quiet", "ro", "root=/dev/vda1"}},
		{`a="b c"d 'q q' x\y "" un"  term`, []string{"a=b cd", "q q", "xy", "", "un  term"}},
		{`"open quote`, []string{"open quote"}},
		{`back\ slash \\ '\''`, []string{"back slash", `\`, "'"}},
	}
	for _, tt := range tests {
		if got := SplitCommandLine(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q", tt.text, got)
		}
	}
	words := []string{"a", "b=1", "b=2", "systemd.log-level=debug"}
	for arg, want := range map[string]bool{"a": true, "b": true, "b=1": true, "b=3": false, "c": false, "a=": false} {
		if CommandLineHas(words, arg) != want {
			t.Errorf("%q: not %v", arg, want)
		}
	}
	if v, ok := CommandLineValue(words, "systemd.log_level"); v != "debug" || !ok {
		t.Errorf("%q %v", v, ok)
	}
	root := machine(t, map[string]string{"proc/cmdline": "host\n", "proc/1/cmdline": "/sbin/init\x00a b\x00c\x00"})
	for container, want := range map[bool]string{false: "host", true: `"a b" c`} {
		if got, err := KernelCommandLine(root, container); got != want || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
}

func TestDetectVirtualization(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  Virtualization
	}{
		{"bare metal", map[string]string{"sys/class/dmi/id/sys_vendor": "Dell Inc.\n"}, Virtualization{}},
		{"qemu", map[string]string{"sys/class/dmi/id/sys_vendor": "QEMU\n"}, Virtualization{VM: "qemu"}},
		{"virtualbox", map[string]string{"sys/class/dmi/id/product_name": "VirtualBox\n"}, Virtualization{VM: "oracle"}},
		{"ec2", map[string]string{"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "c5.large"}, Virtualization{VM: "amazon"}},
		{"ec2 metal", map[string]string{"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "c5.metal"}, Virtualization{}},
		{"xen guest", map[string]string{"proc/xen/": "", "sys/hypervisor/type": "xen\n"}, Virtualization{VM: "xen"}},
		{"xen host", map[string]string{"proc/xen/capabilities": "control_d\n"}, Virtualization{}},
		{"arm kvm", map[string]string{"proc/device-tree/hypervisor/compatible": "linux,kvm\x00"}, Virtualization{VM: "kvm"}},
		{"arm qemu", map[string]string{"proc/device-tree/fw-cfg@9020000/compatible": "x"}, Virtualization{VM: "qemu"}},
		{"z/VM", map[string]string{"proc/sysinfo": "Type: 2964\nVM00 Control Program: z/VM    6.4.0\n"}, Virtualization{VM: "zvm"}},
		{"uml", map[string]string{"proc/cpuinfo": "vendor_id: User Mode Linux\n"}, Virtualization{VM: "uml"}},
		{"docker", map[string]string{".dockerenv": ""}, Virtualization{Container: "docker"}},
		{"podman in kvm", map[string]string{"run/.containerenv": "", "sys/class/dmi/id/sys_vendor": "QEMU"}, Virtualization{"qemu", "podman"}},
		{"nspawn", map[string]string{"run/host/container-manager": "systemd-nspawn\n"}, Virtualization{Container: "systemd-nspawn"}},
		{"environment", map[string]string{"proc/1/environ": "A=1\x00container=lxc\x00"}, Virtualization{Container: "lxc"}},
		{"unknown manager", map[string]string{"run/systemd/container": "frob\n"}, Virtualization{Container: "container-other"}},
		{"oci", map[string]string{"proc/1/environ": "container=oci", ".dockerenv": ""}, Virtualization{Container: "docker"}},
		{"openvz", map[string]string{"proc/vz/": ""}, Virtualization{Container: "openvz"}},
		{"openvz host", map[string]string{"proc/vz/": "", "proc/bc/": ""}, Virtualization{}},
		{"wsl", map[string]string{"proc/sys/kernel/osrelease": "5.10-microsoft-standard-WSL2\n"}, Virtualization{Container: "wsl"}},
		{"proot", map[string]string{"proc/self/status": "TracerPid:\t12\n", "proc/12/comm": "proot-x86_64\n"}, Virtualization{Container: "proot"}},
		{"cgroup namespace", map[string]string{"sys/fs/cgroup/cgroup.controllers": "", "sys/fs/cgroup/cgroup.events": ""}, Virtualization{Container: "container-other"}},
		{"cgroup root", map[string]string{"sys/fs/cgroup/cgroup.controllers": ""}, Virtualization{}},
	}
	for _, tt := range tests {
		got := DetectVirtualization(machine(t, tt.files))
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if got.ID() != "none" && !KnownVirtualization(got.ID()) {
			t.Errorf("%s: %q is no known name", tt.name, got.ID())
		}
	}
	for _, tt := range []struct {
		uid, gid, setgroups string
		want                bool
	}{
		{"0 0 4294967295", "0 0 4294967295", "allow", false},
		{"0 1000 1", "0 0 4294967295", "allow", true},
		{"0 0 4294967295", "0 0 4294967295", "deny", true},
	} {
		root := machine(t, map[string]string{"proc/self/uid_map": tt.uid, "proc/self/gid_map": tt.gid, "proc/self/setgroups": tt.setgroups})
		if PrivateUsers(root) != tt.want {
			t.Errorf("%+v", tt)
		}
	}
}

func TestMachine(t *testing.T) {
	root := machine(t, map[string]string{
		"proc/meminfo":                  "MemTotal:        2048 kB\nMemFree: 1 kB\n",
		"proc/cpuinfo":                  "processor: 0\nflags\t\t: fpu sse2 fma xsave\n",
		"sys/module/ext_mod/initstate":  "live\n",
		"sys/module/going/initstate":    "going\n",
		"sys/module/builtin/parameters": "",
		"proc/pressure/memory":          "some avg10=1.50 avg60=0.05 avg300=100.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=7.1 total=9\n",
		"proc/device-tree/compatible":   "raspberrypi,4\x00brcm,bcm2711\x00",
		"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
		"sys/module/apparmor/parameters/enabled":                                   "Y\n",
		"sys/class/tpmrm/tpmrm0/dev":                                               "1",
	})
	if MemoryBytes(root) != 2<<20 || MemoryBytes(t.TempDir()) != 0 || CPUCount() < 1 {
		t.Error("memory or CPUs")
	}
	for name, want := range map[string]bool{"sse2": true, "FPU": true, "fma3": true, "osxsave": true, "sse": false, "avx": false} {
		if CPUFeature(root, name) != want {
			t.Errorf("CPU feature %s: not %v", name, want)
		}
	}
	for name, want := range map[string]bool{"ext-mod": true, "ext_mod": true, "going": false, "builtin": true, "none": false, "": false, "../module/builtin": false} {
		if KernelModuleLoaded(root, name) != want {
			t.Errorf("module %q: not %v", name, want)
		}
	}
	p, err := SystemPressure(root, "memory")
	want := Pressure{PressureLine{150, 5, 10000, 123}, PressureLine{0, 0, 710, 9}}
	if p != want || err != nil {
		t.Errorf("%+v %v", p, err)
	}
	if !DeviceTreeCompatible(root, "brcm,bcm2711") || DeviceTreeCompatible(root, "brcm") || !UEFI(root) || DeviceTree(root) {
		t.Error("firmware")
	}
	for word, want := range map[string]bool{"uefi-secureboot": true, "apparmor": true, "tpm2": true, "selinux": false, "smack": false, "audit": false, "frob": false} {
		if Security(root, word) != want {
			t.Errorf("security %s: not %v", word, want)
		}
	}
}

func TestACPower(t *testing.T) {
	const at = "sys/class/power_supply/"
	ac := func(online string) map[string]string {
		return map[string]string{at + "AC/type": "Mains\n", at + "AC/online": online}
	}
	battery := func(status string) map[string]string {
		return map[string]string{at + "BAT0/type": "Battery\n", at + "BAT0/status": status, at + "BAT0/present": "1"}
	}
	tests := []struct {
		name  string
		files []map[string]string
		want  bool
	}{
		{"nothing", nil, true},
		{"online", []map[string]string{ac("1"), battery("Charging")}, true},
		{"offline", []map[string]string{ac("0"), battery("Discharging")}, false},
		{"offline, full", []map[string]string{ac("0"), battery("Full")}, true},
		{"battery only", []map[string]string{battery("Discharging")}, false},
		{"a mouse", []map[string]string{{at + "m/type": "Battery", at + "m/scope": "Device", at + "m/status": "Discharging"}}, true},
		{"usb source", []map[string]string{battery("Discharging"), {at + "u/type": "USB", at + "u/power_role": "source", at + "u/online": "1"}}, false},
	}
	for _, tt := range tests {
		files := map[string]string{}
		for _, m := range tt.files {
			for k, v := range m {
				files[k] = v
			}
		}
		if got := ACPower(machine(t, files)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestPaths(t *testing.T) {
	root := machine(t, map[string]string{"dir/": "", "full/a.conf": "x", "empty": ""})
	if err := errors.Join(os.Symlink("full", root+"/link"), os.Symlink("none", root+"/broken"), os.Chmod(root+"/full/a.conf", 0o755)); err != nil {
		t.Fatal(err)
	}
	type check func(root, path string) bool
	tests := []struct {
		name  string
		check check
		yes   []string
		no    []string
	}{
		{"PathExists", PathExists, []string{"/dir", "/link", "/empty"}, []string{"/broken", "/none"}},
		{"PathExistsGlob", PathExistsGlob, []string{"/full/*.conf", "/fu{x,ll}/[!b].conf", "/{a,{d,e}ir}"}, []string{"/full/*.x", "/full/[!a].conf", "/{a,b"}},
		{"PathIsDirectory", PathIsDirectory, []string{"/dir", "/link"}, []string{"/empty", "/none"}},
		{"PathIsSymbolicLink", PathIsSymbolicLink, []string{"/link", "/broken"}, []string{"/dir", "/none"}},
		{"DirectoryNotEmpty", DirectoryNotEmpty, []string{"/full", "/link"}, []string{"/dir", "/empty", "/none"}},
		{"FileNotEmpty", FileNotEmpty, []string{"/full/a.conf"}, []string{"/empty", "/dir", "/none"}},
		{"FileIsExecutable", FileIsExecutable, []string{"/full/a.conf"}, []string{"/empty", "/dir", "/none"}},
		{"PathIsReadWrite", PathIsReadWrite, []string{"/dir"}, []string{"/none"}},
		{"PathIsMountPoint", PathIsMountPoint, nil, []string{"/dir", "/none"}},
		{"PathIsSocket", PathIsSocket, nil, []string{"/dir", "/none"}},
		{"PathIsEncrypted", PathIsEncrypted, nil, []string{"/dir", "/none"}},
	}
	for _, tt := range tests {
		for _, p := range tt.yes {
			if !tt.check(root, p) {
				t.Errorf("%s(%s) = false", tt.name, p)
			}
		}
		for _, p := range tt.no {
			if tt.check(root, p) {
				t.Errorf("%s(%s) = true", tt.name, p)
			}
		}
	}
	if !PathIsMountPoint("", "/proc") || PathIsMountPoint("", "/proc/1") {
		t.Error("/proc is a mount point")
	}
	crypt := machine(t, map[string]string{
		"sys/dev/block/253:1/slaves/dm-0/dev": "253:0\n", "sys/dev/block/253:0/dm/uuid": "CRYPT-LUKS2-abc\n",
		"sys/dev/block/9:0/slaves/sda/dev": "8:0\n", "sys/dev/block/9:0/slaves/dm-0/dev": "253:0\n", "sys/dev/block/8:0/": "",
	})
	for dev, want := range map[string]bool{"253:1": true, "253:0": true, "8:0": false, "9:0": false, "1:1": false} {
		if deviceEncrypted(crypt, dev, 8) != want {
			t.Errorf("%s: not %v", dev, want)
		}
	}
	dirs := []string{"", filepath.Join(root, "none"), filepath.Join(root, "full")}
	if !CredentialExists(dirs, "a.*") || CredentialExists(dirs, "b.*") {
		t.Error("credentials")
	}
}

func TestNeedsUpdate(t *testing.T) {
	root := machine(t, map[string]string{"usr/": "", "etc/.updated": "TIMESTAMP_NSEC=5000000001\n", "var/": ""})
	set := func(path string, nsec int64) {
		t.Helper()
		when := time.Unix(0, nsec)
		if err := os.Chtimes(filepath.Join(root, path), when, when); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		usr, mark int64
		want      bool
	}{
		{5e9, 6e9, false}, {7e9, 6e9, true}, {5e9 + 2, 5e9 + 1, true}, {5e9 + 1, 5e9 + 1, false},
		{5e9 + 1, 5e9, false}, // the file has the nanoseconds
		{5e9 + 2, 5e9, true},
	}
	for _, tt := range tests {
		set("usr", tt.usr)
		set("etc/.updated", tt.mark)
		if got := NeedsUpdate(root, "/etc"); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	if !NeedsUpdate(root, "/var") {
		t.Error("/var without a mark needs an update")
	}
}

// TestAgainstSystemd compares what this machine says with what the real
// systemd-analyze on it says.
func TestAgainstSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze on this machine")
	}
	virt := DetectVirtualization("")
	cases := map[string]bool{
		"ConditionVirtualization=vm":                  virt.Container == "" && virt.VM != "",
		"ConditionVirtualization=container":           virt.Container != "",
		"ConditionVirtualization=" + virt.ID():        virt.ID() != "none",
		"ConditionVirtualization=private-users":       PrivateUsers(""),
		"ConditionArchitecture=" + Architecture():     true,
		"ConditionArchitecture=native":                true,
		"ConditionFirstBoot=yes":                      FirstBoot(""),
		"ConditionACPower=yes":                        ACPower(""),
		"ConditionNeedsUpdate=/etc":                   NeedsUpdate("", "/etc"),
		"ConditionNeedsUpdate=/var":                   NeedsUpdate("", "/var"),
		"ConditionFirmware=uefi":                      UEFI(""),
		"ConditionFirmware=device-tree":               DeviceTree(""),
		"ConditionPathIsMountPoint=/proc":             PathIsMountPoint("", "/proc"),
		"ConditionPathIsMountPoint=/usr":              PathIsMountPoint("", "/usr"),
		"ConditionPathIsReadWrite=/proc":              PathIsReadWrite("", "/proc"),
		"ConditionPathIsReadWrite=/usr":               PathIsReadWrite("", "/usr"),
		"ConditionPathExistsGlob=/{x,u}sr/[!z]*":      PathExistsGlob("", "/{x,u}sr/[!z]*"),
		"ConditionPathIsEncrypted=/":                  PathIsEncrypted("", "/"),
		"ConditionKernelVersion=" + KernelVersion(""): true,
	}
	for _, word := range []string{"selinux", "apparmor", "tomoyo", "smack", "ima", "audit", "uefi-secureboot", "tpm2"} {
		cases["ConditionSecurity="+word] = Security("", word)
	}
	for _, feature := range []string{"sse2", "avx", "osxsave", "fma3", "rdrand", "lm", "monitor"} {
		cases["ConditionCPUFeature="+feature] = CPUFeature("", feature)
	}
	const line = `a\x20b 'q q' x\y k="v w" un"  term`
	t.Setenv("SYSTEMD_PROC_CMDLINE", line)
	text, err := KernelCommandLine("", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{"ax20b", "q q", "xy", "k", "k=v w", "un  term", "k=", "v"} {
		cases["ConditionKernelCommandLine="+arg] = CommandLineHas(SplitCommandLine(text), arg)
	}
	for condition, want := range cases {
		err := exec.Command(analyze, "condition", condition).Run()
		if got := err == nil; got != want {
			t.Errorf("%s: systemd says %v, we %v", condition, got, want)
		}
	}
}
