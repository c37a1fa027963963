package facts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUninitialized: the machine was never set up (machine-id(5)).
var ErrUninitialized = errors.New("machine id is not initialized")

// BootID is the id of this boot, 32 hex digits.
func BootID(root string) (string, error) {
	s, err := read(root, "proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return id128(s)
}

// MachineID is /etc/machine-id, 32 hex digits; ErrUninitialized if it is empty,
// "uninitialized" or absent.
func MachineID(root string) (string, error) {
	s, err := read(root, "etc/machine-id")
	switch {
	case notThere(err), err == nil && (s == "" || s == "uninitialized"):
		return "", ErrUninitialized
	case err != nil:
		return "", err
	}
	return id128(s)
}

// ProductUUID is the SMBIOS (or device tree) id of the machine, 32 hex digits.
func ProductUUID(root string) (string, error) {
	for _, path := range []string{"sys/class/dmi/id/product_uuid", "proc/device-tree/vm,uuid", "sys/hypervisor/uuid"} {
		if s, err := read(root, path); err == nil {
			if id, err := id128(strings.TrimRight(s, "\x00")); err == nil && strings.Trim(id, "0") != "" && strings.Trim(id, "f") != "" {
				return id, nil
			}
		}
	}
	return "", fmt.Errorf("product UUID: %w", os.ErrNotExist)
}

// id128 takes both the plain and the dashed form.
func id128(s string) (string, error) {
	id := strings.ToLower(strings.TrimSpace(s))
	if len(id) == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' {
		id = id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]
	}
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%.40q is not a 128 bit id", s)
	}
	return id, nil
}

// Hostname is the kernel's host name, "" if it was not set.
func Hostname(root string) string {
	if isReal(root) {
		name := uname().nodename
		if name == "(none)" {
			return ""
		}
		return name
	}
	return line(root, "proc/sys/kernel/hostname")
}

// KernelVersion is what uname -r prints.
func KernelVersion(root string) string {
	if isReal(root) {
		return uname().release
	}
	return line(root, "proc/sys/kernel/osrelease")
}

type utsname struct{ nodename, release, machine string }

func uname() utsname {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return utsname{}
	}
	return utsname{unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])}
}

// architectures maps uname -m to the names of ConditionArchitecture=.
var architectures = map[string]string{
	"x86_64": "x86-64", "i386": "x86", "i486": "x86", "i586": "x86", "i686": "x86", "ia64": "ia64",
	"ppc64": "ppc64", "ppc64le": "ppc64-le", "ppc": "ppc", "ppcle": "ppc-le",
	"parisc64": "parisc64", "parisc": "parisc", "s390x": "s390x", "s390": "s390",
	"sparc64": "sparc64", "sparc": "sparc", "aarch64": "arm64", "aarch64_be": "arm64-be",
	"armv8l": "arm", "armv8b": "arm-be", "armv7l": "arm", "armv7ml": "arm", "armv7b": "arm-be", "armv7mb": "arm-be",
	"armv6l": "arm", "armv6b": "arm-be", "armv5tl": "arm", "armv5tel": "arm", "armv5tejl": "arm", "armv5tb": "arm-be",
	"armv4tl": "arm", "armv4tb": "arm-be", "armv4l": "arm", "armv4b": "arm-be",
	"mips64": "mips64", "mips": "mips", "alpha": "alpha", "sh5": "sh64", "sh4": "sh", "sh4a": "sh", "sh3": "sh", "sh2": "sh", "sh2a": "sh",
	"m68k": "m68k", "tilegx": "tilegx", "cris": "cris", "crisv32": "cris", "nios2": "nios2",
	"riscv32": "riscv32", "riscv64": "riscv64", "arc": "arc", "arceb": "arc-be", "loongarch64": "loongarch64",
}

// goArchitectures maps GOARCH to the same names.
var goArchitectures = map[string]string{
	"amd64": "x86-64", "386": "x86", "arm64": "arm64", "arm": "arm", "riscv64": "riscv64", "loong64": "loongarch64",
	"ppc64": "ppc64", "ppc64le": "ppc64-le", "s390x": "s390x", "mips": "mips", "mipsle": "mips-le", "mips64": "mips64", "mips64le": "mips64-le",
}

// ArchitectureOf names a machine as uname -m calls it, "" for one that has no
// name.
func ArchitectureOf(machine string) string { return architectures[machine] }

// Architecture is the running kernel's.
func Architecture() string { return architectures[uname().machine] }

// KnownArchitecture tells whether a name is one of ConditionArchitecture=.
func KnownArchitecture(name string) bool {
	for _, table := range []map[string]string{architectures, goArchitectures} {
		for _, n := range table {
			if n == name {
				return true
			}
		}
	}
	return false
}

// FirstBoot tells whether this is the first boot, as PID 1 noted it.
func FirstBoot(root string) bool { return exists(root, "run/systemd/first-boot") }

// OSRelease is the parsed os-release(5), from /etc/ or /usr/lib/.
func OSRelease(root string) (map[string]string, error) {
	text, err := read(root, "etc/os-release")
	if notThere(err) {
		text, err = read(root, "usr/lib/os-release")
	}
	if err != nil {
		return nil, err
	}
	return ParseEnvironmentFile(text), nil
}

// ParseEnvironmentFile reads KEY=value lines with shell quoting, the common
// subset of os-release(5), machine-info(5) and the like. Lines that are no
// assignment are left out; the last of two assignments wins.
func ParseEnvironmentFile(text string) map[string]string {
	vars := map[string]string{}
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		key, value, ok := strings.Cut(l, "=")
		if !ok || l[0] == '#' || !isVariable(key) {
			continue
		}
		vars[key] = unquote(value)
	}
	return vars
}

func isVariable(name string) bool {
	for i, c := range name {
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// unquote undoes shell quoting of one value.
func unquote(s string) string {
	var out strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'':
			if c == '\'' {
				quote = 0
			} else {
				out.WriteByte(c)
			}
		case c == '\\' && i+1 < len(s):
			i++
			if quote == '"' && strings.IndexByte("\"\\`$", s[i]) < 0 {
				out.WriteByte('\\')
			}
			out.WriteByte(s[i])
		case c == quote && quote != 0:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return out.String()
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// SystemUIDMax is the highest uid of a system user (SYS_UID_MAX in
// login.defs(5)), 999 if nothing says otherwise.
func SystemUIDMax(root string) uint32 {
	text, _ := read(root, "etc/login.defs")
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) == 2 && f[0] == "SYS_UID_MAX" {
			if n, err := strconv.ParseUint(f[1], 0, 32); err == nil {
				return uint32(n)
			}
		}
	}
	return 999
}

// NeedsUpdate tells whether /etc or /var (path) is older than /usr: the time in
// its .updated file is before the modification time of /usr/. A read-only file
// system needs none. See systemd-update-done.service(8).
func NeedsUpdate(root, path string) bool {
	dir := filepath.Join(slash(root), path)
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0 {
		return false
	}
	var usr, mark unix.Stat_t
	if unix.Stat(filepath.Join(slash(root), "usr"), &usr) != nil {
		return true
	}
	if unix.Lstat(filepath.Join(dir, ".updated"), &mark) != nil {
		return true
	}
	if usr.Mtim.Sec != mark.Mtim.Sec || mark.Mtim.Nsec > 0 {
		return usr.Mtim.Nano() > mark.Mtim.Nano()
	}
	// A file system without nanoseconds: the file says what they were.
	text, err := read(dir, ".updated")
	if err != nil {
		return true
	}
	stamp, err := strconv.ParseInt(ParseEnvironmentFile(text)["TIMESTAMP_NSEC"], 10, 64)
	if err != nil {
		return true
	}
	return usr.Mtim.Nano() > stamp
}
