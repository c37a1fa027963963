package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/condition"
	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/kernel/facts"
	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// syscallSets says what the sets of SystemCallFilter= are about.
var syscallSets = map[string]string{
	"@default": "allowed with any filter", "@sandbox": "for giving up privileges", "@aio": "asynchronous input and output", "@basic-io": "reading and writing",
	"@chown": "owners of files", "@clock": "setting clocks", "@cpu-emulation": "emulating other processors", "@debug": "looking into other processes",
	"@file-system": "files and directories", "@io-event": "waiting for events", "@ipc": "pipes, queues and shared memory", "@keyring": "keys of the kernel",
	"@memlock": "keeping memory from being swapped", "@module": "modules of the kernel", "@mount": "mounting", "@network-io": "sockets",
	"@obsolete": "no longer in use, or not there", "@pkey": "keys of memory pages", "@privileged": "for root only", "@process": "processes and namespaces",
	"@raw-io": "ports of devices", "@reboot": "ending or restarting the system", "@resources": "limits, priorities and placement", "@setuid": "user and group ids",
	"@signal": "signals", "@swap": "swap space", "@sync": "writing out to disks", "@system-service": "what most services need", "@timer": "timers", "@known": "all that are known here",
}

// analyzeSyscalls is syscall-filter.
func analyzeSyscalls(a *analyze, args []string) int {
	names := args
	if len(args) == 0 {
		names = seccomp.Groups()
	}
	a.startPager(a.o.noPager)
	for i, n := range names {
		if i > 0 {
			a.printf("\n")
		}
		if !contains(seccomp.Groups(), n) && n != "@known" {
			a.errorf("Filter set \"%s\" not found.", n)
			return exitFailure
		}
		a.printSet(n, syscallSets[n], seccomp.Members(n))
	}
	return 0
}

func (a *analyze) printSet(name, doc string, members []string) {
	a.printf("%s\n", a.in(colorBold, name))
	if doc != "" {
		a.printf("    %s\n", a.in(colorGrey, "# "+doc))
	}
	for _, m := range members {
		c := colorNone
		if strings.HasPrefix(m, "@") {
			c = colorBold
		}
		a.printf("    %s\n", a.in(c, m))
	}
}

// analyzeFilesystems is filesystems.
func analyzeFilesystems(a *analyze, args []string) int {
	a.startPager(a.o.noPager)
	show := func(g *value.FileSystemGroup) {
		var lines []string
		for _, m := range strings.Fields(strings.ReplaceAll(g.Members, ", ", ",")) {
			name, magic, _ := strings.Cut(m, "=")
			magic = strings.ReplaceAll(magic, ",", ", ")
			lines = append(lines, fmt.Sprintf("%s (magic: %s)", name, magic))
		}
		a.printSet(g.Name, g.Doc, lines)
	}
	if len(args) == 0 {
		for i := range value.FileSystemGroups {
			if i > 0 {
				a.printf("\n")
			}
			show(&value.FileSystemGroups[i])
		}
		return 0
	}
next:
	for i, n := range args {
		if i > 0 {
			a.printf("\n")
		}
		for i := range value.FileSystemGroups {
			if g := &value.FileSystemGroups[i]; g.Name == n {
				show(g)
				continue next
			}
		}
		a.errorf("Filesystem set \"%s\" not found.", n)
		return exitFailure
	}
	return 0
}

// analyzeUnitPaths is unit-paths.
func analyzeUnitPaths(a *analyze, _ []string) int {
	for _, d := range a.paths().Search {
		a.printf("%s\n", d)
	}
	return 0
}

// index lists the unit files that the options mean.
func (a *analyze) index() (*loader.Index, []string) {
	p := a.paths()
	search := make([]string, len(p.Search))
	for i, d := range p.Search {
		search[i] = p.Root + d
	}
	return loader.Scan(search), search
}

// analyzeUnitFiles is unit-files: names and the files they lead to, and the other names of units.
func analyzeUnitFiles(a *analyze, args []string) int {
	index, _ := a.index()
	files := index.Files()
	names := sortedKeys(files)
	a.startPager(a.o.noPager)
	aliases := map[string][]string{}
	for _, n := range names {
		if !matchesAny(n, args) {
			continue
		}
		target := files[n]
		name := index.Resolve(n).Name
		if name != n && name != "" {
			target = name
		} else {
			name = n
		}
		a.printf("ids: %s → %s\n", n, target)
		aliases[name] = append(aliases[name], n)
	}
	for _, n := range sortedKeys(aliases) {
		a.printf("aliases: %s ← %s\n", n, strings.Join(aliases[n], ", "))
	}
	return 0
}

// conditionFacts are the facts of this machine.
func (a *analyze) conditionFacts() *condition.Facts {
	v := facts.DetectVirtualization(a.Root)
	line, err := facts.KernelCommandLine(a.Root, v.Container != "")
	if err != nil {
		line = ""
	}
	return &condition.Facts{
		Root: orDefault(a.Root+a.o.root, "/"), User: a.o.scope == scopeUser, Environment: a.Environ(), Virtualization: v.ID(), Container: v.Container != "",
		PrivateUsers: facts.PrivateUsers(a.Root), FirstBoot: facts.FirstBoot(a.Root), CommandLine: facts.SplitCommandLine(line),
		Controllers: strings.Fields(a.readFile(cgroupRoot + "/cgroup.controllers")), CgroupRoot: cgroupRoot, Version: "257",
	}
}

// analyzeCondition is condition: of the command line, or with --unit= of a unit.
func analyzeCondition(a *analyze, args []string) int {
	switch {
	case len(args) > 0 && a.unit != "":
		a.errorf("No conditions can be passed if --unit= is used.")
		return exitFailure
	case len(args) == 0 && a.unit == "":
		a.errorf("Too few arguments for condition")
		return exitFailure
	}
	name := "test.service"
	text := "[Unit]\n" + strings.Join(args, "\n") + "\n"
	var u *unit.Unit
	if a.unit != "" {
		n, ok := a.mangle(a.unit, ".service", false)
		if !ok {
			return exitFailure
		}
		index, search := a.index()
		name, u = n, loader.New(search, index, a.host(), a.unitDefaults(), func(unit.Message) {}).Load(n)
		if u.LoadState == unit.StateNotFound {
			a.errorf("Unit %s not found.", n)
			return exitFailure
		}
	} else {
		for _, arg := range args {
			key, _, ok := strings.Cut(arg, "=")
			if !ok || !strings.HasPrefix(key, "Condition") && !strings.HasPrefix(key, "Assert") {
				a.errorf("Cannot parse \"%s\".", arg)
				return exitFailure
			}
		}
		var messages []unit.Message
		u, messages = unit.Load(a.host(), a.unitDefaults(), &unit.Source{Name: "test.target", Fragment: &unit.File{Path: "command line", Text: text}})
		for _, m := range messages {
			a.errorf("%s", m.Text)
		}
	}
	return a.testConditions(name, u)
}

func (a *analyze) testConditions(name string, u *unit.Unit) int {
	f := a.conditionFacts()
	status := 0
	for _, part := range []struct {
		list []unit.Condition
		kind string
	}{{u.Asserts, "Assert"}, {u.Conditions, "Condition"}} {
		if len(part.list) == 0 {
			continue
		}
		met, results, _ := condition.TestAll(f, part.list)
		// The last one that was written is tested first.
		for i := len(part.list) - 1; i >= 0; i-- {
			c := part.list[i]
			word := "failed"
			if results[i] == condition.Met {
				word = "succeeded"
			}
			if !a.o.quiet {
				a.notef("%s: %s %s.", name, condition.Text(c), word)
			}
		}
		word := "succeeded"
		if !met {
			word, status = "failed", exitFailure
		}
		if !a.o.quiet {
			a.notef("%ss %s.", part.kind, word)
		}
	}
	return status
}

// analyzeVersions is compare-versions.
func analyzeVersions(a *analyze, args []string) int {
	order := value.CompareVersions(args[0], args[len(args)-1])
	if len(args) == 2 {
		word := map[int]string{-1: "<", 0: "==", 1: ">"}[order]
		a.printf("%s %s %s\n", args[0], a.in(colorBold, word), args[1])
		return map[int]int{-1: 12, 0: 0, 1: 11}[order]
	}
	ok := false
	switch args[1] {
	case "lt", "<":
		ok = order < 0
	case "le", "<=":
		ok = order <= 0
	case "eq", "==", "=":
		ok = order == 0
	case "ne", "!=":
		ok = order != 0
	case "ge", ">=":
		ok = order >= 0
	case "gt", ">":
		ok = order > 0
	default:
		a.errorf("Unknown operator \"%s\".", args[1])
		return exitFailure
	}
	return failUnless(ok)
}

// analyzeCatConfig is cat-config: a configuration file and its drop-ins, as the program that reads them sees them.
func analyzeCatConfig(a *analyze, args []string) int {
	a.startPager(a.o.noPager)
	prefixes := []string{"/etc/", "/run/", "/usr/local/lib/", "/usr/lib/"}
	first := true
	for _, arg := range args {
		name := arg
		if strings.HasPrefix(arg, "/") {
			found := false
			for _, p := range prefixes {
				if rest, ok := strings.CutPrefix(arg, p); ok {
					name, found = rest, true
					break
				}
			}
			if !found {
				a.errorf("Path %s does not start with any known prefix.", arg)
				return exitFailure
			}
		}
		if !first {
			a.printf("\n")
		}
		first = false
		switch {
		case name == "":
			name = "/etc/"
			a.printf("%s\n", a.in(colorBlue, "# "+name))
			a.errorf("Failed to cat %s: Is a directory", name)
			return exitFailure
		case !a.catConfig(name, prefixes):
			return exitFailure
		}
	}
	return 0
}

func (a *analyze) catConfig(name string, prefixes []string) bool {
	u := unitPaths{name: name}
	root := a.o.root
	drop := map[string]string{}
	directory := strings.HasSuffix(name, ".d")
	for i := len(prefixes) - 1; i >= 0; i-- {
		file := root + prefixes[i] + name
		st, err := os.Stat(a.path(file))
		pattern := file + ".d/*.conf"
		switch {
		case err == nil && st.IsDir():
			// sysctl.d and the like have no main file.
			pattern, directory = file+"/*.conf", true
		case err == nil:
			u.fragment = file
		}
		list, err := filepath.Glob(a.path(pattern))
		if err != nil {
			continue
		}
		for _, f := range list {
			drop[filepath.Base(f)] = strings.TrimPrefix(f, a.Root)
		}
	}
	for _, n := range sortedKeys(drop) {
		u.dropIns = append(u.dropIns, drop[n])
	}
	if u.fragment == "" && !directory {
		a.printf("%s\n", a.in(colorBlue, "# Main configuration file "+name+" not found"))
		if len(u.dropIns) > 0 {
			a.printf("\n")
		}
	}
	return a.catFiles(u)
}

// host is what specifiers stand for here.
func (a *analyze) host() *unit.Host {
	id, _ := facts.MachineID(a.Root)
	boot, _ := facts.BootID(a.Root)
	release, _ := facts.OSRelease(orDefault(a.Root+a.o.root, "/"))
	c := &unit.SpecifierContext{
		User: a.o.scope == scopeUser, MachineID: strings.ReplaceAll(id, "-", ""), BootID: strings.ReplaceAll(boot, "-", ""), HostName: hostname(), PrettyHostName: hostname(),
		KernelRelease: facts.KernelVersion(a.Root), Architecture: facts.Architecture(),
		OSID: release["ID"], OSVersionID: release["VERSION_ID"], OSBuildID: release["BUILD_ID"], OSVariantID: release["VARIANT_ID"], OSImageID: release["IMAGE_ID"], OSImageVersion: release["IMAGE_VERSION"],
		UserName: "root", GroupName: "root", Home: "/root", Shell: "/bin/sh", TmpDir: "/tmp", VarTmpDir: "/var/tmp",
		RuntimeRoot: "/run", StateRoot: "/var/lib", CacheRoot: "/var/cache", LogRoot: "/var/log", ConfigRoot: "/etc", SharedRoot: "/usr/share",
	}
	return &unit.Host{Specifiers: c, User: c.User, MemoryTotal: facts.MemoryBytes(a.Root)}
}
