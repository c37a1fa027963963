package ctl

import (
	"net/netip"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Exposure is a rough measure: each check of a service has a weight and finds how bad things are, and the exposure is the weighted share of what could
// be better, from 0 to 100. Weights, ranges and what counts as bad are those of systemd-analyze security (found by asking it), so that both agree; the
// words are our own.

// confinement is what the checks look at.
type confinement struct {
	defaultDependencies bool
	typ                 string

	user                                          string
	dynamicUser, removeIPC                        bool
	groups                                        int // supplementary ones
	rootDirectory, rootImage                      string
	bounding, ambient                             uint64
	noNewPrivileges                               bool
	privateDevices, privateMounts, privateNetwork bool
	privateTmp, privateUsers                      bool
	protectClock, protectKernelLogs               bool
	protectKernelModules, protectKernelTunables   bool
	protectControlGroups, protectHostname         bool
	protectHome, protectSystem, protectProc       string
	procSubset, keyringMode, notifyAccess         string
	memoryDenyWriteExecute, restrictRealtime      bool
	restrictSUIDSGID, lockPersonality, delegate   bool
	restrictNamespaces                            uint64 // those that stay allowed
	umask                                         uint32
	families, syscalls                            nameFilter
	architectures                                 []string
	devicePolicy                                  string
	devices                                       int // DeviceAllow= rules
	addressDeny, addressAllow                     []netip.Prefix
	addressFilters                                int // IPIngressFilterPath= and IPEgressFilterPath=
}

// nameFilter is a list of names that are all that is allowed, or with deny what is not.
type nameFilter struct {
	set, deny bool
	names     map[string]bool
}

// notApplicable is the badness of a check that says nothing about this service.
const notApplicable = -1

// securityCheck is one row: field is its name in JSON and policy files, worst the largest badness.
type securityCheck struct {
	field, name string
	weight      int
	worst       int
	late        bool // means nothing for services that run before basic.target
	can         string
	badness     func(c *confinement) int
}

// finding is a check with what came of it.
type finding struct {
	*securityCheck
	badness int
	said    string
}

// good says whether all is well; applies whether there is anything to say.
func (f *finding) good() bool    { return f.badness == 0 }
func (f *finding) applies() bool { return f.badness != notApplicable }

// securityChecks is the table.
func securityChecks() []securityCheck {
	var list []securityCheck
	list = append(list, identityChecks()...)
	list = append(list, capabilityChecks()...)
	list = append(list, sandboxChecks()...)
	list = append(list, filterChecks()...)
	return list
}

// unless makes a check of something that should hold.
func unless(good func(c *confinement) bool) func(c *confinement) int {
	return func(c *confinement) int {
		if good(c) {
			return 0
		}
		return 1
	}
}

// level makes a check of words with a badness each; other words are the worst.
func level(word func(c *confinement) string, worst int, of map[string]int) func(c *confinement) int {
	return func(c *confinement) int {
		if n, ok := of[word(c)]; ok {
			return n
		}
		return worst
	}
}

func (c *confinement) root() bool {
	return !c.dynamicUser && (c.user == "" || c.user == "root" || c.user == "0") || c.user == "root" || c.user == "0"
}

func identityChecks() []securityCheck {
	return []securityCheck{
		{"UserOrDynamicUser", "User=/DynamicUser=", 2000, 10, false, "act as root", func(c *confinement) int {
			switch {
			case c.user == "nobody":
				return 9
			case c.root():
				return 10
			}
			return 0
		}},
		{"SupplementaryGroups", "SupplementaryGroups=", 200, 1, false, "use further groups", func(c *confinement) int {
			if c.root() {
				return notApplicable
			}
			return min(c.groups, 1)
		}},
		{"RemoveIPC", "RemoveIPC=", 100, 1, false, "leave IPC objects of its user behind", func(c *confinement) int {
			if c.root() {
				return notApplicable
			}
			return unless(func(c *confinement) bool { return c.removeIPC })(c)
		}},
		{"RootDirectoryOrRootImage", "RootDirectory=/RootImage=", 200, 1, true, "see the root directory of the host", unless(func(c *confinement) bool {
			return c.rootDirectory != "" && c.rootDirectory != "/" || c.rootImage != "" && c.rootImage != "/"
		})},
		{"AmbientCapabilities", "AmbientCapabilities=", 500, 1, false, "keep capabilities through execve()", unless(func(c *confinement) bool { return c.ambient == 0 })},
		{"NoNewPrivileges", "NoNewPrivileges=", 1000, 1, false, "gain privileges by set-user-id programs", unless(func(c *confinement) bool { return c.noNewPrivileges })},
		{"KeyringMode", "KeyringMode=", 1000, 1, false, "share keys with other services", unless(func(c *confinement) bool { return c.keyringMode == "private" })},
		{"NotifyAccess", "NotifyAccess=", 1000, 1, false, "let any of its processes speak to the manager", unless(func(c *confinement) bool { return c.notifyAccess != "all" })},
		{"Delegate", "Delegate=", 100, 1, false, "manage control groups of its own", unless(func(c *confinement) bool { return !c.delegate })},
		{"UMask", "UMask=", 100, 10, false, "make files that others can open", umaskBadness},
	}
}

// umaskBadness: files that everybody can write to are worst, then read, then the group alike.
func umaskBadness(c *confinement) int {
	switch {
	case c.umask&0o002 == 0:
		return 10
	case c.umask&0o004 == 0:
		return 5
	case c.umask&0o020 == 0:
		return 2
	case c.umask&0o040 == 0:
		return 1
	}
	return 0
}

// capabilityCheck is bad if any of the capabilities is in the bounding set.
func capabilityCheck(field, pattern string, weight int, can string, names ...string) securityCheck {
	var mask uint64
	for _, n := range names {
		if bit, err := value.ParseCapability("CAP_" + n); err == nil {
			mask |= 1 << bit
		}
	}
	return securityCheck{"CapabilityBoundingSet_CAP_" + field, "CapabilityBoundingSet=~CAP_" + pattern, weight, 1, false, can,
		unless(func(c *confinement) bool { return c.bounding&mask == 0 })}
}

func capabilityChecks() []securityCheck {
	one := func(name string, weight int, can string) securityCheck {
		return capabilityCheck(name, name, weight, can, name)
	}
	return []securityCheck{
		one("SYS_ADMIN", 1500, "administer the system"),
		capabilityCheck("SET_UID_GID_PCAP", "SET(UID|GID|PCAP)", 1500, "become other users, change capabilities", "SETUID", "SETGID", "SETPCAP"),
		one("SYS_PTRACE", 1500, "look into any process"),
		one("SYS_TIME", 1000, "set the clock"),
		one("NET_ADMIN", 1000, "configure networks"),
		one("SYS_MODULE", 1000, "load kernel modules"),
		one("SYS_RAWIO", 1000, "reach ports of devices"),
		capabilityCheck("CHOWN_FSETID_SETFCAP", "(CHOWN|FSETID|SETFCAP)", 1000, "change owners, modes and capabilities of any file", "CHOWN", "FSETID", "SETFCAP"),
		capabilityCheck("DAC_FOWNER_IPC_OWNER", "(DAC_*|FOWNER|IPC_OWNER)", 1000, "pass over permissions of files and IPC objects", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "IPC_OWNER"),
		capabilityCheck("AUDIT", "AUDIT_*", 500, "reach the audit system", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE"),
		one("KILL", 500, "send signals to any process"),
		one("MKNOD", 500, "make device nodes"),
		// The name of this field has a stray bracket in systemd.
		capabilityCheck("NET_BIND_SERVICE_BROADCAST_RAW)", "NET_(BIND_SERVICE|BROADCAST|RAW)", 500, "bind low ports, broadcast, use raw sockets", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW"),
		one("SYSLOG", 500, "read and change the kernel log"),
		capabilityCheck("SYS_NICE_RESOURCE", "SYS_(NICE|RESOURCE)", 500, "raise priorities and limits", "SYS_NICE", "SYS_RESOURCE"),
		capabilityCheck("MAC", "MAC_*", 100, "change mandatory access control", "MAC_ADMIN", "MAC_OVERRIDE"),
		one("SYS_BOOT", 100, "restart the system"),
		one("LINUX_IMMUTABLE", 75, "make files immutable"),
		one("IPC_LOCK", 50, "lock memory"),
		one("SYS_CHROOT", 50, "change its root directory"),
		one("BLOCK_SUSPEND", 25, "keep the system awake"),
		one("BPF", 25, "load BPF programs"),
		one("LEASE", 25, "take leases on files"),
		one("SYS_PACCT", 25, "switch process accounting"),
		one("SYS_TTY_CONFIG", 25, "hang up terminals"),
		one("WAKE_ALARM", 25, "wake up the system"),
	}
}

func sandboxChecks() []securityCheck {
	flag := func(name string, weight int, late bool, can string, good func(c *confinement) bool) securityCheck {
		return securityCheck{name, name + "=", weight, 1, late, can, unless(good)}
	}
	return []securityCheck{
		flag("PrivateNetwork", 2500, false, "reach the network of the host", func(c *confinement) bool { return c.privateNetwork }),
		flag("PrivateDevices", 1000, false, "reach devices", func(c *confinement) bool { return c.privateDevices }),
		flag("PrivateMounts", 1000, false, "mount for the whole system", func(c *confinement) bool { return c.privateMounts }),
		flag("PrivateTmp", 1000, true, "see temporary files of others", func(c *confinement) bool { return c.privateTmp }),
		flag("PrivateUsers", 1000, false, "see other users", func(c *confinement) bool { return c.privateUsers }),
		flag("ProtectClock", 1000, false, "set the clock of system or hardware", func(c *confinement) bool { return c.protectClock }),
		flag("ProtectControlGroups", 1000, false, "change control groups", func(c *confinement) bool { return c.protectControlGroups }),
		flag("ProtectKernelLogs", 1000, false, "read the kernel log", func(c *confinement) bool { return c.protectKernelLogs }),
		flag("ProtectKernelModules", 1000, false, "load or read kernel modules", func(c *confinement) bool { return c.protectKernelModules }),
		flag("ProtectKernelTunables", 1000, false, "set kernel parameters", func(c *confinement) bool { return c.protectKernelTunables }),
		{"ProtectHome", "ProtectHome=", 1000, 10, true, "see home directories", level(func(c *confinement) string { return c.protectHome }, 10, map[string]int{"yes": 0, "tmpfs": 1, "read-only": 5})},
		{"ProtectSystem", "ProtectSystem=", 1000, 10, true, "write to the operating system", level(func(c *confinement) string { return c.protectSystem }, 10, map[string]int{"strict": 0, "full": 3, "yes": 5})},
		{"ProtectProc", "ProtectProc=", 1000, 3, false, "see processes of others in /proc", level(func(c *confinement) string { return c.protectProc }, 3, map[string]int{"invisible": 0, "ptraceable": 0, "noaccess": 1})},
		flag("ProtectHostname", 50, false, "set the host name", func(c *confinement) bool { return c.protectHostname }),
		flag("ProcSubset", 10, false, "see more than processes in /proc", func(c *confinement) bool { return c.procSubset == "pid" }),
		flag("RestrictSUIDSGID", 1000, false, "make set-user-id files", func(c *confinement) bool { return c.restrictSUIDSGID }),
		flag("RestrictRealtime", 500, false, "use realtime scheduling", func(c *confinement) bool { return c.restrictRealtime }),
		flag("LockPersonality", 100, false, "change its execution domain", func(c *confinement) bool { return c.lockPersonality }),
		flag("MemoryDenyWriteExecute", 100, false, "write code into memory and run it", func(c *confinement) bool { return c.memoryDenyWriteExecute }),
		{"DeviceAllow", "DeviceAllow=", 1000, 10, false, "open any device node", func(c *confinement) int {
			switch {
			case c.devicePolicy != "strict" && c.devicePolicy != "closed":
				return 10
			case c.devices > 0:
				return 5
			}
			return 0
		}},
		{"IPAddressDeny", "IPAddressDeny=", 1000, 10, false, "talk to any address", addressBadness},
	}
}

// addressBadness: BPF programs are taken for good; denying all is, with the loopback allowed nearly.
func addressBadness(c *confinement) int {
	switch {
	case c.addressFilters > 0:
		return 0
	case !coversAll(c.addressDeny):
		return 10
	case len(c.addressAllow) == 0:
		return 0
	}
	for _, p := range c.addressAllow {
		if !p.Addr().IsLoopback() || p.Addr().Is4() && p.Bits() < 8 {
			return 5
		}
	}
	return 2
}

// coversAll says whether the list has both 0.0.0.0/0 and ::/0.
func coversAll(list []netip.Prefix) bool {
	four, six := false, false
	for _, p := range list {
		if p.Bits() == 0 {
			four, six = four || p.Addr().Is4(), six || p.Addr().Is6()
		}
	}
	return four && six
}

func filterChecks() []securityCheck {
	list := []securityCheck{
		{"SystemCallArchitectures", "SystemCallArchitectures=", 1000, 10, false, "make system calls of other architectures", func(c *confinement) int {
			switch {
			case len(c.architectures) == 0:
				return 10
			case len(c.architectures) == 1 && c.architectures[0] == "native":
				return 0
			}
			return 8
		}},
		familyCheck("AF_INET_INET6", "AF_(INET|INET6)", 1500, "open internet sockets", func(f string) bool { return f == "AF_INET" || f == "AF_INET6" }),
		familyCheck("OTHER", "…", 1250, "open sockets of rare kinds", func(f string) bool {
			return f != "AF_UNIX" && f != "AF_INET" && f != "AF_INET6" && f != "AF_NETLINK" && f != "AF_PACKET"
		}),
		familyCheck("AF_PACKET", "AF_PACKET", 1000, "open packet sockets", func(f string) bool { return f == "AF_PACKET" }),
		familyCheck("AF_NETLINK", "AF_NETLINK", 200, "open netlink sockets", func(f string) bool { return f == "AF_NETLINK" }),
		familyCheck("AF_UNIX", "AF_UNIX", 25, "open local sockets", func(f string) bool { return f == "AF_UNIX" }),
	}
	for _, n := range []struct {
		name   string
		weight int
	}{{"user", 1500}, {"cgroup", 500}, {"ipc", 500}, {"mnt", 500}, {"net", 500}, {"pid", 500}, {"uts", 100}} {
		bits, err := value.ParseNamespaces(n.name)
		if err != nil {
			continue
		}
		list = append(list, securityCheck{"RestrictNamespaces_" + n.name, "RestrictNamespaces=~" + n.name, n.weight, 1, false, "make namespaces: " + n.name,
			unless(func(c *confinement) bool { return c.restrictNamespaces&uint64(bits) == 0 })})
	}
	for _, n := range []struct {
		name   string
		weight int
	}{{"clock", 1000}, {"debug", 1000}, {"module", 1000}, {"mount", 1000}, {"raw-io", 1000}, {"reboot", 1000}, {"swap", 1000}, {"privileged", 700}, {"resources", 700}, {"cpu-emulation", 250}, {"obsolete", 250}} {
		list = append(list, syscallCheck(n.name, n.weight))
	}
	return list
}

// familyCheck is bad if families of the class can be used.
func familyCheck(field, pattern string, weight int, can string, class func(f string) bool) securityCheck {
	return securityCheck{"RestrictAddressFamilies_" + field, "RestrictAddressFamilies=~" + pattern, weight, 1, false, can, unless(func(c *confinement) bool {
		named := false
		for f := range c.families.names {
			named = named || class(f)
		}
		// One family of the class that is denied is taken for all of it.
		return c.families.set && named == c.families.deny
	})}
}

// syscallCheck is bad if an allow list has any call of the group, or a deny list lacks one.
func syscallCheck(group string, weight int) securityCheck {
	var calls []string
	badness := func(c *confinement) int {
		if !c.syscalls.set {
			return 10
		}
		if calls == nil {
			calls, _ = seccomp.Expand([]string{"@" + group})
		}
		for _, call := range calls {
			if c.syscalls.names[call] != c.syscalls.deny {
				if c.syscalls.deny {
					return 10
				}
				return 9
			}
		}
		return 0
	}
	return securityCheck{"SystemCallFilter_" + strings.ReplaceAll(group, "-", "_"), "SystemCallFilter=~@" + group, weight, 10, false, "make system calls: " + syscallSets["@"+group], badness}
}

// assess runs the checks over a service. The second result is the exposure, 0 to 100.
func assess(c *confinement, checks []securityCheck) ([]finding, int) {
	var out []finding
	bad, total := 0.0, 0
	for i := range checks {
		k := &checks[i]
		f := finding{securityCheck: k, badness: notApplicable, said: "means nothing this early in the boot"}
		if c.defaultDependencies || !k.late {
			f.badness = k.badness(c)
			f.said = k.sentence(f.badness)
		}
		if f.applies() {
			bad += float64(f.badness) * float64(k.weight) / float64(k.worst)
			total += k.weight
		}
		out = append(out, f)
	}
	if total == 0 {
		return out, 0
	}
	return out, roundUp(bad * 100 / float64(total))
}

// roundUp is the next whole number; what is only off by the error of the division is taken for whole.
func roundUp(x float64) int {
	n := int(x)
	if x-float64(n) > 1e-9 {
		n++
	}
	return n
}

func (k *securityCheck) sentence(badness int) string {
	switch {
	case badness == notApplicable:
		return "means nothing for root"
	case badness == 0:
		return "can't " + k.can
	case badness < k.worst:
		return "can in part " + k.can
	}
	return "can " + k.can
}

// exposureWords are the verdicts, each from a least exposure.
var exposureWords = []exposureWord{
	{100, "DANGEROUS", ":-[", colorBrightRed}, {90, "UNSAFE", ":-{", colorBrightRed}, {75, "EXPOSED", ":-(", colorBrightYellow}, {50, "MEDIUM", ":-|", colorNone},
	{10, "OK", ":-)", colorBrightGreen}, {1, "SAFE", ":-}", colorBrightGreen}, {0, "PERFECT", ":-]", colorBrightGreen},
}
