package facts

import (
	"os"
	"strings"
)

// VM is a machine virtualization, Container a container manager; both as
// systemd-detect-virt(1) names them, "" for none.
type Virtualization struct {
	VM        string
	Container string
}

// ID is the name systemd-detect-virt prints: the innermost one, or "none".
func (v Virtualization) ID() string {
	switch {
	case v.Container != "":
		return v.Container
	case v.VM != "":
		return v.VM
	}
	return "none"
}

var vmNames = []string{
	"kvm", "amazon", "qemu", "bochs", "xen", "uml", "vmware", "oracle", "microsoft", "zvm", "parallels", "bhyve", "qnx",
	"acrn", "powervm", "apple", "sre", "google", "vm-other",
}

var containerNames = []string{
	"systemd-nspawn", "lxc-libvirt", "lxc", "openvz", "docker", "podman", "rkt", "wsl", "proot", "pouch", "container-other",
}

// KnownVirtualization tells whether name is one that can be detected.
func KnownVirtualization(name string) bool {
	return contains(vmNames, name) || contains(containerNames, name)
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// DetectVirtualization looks for both kinds.
func DetectVirtualization(root string) Virtualization {
	return Virtualization{VM: detectVM(root), Container: DetectContainer(root)}
}

// DetectContainer finds the container manager around us, "" if there is none.
func DetectContainer(root string) string {
	switch {
	case exists(root, "proc/vz") && !exists(root, "proc/bc"):
		return "openvz"
	case strings.Contains(line(root, "proc/sys/kernel/osrelease"), "Microsoft"), strings.Contains(line(root, "proc/sys/kernel/osrelease"), "WSL"):
		return "wsl"
	case strings.HasPrefix(tracer(root), "proot"):
		return "proot"
	}
	// Said by the manager itself, most reliable first: a file for everybody, the
	// environment of process 1, and what PID 1 wrote down from that.
	for _, said := range []string{line(root, "run/host/container-manager"), ownEnvironment(root), line(root, "run/systemd/container"), initEnvironment(root)} {
		switch said {
		case "":
			continue
		case "oci":
			if id := containerFiles(root); id != "" {
				return id
			}
		}
		return containerName(said)
	}
	if id := containerFiles(root); id != "" {
		return id
	}
	// The root of the whole hierarchy has no cgroup.events, that of a cgroup
	// namespace has.
	if exists(root, "sys/fs/cgroup/cgroup.controllers") && exists(root, "sys/fs/cgroup/cgroup.events") {
		return "container-other"
	}
	return ""
}

func containerName(said string) string {
	if contains(containerNames, said) {
		return said
	}
	return "container-other"
}

func containerFiles(root string) string {
	switch {
	case exists(root, "run/.containerenv"):
		return "podman"
	case exists(root, ".dockerenv"):
		return "docker"
	}
	return ""
}

// ownEnvironment is $container if we are process 1.
func ownEnvironment(root string) string {
	if isReal(root) && os.Getpid() == 1 {
		return os.Getenv("container")
	}
	return ""
}

func initEnvironment(root string) string {
	text, err := read(root, "proc/1/environ")
	if err != nil {
		return ""
	}
	for v := range strings.SplitSeq(text, "\x00") {
		if value, ok := strings.CutPrefix(v, "container="); ok {
			return value
		}
	}
	return ""
}

// tracer is the command of the process that traces us, as proot does.
func tracer(root string) string {
	text, _ := read(root, "proc/self/status")
	for l := range strings.Lines(text) {
		if pid, ok := strings.CutPrefix(l, "TracerPid:"); ok {
			if pid = strings.TrimSpace(pid); pid != "0" {
				return line(root, "proc/"+pid+"/comm")
			}
		}
	}
	return ""
}

// detectVM asks firmware tables first where they are more exact than the CPU.
func detectVM(root string) string {
	firmware := dmiVM(root)
	switch firmware {
	case "oracle", "xen", "amazon", "parallels", "google":
		return firmware
	}
	if strings.Contains(line(root, "proc/cpuinfo"), "User Mode Linux") {
		return "uml"
	}
	if id, isXen := xen(root); isXen {
		return id
	}
	cpu := ""
	if isReal(root) {
		cpu = cpuVM()
	}
	if cpu != "" && cpu != "vm-other" {
		return cpu
	}
	if firmware != "" {
		return firmware
	}
	for _, detect := range []func(string) string{hypervisorType, deviceTreeVM, zvm} {
		if id := detect(root); id != "" {
			return id
		}
	}
	return cpu
}

// dmi are the beginnings of firmware strings.
var dmi = []struct{ prefix, id string }{
	{"KVM", "kvm"}, {"OpenStack", "kvm"}, {"KubeVirt", "kvm"}, {"Amazon EC2", "amazon"}, {"QEMU", "qemu"},
	{"VMware", "vmware"}, {"VMW", "vmware"}, {"innotek GmbH", "oracle"}, {"VirtualBox", "oracle"}, {"Oracle Corporation", "oracle"},
	{"Xen", "xen"}, {"Bochs", "bochs"}, {"Parallels", "parallels"}, {"BHYVE", "bhyve"}, {"Hyper-V", "microsoft"},
	{"Apple Virtualization", "apple"}, {"Google Compute Engine", "google"},
}

func dmiVM(root string) string {
	for _, file := range []string{"product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"} {
		text := line(root, "sys/class/dmi/id/"+file)
		for _, d := range dmi {
			if !strings.HasPrefix(text, d.prefix) {
				continue
			}
			if d.id == "amazon" && strings.HasSuffix(line(root, "sys/class/dmi/id/product_name"), ".metal") {
				return "" // the same vendor, without a hypervisor
			}
			return d.id
		}
	}
	return ""
}

// xen tells guests from the privileged domain, which is the machine itself.
func xen(root string) (id string, isXen bool) {
	if !exists(root, "proc/xen") && line(root, "sys/hypervisor/type") != "xen" {
		return "", false
	}
	if strings.Contains(line(root, "proc/xen/capabilities"), "control_d") {
		return "", true
	}
	return "xen", true
}

func hypervisorType(root string) string {
	if line(root, "sys/hypervisor/type") == "xen" {
		return "xen"
	}
	return ""
}

func deviceTreeVM(root string) string {
	text, err := read(root, "proc/device-tree/hypervisor/compatible")
	switch compatible, _, _ := strings.Cut(text, "\x00"); {
	case err == nil && compatible == "linux,kvm":
		return "kvm"
	case err == nil && strings.Contains(compatible, "xen"):
		return "xen"
	case err == nil && strings.Contains(compatible, "vmware"):
		return "vmware"
	case err == nil:
		return "vm-other"
	case exists(root, "proc/device-tree/ibm,partition-name") && exists(root, "proc/device-tree/hmc-managed?") && !exists(root, "proc/device-tree/chosen/qemu,graphic-width"):
		return "powervm"
	}
	entries, _ := os.ReadDir(slash(root) + "/proc/device-tree")
	for _, e := range entries {
		if strings.Contains(e.Name(), "fw-cfg") {
			return "qemu"
		}
	}
	return ""
}

func zvm(root string) string {
	text, _ := read(root, "proc/sysinfo")
	for l := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(l, "VM00 Control Program:"); ok {
			if strings.HasPrefix(strings.TrimSpace(v), "z/VM") {
				return "zvm"
			}
			return "kvm"
		}
	}
	return ""
}

// PrivateUsers tells whether we are in a user namespace that is not the
// machine's own: not every id maps to itself.
func PrivateUsers(root string) bool {
	for _, file := range []string{"proc/self/uid_map", "proc/self/gid_map"} {
		text, err := read(root, file)
		if err != nil {
			continue
		}
		if f := strings.Fields(text); len(f) != 3 || f[0] != "0" || f[1] != "0" || f[2] != "4294967295" {
			return true
		}
	}
	return line(root, "proc/self/setgroups") == "deny"
}
