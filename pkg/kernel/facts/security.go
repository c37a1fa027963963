package facts

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The words of ConditionSecurity=.
var securityWords = []string{
	"selinux", "apparmor", "tomoyo", "smack", "ima", "audit", "uefi-secureboot", "tpm2", "cvm", "measured-uki",
}

// KnownSecurity tells whether a word is one of ConditionSecurity=.
func KnownSecurity(word string) bool { return contains(securityWords, word) }

// Security tells whether a security technology is there and on.
func Security(root, word string) bool {
	switch word {
	case "selinux":
		// The file system is there when the kernel has it, the policy when it
		// was loaded.
		return exists(root, "sys/fs/selinux/status") && exists(root, "sys/fs/selinux/policy") && exists(root, "etc/selinux/config")
	case "apparmor":
		return line(root, "sys/module/apparmor/parameters/enabled") == "Y"
	case "tomoyo":
		return exists(root, "sys/kernel/security/tomoyo")
	case "smack":
		return exists(root, "sys/fs/smackfs")
	case "ima":
		return exists(root, "sys/kernel/security/ima")
	case "audit":
		return isReal(root) && auditAvailable()
	case "uefi-secureboot":
		return SecureBoot(root)
	case "tpm2":
		return hasTPM2(root)
	case "cvm":
		return ConfidentialVM(root) != ""
	case "measured-uki":
		return exists(root, efivars+"/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")
	}
	return false
}

// auditAvailable tells whether the kernel lets us talk to its audit system.
func auditAvailable() bool {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_AUDIT)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

const efivars = "sys/firmware/efi/efivars"

// SecureBoot tells whether the firmware booted with secure boot on.
func SecureBoot(root string) bool {
	const global = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	text, err := read(root, efivars+"/SecureBoot-"+global)
	// Four bytes of attributes, then the value.
	return err == nil && len(text) == 5 && text[4] == 1
}

func hasTPM2(root string) bool {
	entries, err := os.ReadDir(filepath.Join(slash(root), "sys/class/tpmrm"))
	return err == nil && len(entries) > 0
}

// UEFI tells whether the machine was booted by UEFI.
func UEFI(root string) bool { return exists(root, "sys/firmware/efi") }

// DeviceTree tells whether the firmware gave the kernel a device tree.
func DeviceTree(root string) bool { return exists(root, "sys/firmware/devicetree") }

// DeviceTreeCompatible tells whether the device tree names a compatible board.
func DeviceTreeCompatible(root, name string) bool {
	text, err := read(root, "proc/device-tree/compatible")
	return err == nil && contains(strings.Split(strings.TrimRight(text, "\x00"), "\x00"), name)
}

// SMBIOSField is one of the files in /sys/class/dmi/id/; ok is false if there
// is no such field.
func SMBIOSField(root, name string) (value string, ok bool) {
	if name == "" || name[0] == '.' || strings.Contains(name, "/") {
		return "", false
	}
	text, err := read(root, "sys/class/dmi/id/"+name)
	return strings.TrimRight(text, " \t\n"), err == nil
}
