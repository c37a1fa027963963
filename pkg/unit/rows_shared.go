package unit

import "github.com/muster-init/muster/pkg/unit/value"

// dependencyRows are the directives that name other units or mount points.
func dependencyRows() []*Row {
	dep := func(name string, d DepType, doc, example string, opts ...option) *Row {
		return customRow(InUnit, name, depImpl(d), doc, example, append(opts, full)...)
	}
	old := func(use string) []option {
		return []option{noProp, alias, legacy("is the old name of " + use + "=")}
	}
	return []*Row{
		dep("After", DepAfter, "Units that have to be up before this one starts.", "network.target", since(1), settable),
		dep("Before", DepBefore, "Units that start only once this one is up.", "multi-user.target", since(1), settable),
		dep("BindTo", DepBindsTo, "Old name of BindsTo=.", "dev-sda1.device", append(old("BindsTo"), since(12))...),
		dep("BindsTo", DepBindsTo, "Units that stop this one whenever they become inactive.", "dev-sda1.device", since(187), settable),
		dep("Conflicts", DepConflicts, "Units that are stopped when this one starts.", "shutdown.target", since(1), settable),
		dep("JoinsNamespaceOf", DepJoinsNamespaceOf, "Units whose private name spaces this one shares.", "web.service", since(209), settable),
		dep("OnFailure", DepOnFailure, "Units started when this one fails.", "alarm@.service", since(4), settable),
		dep("OnSuccess", DepOnSuccess, "Units started when this one stops cleanly.", "next.service", since(249), settable),
		dep("PartOf", DepPartOf, "Units whose stop and restart this one follows.", "web.service", since(188), settable),
		dep("PropagateReloadFrom", DepReloadPropagatedFrom, "Old name of ReloadPropagatedFrom=.", "web.service",
			append(old("ReloadPropagatedFrom"), since(38))...),
		dep("PropagateReloadTo", DepPropagatesReloadTo, "Old name of PropagatesReloadTo=.", "web.service",
			append(old("PropagatesReloadTo"), since(38))...),
		dep("PropagatesReloadTo", DepPropagatesReloadTo, "Units reloaded with this one.", "web.service", since(187), settable),
		dep("PropagatesStopTo", DepPropagatesStopTo, "Units stopped with this one.", "web.service", since(249), settable),
		dep("ReloadPropagatedFrom", DepReloadPropagatedFrom, "Units whose reload reloads this one.", "web.service", since(187), settable),
		dep("Requires", DepRequires, "Units started with this one, whose failure to start fails it.", "db.service", since(1), settable),
		dep("RequiresOverridable", DepRequires, "Obsolete form of Requires=.", "db.service", since(1), hidden, settable, alias, legacy("is the old name of Requires=")),
		dep("Requisite", DepRequisite, "Units that have to be active already.", "db.service", since(1), settable),
		dep("RequisiteOverridable", DepRequisite, "Obsolete form of Requisite=.", "db.service", since(1), hidden, settable, alias, legacy("is the old name of Requisite=")),
		dep("StopPropagatedFrom", DepStopPropagatedFrom, "Units whose stop stops this one.", "web.service", since(249), settable),
		dep("Upholds", DepUpholds, "Units kept running while this one is.", "web.service", since(249), settable),
		dep("Wants", DepWants, "Units started with this one, whose failure doesn't matter.", "db.service", since(1), settable),
		customRow(InUnit, "RequiresMountsFor", mountPathsImpl(func(b *UnitExtra) *[]PathDep { return &b.RequiresMountsFor }),
			"Paths whose mounts this unit requires.", "/var/lib/web", since(183), settable, full),
		customRow(InUnit, "WantsMountsFor", mountPathsImpl(func(b *UnitExtra) *[]PathDep { return &b.WantsMountsFor }),
			"Paths whose mounts this unit wants.", "/srv", since(256), settable, full),
	}
}

// conditionTests are what Condition…= and Assert…= can test.
var conditionTests = []struct {
	name    string
	since   uint16
	path    bool
	doc     string
	example string
}{
	{"ACPower", 18, false, "whether the machine is on mains power", "true"},
	{"Architecture", 210, false, "the architecture", "x86-64"},
	{"CPUFeature", 251, false, "a feature of the CPU", "rdrand"},
	{"CPUPressure", 250, false, "pressure on CPUs", "10%"},
	{"CPUs", 247, false, "how many CPUs there are", ">=2"},
	{"Capability", 37, false, "a capability in the bounding set", "CAP_SYS_ADMIN"},
	{"ControlGroupController", 237, false, "controllers of control groups", "memory"},
	{"Credential", 252, false, "a credential passed to the system", "web.key"},
	{"DirectoryNotEmpty", 12, true, "a directory that isn't empty", "/etc/web.d"},
	{"Environment", 247, false, "a variable of the manager", "LANG=C"},
	{"FileIsExecutable", 30, true, "an executable file", "/usr/bin/web"},
	{"FileNotEmpty", 196, true, "a file that isn't empty", "/etc/machine-id"},
	{"Firmware", 249, false, "the firmware", "uefi"},
	{"FirstBoot", 216, false, "whether this is the first boot", "yes"},
	{"Fraction", 261, false, "a share of all machines", "10%"},
	{"Group", 234, false, "the group of the manager", "root"},
	{"Host", 189, false, "the host name or machine id", "web*"},
	{"IOPressure", 250, false, "pressure on IO", "10%"},
	{"KernelCommandLine", 12, false, "a word of the kernel command line", "quiet"},
	{"KernelModuleLoaded", 258, false, "a kernel module", "fuse"},
	{"KernelVersion", 237, false, "the kernel's version", ">=6.1"},
	{"MachineTag", 261, false, "a tag of the machine", "web"},
	{"Memory", 247, false, "how much memory there is", ">=1G"},
	{"MemoryPressure", 250, false, "pressure on memory", "10%"},
	{"NeedsUpdate", 215, true, "whether a directory needs an update", "/etc"},
	{"OSRelease", 249, false, "fields of os-release", "ID=debian"},
	{"PathExists", 12, true, "a path that exists", "/etc/web.conf"},
	{"PathExistsGlob", 30, true, "a path that matches", "/etc/web.d/*.conf"},
	{"PathIsDirectory", 21, true, "a directory", "/var/www"},
	{"PathIsEncrypted", 247, true, "a path on an encrypted device", "/home"},
	{"PathIsMountPoint", 36, true, "a mount point", "/srv"},
	{"PathIsReadWrite", 183, true, "a path on a writable file system", "/var"},
	{"PathIsSocket", 260, true, "a socket", "/run/web.sock"},
	{"PathIsSymbolicLink", 36, true, "a symlink", "/etc/localtime"},
	{"Security", 23, false, "a security technology", "selinux"},
	{"User", 234, false, "the user of the manager", "root"},
	{"Version", 258, false, "a version", "systemd >= 250"},
	{"Virtualization", 19, false, "the virtualization", "container"},
}

// asserts exist since 218, or since their condition does.
const assertsSince = 218

// conditionRows have no properties of their own: Conditions and Asserts also
// hold results, which the engine has.
func conditionRows() []*Row {
	var rows []*Row
	for _, t := range conditionTests {
		// systemd has no AssertFirmware=, though the manual doesn't say so.
		if t.name != "Firmware" {
			rows = append(rows, customRow(InUnit, "Assert"+t.name, conditionImpl("Assert"+t.name, t.path),
				"Fail the start unless this holds: "+t.doc+".", t.example, since(max(t.since, assertsSince)), full))
		}
		rows = append(rows,
			customRow(InUnit, "Condition"+t.name, conditionImpl("Condition"+t.name, t.path),
				"Skip the start unless this holds: "+t.doc+".", t.example, since(t.since), full))
	}
	return rows
}

var rlimitDocs = [RLimitMax]string{
	"CPU time in seconds", "size of files", "size of the data segment", "size of the stack", "size of core dumps",
	"resident memory", "processes of the user", "open file descriptors", "locked memory", "address space",
	"file locks", "pending signals", "bytes in message queues", "nice level", "realtime priority",
	"realtime CPU time in µs",
}

var rlimitExamples = [RLimitMax]string{
	"60", "1073741824", "infinity", "8388608:16777216", "0", "infinity", "512", "1024:524288", "65536", "infinity",
	"100", "1000", "819200", "20", "10", "1000000",
}

// execLimitRows are LimitCPU= and so on.
func execLimitRows() []*Row {
	var rows []*Row
	for i, name := range RLimitNames {
		rows = append(rows, row(InExec, "Limit"+name, kExecLimit(i),
			inExec(func(b *Exec) *Exec { return b }),
			"Limit of "+rlimitDocs[i]+".", rlimitExamples[i], since(1), settable, full))
	}
	return rows
}

// managerDefaultRows are the settings units inherit.
func managerDefaultRows() []*Row {
	rows := managerDefaultSettings()
	for i, name := range RLimitNames {
		rows = append(rows, row(InManager, "DefaultLimit"+name, kRlimit(i),
			inManager(func(m *ManagerConfig) **value.Rlimit { return &m.DefaultLimits[i] }),
			"Limit"+name+"= of units that don't set it.", rlimitExamples[i], since(183), full))
	}
	return rows
}

func mountRows() []*Row {
	return append(append(mountOwnRows(), automountRows()...), swapRows()...)
}

// socketRows adds the listeners, which share one list.
func socketRows() []*Row {
	rows := socketOwnRows()
	for i, l := range []struct {
		name, kind string
		check      func(s string) (string, error)
		doc        string
		example    string
		since      uint16
	}{
		{"ListenStream", "Stream", streamAddress, "Address of a stream socket.", "/run/web.sock", 1},
		{"ListenDatagram", "Datagram", streamAddress, "Address of a datagram socket.", "127.0.0.1:514", 1},
		{"ListenSequentialPacket", "SequentialPacket", packetAddress, "Address of a sequential packet socket.", "@web", 1},
		{"ListenFIFO", "FIFO", nodeAddress, "Path of a FIFO.", "/run/web.fifo", 1},
		{"ListenSpecial", "Special", checkAbsolute, "Path of a special file.", "/dev/kmsg", 25},
		{"ListenNetlink", "Netlink", netlinkAddress, "Netlink family and group.", "kobject-uevent 1", 25},
		{"ListenMessageQueue", "MessageQueue", messageQueueName, "Name of a message queue.", "/web", 27},
		{"ListenUSBFunction", "USBFunction", nodeAddress, "Path of a USB gadget's end points.", "/run/ffs", 227},
	} {
		opts := []option{since(l.since), full}
		if i == 0 {
			opts = append(opts, prop("Listen"), settable)
		}
		rows = append(rows, customRow(InSocket, l.name, listenImpl(l.kind, l.check, i == 0), l.doc, l.example, opts...))
	}
	return rows
}

// timerRows adds the points in time, which share one list.
func timerRows() []*Row {
	rows := timerOwnRows()
	for _, t := range []struct{ base, directive, doc, example string }{
		{"Active", "OnActiveSec", "Elapse this long after the timer was started.", "10min"},
		{"Boot", "OnBootSec", "Elapse this long after the machine was booted.", "15min"},
		{"Startup", "OnStartupSec", "Elapse this long after the manager was started.", "5min"},
		{"UnitActive", "OnUnitActiveSec", "Elapse this long after the unit was last started.", "1d"},
		{"UnitInactive", "OnUnitInactiveSec", "Elapse this long after the unit last stopped.", "1h"},
	} {
		rows = append(rows, customRow(InTimer, t.directive, timerImpl(t.base), t.doc, t.example, since(1), settable, full))
	}
	return append(rows, customRow(InTimer, "OnCalendar", timerImpl("Calendar"), "Elapse at these times.",
		"Mon..Fri *-*-* 09:00:00", since(197), settable, full))
}

// pathRows adds the watches, which share one list.
func pathRows() []*Row {
	rows := pathOwnRows()
	for i, p := range []struct {
		name, doc string
		since     uint16
	}{
		{"PathExists", "Activate when the path exists.", 1},
		{"PathExistsGlob", "Activate when a path matches.", 30},
		{"PathChanged", "Activate when the path changes.", 1},
		{"PathModified", "Activate when the path changes, also by plain writes.", 38},
		{"DirectoryNotEmpty", "Activate when the directory isn't empty.", 1},
	} {
		opts := []option{since(p.since), full}
		if i == 0 {
			opts = append(opts, prop("Paths"), settable)
		}
		rows = append(rows, customRow(InPath, p.name, pathImpl(p.name, i == 0), p.doc, "/var/spool/web", opts...))
	}
	return rows
}

// obsoleteRows are directives 257 still knows only to say that they are gone.
func obsoleteRows() []*Row {
	gone := func(in Sections, name string, v uint16) *Row {
		return customRow(in, name, &custom{name: "ignored",
			parseFn:  func(*Context, target, string) error { return nil },
			formatFn: func(target) []string { return nil },
		}, "Obsolete, has no effect.", "x", since(v), legacy("is obsolete and has no effect"),
			func(r *Row) { r.Status, r.Note = Ignored, "systemd ignores it too" })
	}
	return []*Row{
		gone(InService, "BusPolicy", 217),
		gone(InExec, "Capabilities", 1),
		gone(InUnit, "IgnoreOnSnapshot", 27),
		gone(InManager, "JoinControllers", 34),
		gone(InCgroup, "NetClass", 227),
		gone(InService, "SysVStartPriority", 1),
	}
}
