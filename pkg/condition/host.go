package condition

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit/value"
)

func boolean(s string) (bool, error) { return value.ParseBool(s) }

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func parseUint(s string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	return n, err == nil
}

func testNull(_ *Facts, p string) (bool, error) { return boolean(p) }

func testArchitecture(f *Facts, p string) (bool, error) {
	return p == "native" || p == f.architecture() || p == "x86-64" && f.architecture() == "x86-64", nil
}

func testFirstBoot(f *Facts, p string) (bool, error) {
	want, err := boolean(p)
	if err != nil {
		return false, err
	}
	for _, w := range f.CommandLine {
		if v, ok := strings.CutPrefix(w, "systemd.condition_first_boot="); ok {
			forced, err := boolean(v)
			return forced == want, err
		}
	}
	return f.FirstBoot == want, nil
}

func testVirtualization(f *Facts, p string) (bool, error) {
	virt := f.Virtualization
	if virt == "" {
		virt = "none"
	}
	if p == "private-users" {
		return f.PrivateUsers, nil
	}
	if yes, err := boolean(p); err == nil {
		return yes == (virt != "none"), nil
	}
	switch p {
	case "vm":
		return virt != "none" && !f.Container, nil
	case "container":
		return f.Container, nil
	case "cvm":
		return f.exists("/sys/devices/virtual/misc/sev-guest") || f.exists("/sys/devices/virtual/misc/tdx_guest"), nil
	}
	return p == virt, nil
}

func (f *Facts) exists(p string) bool {
	_, err := os.Lstat(f.path(p))
	return err == nil
}

// testHost compares with the host name (a glob), the machine ID, boot ID or product UUID.
func testHost(f *Facts, p string) (bool, error) {
	if id := strings.ToLower(strings.ReplaceAll(p, "-", "")); len(id) == 32 && isHex(id) {
		for _, file := range []string{"/etc/machine-id", "/proc/sys/kernel/random/boot_id", "/sys/class/dmi/id/product_uuid"} {
			if have, err := f.read(file); err == nil && strings.ToLower(strings.ReplaceAll(have, "-", "")) == id {
				return true, nil
			}
		}
		return false, nil
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, err
	}
	ok, err := path.Match(strings.ToLower(p), strings.ToLower(unix.ByteSliceToString(u.Nodename[:])))
	return ok, err
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

func testKernelCommandLine(f *Facts, p string) (bool, error) {
	for _, w := range f.CommandLine {
		if w == p {
			return true, nil
		}
		if !strings.Contains(p, "=") {
			if key, _, ok := strings.Cut(w, "="); ok && key == p {
				return true, nil
			}
		}
	}
	return false, nil
}

func testKernelModuleLoaded(f *Facts, p string) (bool, error) {
	name := strings.ReplaceAll(p, "-", "_")
	if name == "" || strings.ContainsAny(name, "/") {
		return false, fmt.Errorf("not a module name")
	}
	state, err := f.read("/sys/module/" + name + "/initstate")
	if errors.Is(err, os.ErrNotExist) {
		return f.exists("/sys/module/" + name), nil // built in
	}
	return state == "live", err
}

func testEnvironment(f *Facts, p string) (bool, error) {
	for _, e := range f.Environment {
		if e == p {
			return true, nil
		}
		if !strings.Contains(p, "=") && strings.HasPrefix(e, p+"=") {
			return true, nil
		}
	}
	return false, nil
}

func testACPower(f *Facts, p string) (bool, error) {
	want, err := boolean(p)
	if err != nil {
		return false, err
	}
	supplies, _ := filepath.Glob(f.path("/sys/class/power_supply/*"))
	mains, online, discharging := false, false, false
	for _, s := range supplies {
		kind, _ := os.ReadFile(filepath.Join(s, "type"))
		on, _ := os.ReadFile(filepath.Join(s, "online"))
		status, _ := os.ReadFile(filepath.Join(s, "status"))
		scope, _ := os.ReadFile(filepath.Join(s, "scope"))
		switch k := strings.TrimSpace(string(kind)); {
		case k == "Mains" || strings.HasPrefix(k, "USB"):
			mains = mains || k == "Mains"
			online = online || strings.TrimSpace(string(on)) == "1"
		case k == "Battery" && strings.TrimSpace(string(scope)) != "Device":
			discharging = discharging || strings.TrimSpace(string(status)) == "Discharging"
		}
	}
	ac := online || (!mains && !discharging) || !discharging
	return ac == want, nil
}

func testCapability(f *Facts, p string) (bool, error) {
	n, err := value.ParseCapability(p)
	if err != nil {
		return false, err
	}
	status, err := f.read("/proc/self/status")
	if err != nil {
		return false, err
	}
	for _, line := range strings.Split(status, "\n") {
		if hex, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return mask>>uint(n)&1 == 1, err
		}
	}
	return false, nil
}

func testController(f *Facts, p string) (bool, error) {
	if p == "v2" || p == "v1" {
		return p == "v2", nil
	}
	have := map[string]bool{}
	for _, c := range f.Controllers {
		have[c] = true
	}
	for _, want := range strings.Fields(p) {
		if want == "cpuacct" {
			want = "cpu"
		}
		if !have[want] {
			return false, nil
		}
	}
	return true, nil
}

func testCredential(f *Facts, p string) (bool, error) {
	if strings.Contains(p, "/") {
		return false, fmt.Errorf("not a credential name")
	}
	for _, dir := range []string{f.Credentials, "/run/credentials/@system", "/run/credentials/@encrypted"} {
		if dir == "" {
			continue
		}
		if m, err := filepath.Glob(filepath.Join(f.path(dir), p)); err == nil && len(m) > 0 {
			return true, nil
		}
	}
	return false, nil
}

func testCPUFeature(f *Facts, p string) (bool, error) {
	info, err := f.read("/proc/cpuinfo")
	if err != nil {
		return false, err
	}
	for _, line := range strings.Split(info, "\n") {
		key, val, ok := strings.Cut(line, ":")
		if k := strings.TrimSpace(key); ok && (k == "flags" || k == "Features") {
			for _, flag := range strings.Fields(val) {
				if strings.EqualFold(flag, p) || strings.EqualFold(cpuidName(flag), p) {
					return true, nil
				}
			}
			return false, nil
		}
	}
	return false, nil
}

// cpuidName gives the instruction-set names that systemd uses where the kernel's differ.
func cpuidName(flag string) string {
	switch flag {
	case "pni":
		return "sse3"
	case "sse4_1":
		return "sse4_1"
	case "lahf_lm":
		return "lahf_lm"
	}
	return flag
}

func testSecurity(f *Facts, p string) (bool, error) {
	switch p {
	case "selinux":
		return f.exists("/sys/fs/selinux/enforce"), nil
	case "apparmor":
		v, _ := f.read("/sys/module/apparmor/parameters/enabled")
		return v == "Y", nil
	case "tomoyo":
		return f.exists("/sys/kernel/security/tomoyo/version"), nil
	case "smack":
		return f.exists("/sys/fs/smackfs/load2"), nil
	case "ima":
		return f.exists("/sys/kernel/security/ima"), nil
	case "audit":
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
		if err != nil {
			return false, nil
		}
		return true, unix.Close(fd)
	case "uefi-secureboot":
		v, err := os.ReadFile(f.path("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"))
		return err == nil && len(v) == 5 && v[4] == 1, nil
	case "tpm2":
		return f.exists("/sys/class/tpmrm/tpmrm0"), nil
	case "cvm":
		return testVirtualization(f, "cvm")
	case "measured-uki":
		return f.exists("/sys/firmware/efi/efivars/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"), nil
	}
	return false, nil
}

func testFirmware(f *Facts, p string) (bool, error) {
	switch {
	case p == "uefi":
		return f.exists("/sys/firmware/efi"), nil
	case p == "device-tree":
		return f.exists("/sys/firmware/devicetree"), nil
	case strings.HasPrefix(p, "device-tree-compatible(") && strings.HasSuffix(p, ")"):
		want := p[len("device-tree-compatible(") : len(p)-1]
		data, err := os.ReadFile(f.path("/proc/device-tree/compatible"))
		if err != nil {
			return false, nil
		}
		for _, have := range strings.Split(string(data), "\x00") {
			if have == want {
				return true, nil
			}
		}
		return false, nil
	case strings.HasPrefix(p, "smbios-field(") && strings.HasSuffix(p, ")"):
		expr := p[len("smbios-field(") : len(p)-1]
		i := strings.IndexAny(expr, "=<>!$ \t")
		if i <= 0 || strings.Contains(expr[:i], "/") {
			return false, fmt.Errorf("smbios-field(): no field and operator in it")
		}
		have, err := f.read("/sys/class/dmi/id/" + expr[:i])
		if err != nil {
			return false, nil
		}
		return compareExpression(have, strings.TrimSpace(expr[i:]))
	}
	return false, fmt.Errorf("%q is not a kind of firmware", p)
}
