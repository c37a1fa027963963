package learn

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Confidence says how far a line can be trusted.
type Confidence string

// High: what the line forbids has no place in a service that does what this one did. Medium: it might, in a part that was not exercised.
// Low: it will, if a part that was not exercised does anything of its own.
const (
	High   Confidence = "high"
	Medium Confidence = "medium"
	Low    Confidence = "low"
)

// Line is one setting of the proposal.
type Line struct {
	Setting, Value string
	Confidence     Confidence
	Seen           string // what it is concluded from
	Unseen         string // what could prove it wrong
	Reset          bool   // lists of the unit are replaced, not added to
}

// Unit is what the proposal has to know of the unit as it is.
type Unit struct {
	Name string
	// What the unit has already, which is never loosened.
	Bounding uint64                 // capabilities
	Families func(name string) bool // nil: all
	Calls    func(name string) bool // nil: all
	Own      []string               // directories of RuntimeDirectory= and its like, which stay writable
}

// Propose gives the tightest settings under which the service would have done what it did, those that are most likely right first.
func Propose(o *Observation, u Unit) []Line {
	p := &proposal{o: o, u: u}
	p.privileges()
	p.kernel()
	p.files()
	p.calls()
	return p.lines
}

// DropIn is the text of a drop-in with the lines.
func DropIn(o *Observation, u Unit, lines []Line) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# Proposed by musterctl analyze sandbox %s, which watched it for %s:\n# %d system calls of %s, %s, %s.%s\n[Service]\n",
		u.Name, round(o.For), o.total(), count(len(o.Calls), "kind", "kinds"), count(len(o.Paths), "path", "paths"), count(len(o.Programs), "program executed by it", "programs executed by it"), o.gaps())
	for _, l := range lines {
		fmt.Fprintf(b, "# %s; %s", l.Confidence, l.Seen)
		if l.Unseen != "" {
			fmt.Fprintf(b, "; not exercised: %s", l.Unseen)
		}
		b.WriteByte('\n')
		if l.Reset {
			fmt.Fprintf(b, "%s=\n", l.Setting)
		}
		fmt.Fprintf(b, "%s=%s\n", l.Setting, l.Value)
	}
	return b.String()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func round(d time.Duration) string {
	return value.FormatSpan(value.USec(d.Round(time.Second)/time.Microsecond), value.USecPerSec)
}

func (o *Observation) total() (n uint64) {
	for _, c := range o.Calls {
		n += c
	}
	return n
}

// gaps says what was not noted.
func (o *Observation) gaps() string {
	var list []string
	if o.Lost > 0 {
		list = append(list, fmt.Sprintf("%d paths came too fast to be noted", o.Lost))
	}
	if o.Full {
		list = append(list, "there were more paths than are kept")
	}
	if o.Blind > 0 {
		list = append(list, fmt.Sprintf("%d relative paths could not be completed", o.Blind))
	}
	if o.NoCapabilities != nil {
		list = append(list, "capabilities can't be seen on this kernel (they can since Linux 6.14)")
	}
	if len(list) == 0 {
		return ""
	}
	return "\n# Not everything was seen: " + strings.Join(list, ", ") + "."
}

type proposal struct {
	o     *Observation
	u     Unit
	lines []Line
}

func (p *proposal) add(c Confidence, setting, val, seen, unseen string) {
	p.lines = append(p.lines, Line{Setting: setting, Value: val, Confidence: c, Seen: seen, Unseen: unseen})
}

func (p *proposal) replace(c Confidence, setting, val, seen, unseen string) {
	p.lines = append(p.lines, Line{Setting: setting, Value: val, Confidence: c, Seen: seen, Unseen: unseen, Reset: true})
}

func (p *proposal) privileges() {
	o := p.o
	if o.SetIDProgram == "" {
		p.add(Medium, "NoNewPrivileges", "yes", "no program with a set-ID bit was executed", "programs that are started later, such as sendmail or sudo")
	}
	if o.NoCapabilities == nil {
		var names, uses []string
		for n := range o.Caps { // order-free: sorted below
			in := o.needed(n)
			if p.u.Bounding&(1<<n) == 0 || len(in) == 0 {
				continue
			}
			name := strings.ToUpper(value.CapabilityName(n))
			names, uses = append(names, name), append(uses, name+" in "+strings.Join(in, ", "))
		}
		sort.Strings(names)
		sort.Strings(uses)
		seen := "no capability was used"
		if len(names) > 0 {
			seen = "used: " + strings.Join(uses, "; ")
		}
		p.replace(Medium, "CapabilityBoundingSet", strings.Join(names, " "), seen, "reload, rotation of logs, changes of users")
	}
	if !o.SetID {
		p.add(High, "RestrictSUIDSGID", "yes", "no set-ID bit was set", "")
	}
	if !o.Realtime {
		p.add(High, "RestrictRealtime", "yes", "no real-time policy was asked for", "")
	}
	if !o.Persona {
		p.add(High, "LockPersonality", "yes", "the personality was not changed", "")
	}
	if len(o.WriteExecute) == 0 {
		p.add(Medium, "MemoryDenyWriteExecute", "yes", "no memory was both written and executed", "just-in-time compilers (scripts, regular expressions, plugins)")
	}
	if o.Namespaces == 0 {
		p.add(High, "RestrictNamespaces", "yes", "no namespace was made or entered", "")
	} else {
		p.replace(Medium, "RestrictNamespaces", value.NamespaceFlags(o.Namespaces).String(), "these were made or entered", "")
	}
	p.families()
}

// families are the address families; sockets of AF_UNIX are behind logging and names, also where none was made meanwhile.
func (p *proposal) families() {
	const unixFamily, inet, netlink, inet6 = 1, 2, 16, 10
	names := []string{"AF_UNIX"}
	for f := range p.o.Families { // order-free: sorted below
		if name := value.AddressFamily(f).String(); strings.HasPrefix(name, "AF_") && f != unixFamily && f != 0 && (p.u.Families == nil || p.u.Families(name)) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	seen := "sockets of " + count(len(p.o.Families), "family were made", "families were made")
	p.replace(Medium, "RestrictAddressFamilies", strings.Join(names, " "), seen, "look-ups of hosts, connections to other services")
	if !p.o.Families[inet] && !p.o.Families[inet6] && !p.o.Families[netlink] {
		p.add(Low, "PrivateNetwork", "yes", "no socket of a network was made", "anything that connects")
	}
}

func (p *proposal) kernel() {
	o := p.o
	yes := func(setting, bad, seen string) {
		if bad == "" {
			p.add(High, setting, "yes", seen, "")
		}
	}
	first := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	yes("ProtectClock", first(o.made("clock_settime", "settimeofday", "adjtimex", "clock_adjtime", "stime"), o.touched(false, "/dev/rtc", "/dev/rtc0")), "the clock was only read")
	yes("ProtectHostname", o.made("sethostname", "setdomainname"), "the host name was not set")
	yes("ProtectKernelModules", first(o.made("init_module", "finit_module", "delete_module"), o.touched(false, "/lib/modules", "/usr/lib/modules")), "no module was loaded or looked at")
	yes("ProtectKernelLogs", first(o.made("syslog"), o.touched(false, "/dev/kmsg", "/proc/kmsg")), "the kernel's log was not read")
	yes("ProtectKernelTunables", o.touched(true, "/proc/sys", "/proc/acpi", "/proc/irq", "/proc/fs", "/proc/sysrq-trigger", "/sys/kernel", "/sys/module", "/sys/class", "/sys/devices", "/sys/block", "/sys/bus"), "nothing was written below /proc/sys and /sys")
	yes("ProtectControlGroups", o.touched(true, "/sys/fs/cgroup"), "no control group was changed")
	p.replace(High, "SystemCallArchitectures", "native", "the system calls were those of this machine", "")
	p.add(High, "KeyringMode", "private", "keys of others are not needed", "")
	foreign := ""
	for a := range o.Paths { // order-free: whether there is one
		if rest, ok := strings.CutPrefix(a.Path, "/proc/"); ok && rest[:1] >= "1" && rest[:1] <= "9" && !a.Self {
			foreign = a.Path
		}
	}
	if foreign == "" {
		p.add(Medium, "ProtectProc", "invisible", "no other process was looked at", "checks of a PID file")
	}
	p.devices()
}

// pseudoDevices stay with PrivateDevices=.
var pseudoDevices = []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "log", "stdin", "stdout", "stderr", "fd", "mqueue", "hugepages", "core"}

func (p *proposal) devices() {
	if p.o.made("ioperm", "iopl", "pciconfig_read", "pciconfig_write") != "" {
		return
	}
	for a := range p.o.Paths { // order-free: whether there is one
		rest, ok := strings.CutPrefix(a.Path, "/dev/")
		if first, _, _ := strings.Cut(rest, "/"); ok && !slices.Contains(pseudoDevices, first) {
			return
		}
	}
	p.add(High, "PrivateDevices", "yes", "only pseudo devices were used", "")
}

func (p *proposal) files() {
	o := p.o
	p.add(Medium, "ProtectSystem", "strict", "see ReadWritePaths=", "files that are written now and then only")
	dirs, files := p.writable()
	if len(dirs) > 0 {
		p.add(Medium, "ReadWritePaths", strings.Join(dirs, " "), count(files, "file in there was written, made or removed", "files in there were written, made or removed"), "rotation of logs, state that is rarely written")
	}
	switch {
	case o.touched(false, "/home", "/root", "/run/user") == "":
		p.add(Medium, "ProtectHome", "yes", "no home was looked at", "users' files")
	case o.touched(true, "/home", "/root", "/run/user") == "":
		p.add(Medium, "ProtectHome", "read-only", "homes were only read", "users' files")
	}
	if temporary := p.sharedTemporary(); temporary == "" {
		p.add(Medium, "PrivateTmp", "yes", "nothing that others made was used in /tmp and /var/tmp", "sockets and files that are shared there")
	}
}

// sharedTemporary is a path in /tmp that was used but not made by the service.
func (p *proposal) sharedTemporary() string {
	made := map[string]bool{}
	for a := range p.o.Paths { // order-free: a set
		if a.Write {
			made[a.Path] = true
		}
	}
	for a := range p.o.Paths { // order-free: whether there is one
		for _, top := range []string{"/tmp/", "/var/tmp/"} {
			if strings.HasPrefix(a.Path, top) && !made[a.Path] {
				return a.Path
			}
		}
	}
	return ""
}

// writablePlaces are left as they are by ProtectSystem=strict, or made private by other lines.
var writablePlaces = []string{"/dev", "/proc", "/sys", "/home", "/root", "/run/user", "/tmp", "/var/tmp"}

// mostDirectories: of more than that in one place the place itself is named.
const mostDirectories = 6

// writable lists the directories that must stay writable: the one of each path that was written, without those in others of them.
func (p *proposal) writable() (dirs []string, files int) {
	set := map[string]bool{}
	for a := range p.o.Paths { // order-free: a set
		if !a.Write || within(a.Path, writablePlaces) || within(a.Path, p.u.Own) {
			continue
		}
		files++
		dir := filepath.Dir(a.Path)
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if fi, err := os.Stat(a.Path); err == nil && fi.IsDir() {
			dir = a.Path
		}
		// What the service made itself can't be named before it is there.
		for dir != "/" && !set[dir] {
			if made := p.o.Paths[access{Call: "mkdir", Path: dir, Write: true}] || p.o.Paths[access{Call: "mkdirat", Path: dir, Write: true}]; !made {
				break
			}
			dir = filepath.Dir(dir)
		}
		if _, err := os.Stat(dir); err == nil {
			set[dir] = true
		}
	}
	for d := range set { // order-free: what is nobody's business any more
		if within(d, writablePlaces) || within(d, p.u.Own) {
			delete(set, d)
		}
	}
	parents := map[string]int{}
	for d := range set { // order-free: counted
		parents[filepath.Dir(d)]++
	}
	for d := range set { // order-free: a set
		if up := filepath.Dir(d); parents[up] > mostDirectories && strings.Count(up, "/") > 1 {
			delete(set, d)
			set[up] = true
		}
	}
	for d := range set { // order-free: sorted below
		inner := false
		for up := filepath.Dir(d); ; up = filepath.Dir(up) {
			inner = inner || up != d && set[up]
			if up == "/" {
				break
			}
		}
		if !inner {
			dirs = append(dirs, d)
		}
	}
	sort.Strings(dirs)
	for i, d := range dirs {
		dirs[i] = value.QuoteWordPlain(strings.ReplaceAll(d, "%", "%%"))
	}
	return dirs, files
}

func within(path string, dirs []string) bool {
	for _, d := range dirs {
		if path == d || strings.HasPrefix(path, d+"/") {
			return true
		}
	}
	return false
}

// calls is the filter: groups of calls that ordinary services may make where one of them was seen, and single calls for the rest.
func (p *proposal) calls() {
	list, single := Groups(p.o.Calls, p.u.Calls)
	seen := fmt.Sprintf("%d calls were seen, %d of them in no harmless group", len(p.o.Calls), single)
	p.replace(Low, "SystemCallFilter", strings.Join(list, " "), seen, "reload, failures, programs that are started later")
	p.add(High, "SystemCallErrorNumber", "EPERM", "a call that is missing fails, and the service can say so", "")
}

// Groups names calls by the fewest groups that are part of @system-service, each with one of the calls, and the rest one by one. What is not allowed
// (nil: everything is) was refused before, and is not named.
func Groups(calls map[string]uint64, allowed func(name string) bool) (list []string, single int) {
	if allowed == nil {
		allowed = func(string) bool { return true }
	}
	harmless := set("@system-service")
	covered := set("@default")
	for _, g := range seccomp.Groups() {
		if g == "@system-service" || g == "@known" || g == "@default" {
			continue
		}
		members, used, safe := set(g), false, true
		for m := range members { // order-free: two sums
			used = used || calls[m] > 0 && !covered[m]
			safe = safe && harmless[m] && allowed(m)
		}
		if used && safe {
			list = append(list, g)
			for m := range members { // order-free: a set
				covered[m] = true
			}
		}
	}
	var rest []string
	for c := range calls { // order-free: sorted below
		if !covered[c] && allowed(c) {
			rest = append(rest, c)
		}
	}
	sort.Strings(rest)
	return append(append([]string{"@default"}, list...), rest...), len(rest)
}

func set(group string) map[string]bool {
	m := map[string]bool{}
	list, _ := seccomp.Expand([]string{group})
	for _, name := range list {
		m[name] = true
	}
	return m
}
