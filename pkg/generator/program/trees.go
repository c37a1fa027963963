package program

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/generator/debugshell"
	"github.com/muster-init/muster/pkg/generator/fstab"
	"github.com/muster-init/muster/pkg/generator/getty"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/generator/rclocal"
	"github.com/muster-init/muster/pkg/generator/runline"
	"github.com/muster-init/muster/pkg/generator/sysupdate"
	"github.com/muster-init/muster/pkg/unit/value"
)

func fstabTree(m *machine) *output.Tree {
	path := m.Getenv("SYSTEMD_FSTAB")
	if path == "" {
		path = "/etc/fstab"
	}
	in := fstab.Input{
		CommandLine: m.commandLine(), Initrd: m.initrd(), Fstab: fstab.Source{Path: path, Text: m.read(path)}, Container: m.container() != "",
		ReadOnlySys: m.readOnlySys(), Measured: m.measured(), Resolve: m.resolve,
		HasFsck:  func(fstype string) bool { return m.find("fsck."+fstype) != "" },
		Programs: fstab.Programs{Fsck: m.fsck(), MakeFS: m.helper("systemd-makefs")},
	}
	if m.Root == "" {
		in.NoSwap = !m.exists("/proc/swaps")
	}
	if in.Initrd {
		path = m.Getenv("SYSTEMD_SYSROOT_FSTAB")
		if path == "" {
			path = "/sysroot/etc/fstab"
		}
		in.RootFstab = fstab.Source{Path: path, Text: m.read(path)}
	}
	if text, ok := m.credential("fstab.extra"); ok {
		in.Credential = fstab.Source{Path: "/run/credentials", Text: text}
	}
	return fstab.Generate(in)
}

// fsck is the beginning of the command line that checks a file system.
func (m *machine) fsck() string {
	if path := m.helper("systemd-fsck"); path != "" {
		return path
	}
	// -T: no title, -l: lock the disk, -M: not while mounted, -a: repair what needs no answer.
	return "/sbin/fsck -a -T -l -M"
}

// measured tells that the boot was measured by a boot stub, so that file systems are to be as well.
func (m *machine) measured() bool {
	if v, err := value.ParseBool(m.Getenv("SYSTEMD_FORCE_MEASURE")); err == nil {
		return v
	}
	return m.container() == "" && m.exists("/sys/firmware/efi/efivars/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")
}

func gettyTree(m *machine) *output.Tree {
	in := getty.Input{
		CommandLine: m.commandLine(), Initrd: m.initrd(), Environment: m.ofFirst("SYSTEMD_GETTY_AUTO"), Container: m.container() != "",
		Active: strings.Fields(m.read("/sys/class/tty/console/active")), IsTerminal: m.isTerminal,
		HasTTY: func(name string) bool { return m.exists("/sys/class/tty/" + name) },
	}
	if in.Container {
		in.ContainerTTYs = m.ofFirst("container_ttys")
	}
	if text, ok := m.credential("getty.ttys.serial"); ok {
		in.SerialCredential = text
	}
	if text, ok := m.credential("getty.ttys.container"); ok {
		in.ContainerCredential = text
	}
	return getty.Generate(in)
}

// ofFirst is a variable of the environment that PID 1 was started with, which is not that of the manager's children.
func (m *machine) ofFirst(name string) string {
	if m.Root != "" {
		return m.Getenv(name)
	}
	for v := range strings.SplitSeq(m.read("/proc/1/environ"), "\x00") {
		if text, ok := strings.CutPrefix(v, name+"="); ok {
			return text
		}
	}
	return ""
}

// isTerminal opens the device: many serial lines that the kernel lists lead nowhere, and opening those fails.
func (m *machine) isTerminal(name string) bool {
	if strings.Contains(name, "..") {
		return false
	}
	fd, err := unix.Open(m.path("/dev/"+name), unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_, err = unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

func debugTree(m *machine) *output.Tree {
	in := debugshell.Input{CommandLine: m.commandLine(), Initrd: m.initrd()}
	for _, name := range m.credentials() {
		if strings.HasPrefix(name, "systemd.extra-unit.") || strings.HasPrefix(name, "systemd.unit-dropin.") {
			if text, ok := m.credential(name); ok {
				in.Credentials = append(in.Credentials, debugshell.Credential{Name: name, Text: text})
			}
		}
	}
	return debugshell.Generate(in)
}

func runTree(m *machine) *output.Tree {
	return runline.Generate(runline.Input{CommandLine: m.commandLine(), Initrd: m.initrd()})
}

func systemUpdateTree(m *machine) *output.Tree {
	return sysupdate.Generate(sysupdate.Input{
		CommandLine: m.commandLine(), Initrd: m.initrd(), Asked: m.exists("/system-update") || m.exists("/etc/system-update"),
	})
}

func rcLocalTree(m *machine) *output.Tree {
	info, err := os.Stat(m.path("/etc/rc.local"))
	return rclocal.Generate(rclocal.Input{Exists: err == nil, Executable: err == nil && info.Mode()&0o111 != 0})
}
