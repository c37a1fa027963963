package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit/value"
)

// cgroupRoot is where the hierarchy is mounted.
const cgroupRoot = "/sys/fs/cgroup"

// groupReading says what of cgroups is read.
type groupReading struct{ all, kernel, ids, xattrs bool }

// readGroup reads the cgroup tree at a directory: names, pids and command lines.
func (e *Env) readGroup(dir string, o groupReading) (*groupTree, bool) {
	t := &groupTree{}
	if o.ids {
		var st unix.Stat_t
		if unix.Stat(dir, &st) == nil {
			t.note = fmt.Sprintf(" (#%d)", st.Ino)
		}
	}
	if o.xattrs {
		t.xattrs = readXattrs(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, false
	}
	populated := false
	for _, line := range strings.Fields(readText(filepath.Join(dir, "cgroup.procs"))) {
		pid, err := strconv.ParseUint(line, 10, 32)
		if err != nil || pid == 0 {
			continue
		}
		command, isKernel := e.commandLine(pid)
		if isKernel && !o.kernel {
			continue
		}
		t.pids = append(t.pids, process{pid: uint32(pid), command: command})
		populated = true
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if c, ok := e.readGroup(filepath.Join(dir, entry.Name()), o); c != nil && (ok || o.all) {
			if t.children == nil {
				t.children = map[string]*groupTree{}
			}
			t.children[entry.Name()] = c
			populated = populated || ok
		}
	}
	return t, populated
}

func readText(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(b)
}

// commandLine is a process' command line quoted for a shell, or its name in brackets for a thread of the kernel.
func (e *Env) commandLine(pid uint64) (text string, kernel bool) {
	dir := e.path("/proc/" + strconv.FormatUint(pid, 10))
	raw := strings.TrimRight(readText(dir+"/cmdline"), "\x00")
	if raw == "" {
		return "[" + strings.TrimSpace(readText(dir+"/comm")) + "]", isKernelThread(dir)
	}
	return value.ShellQuoteCommandLine(strings.Split(raw, "\x00")), false
}

// isKernelThread looks at the flags of stat for PF_KTHREAD.
func isKernelThread(dir string) bool {
	stat := readText(dir + "/stat")
	i := strings.LastIndexByte(stat, ')')
	if i < 0 {
		return false
	}
	fields := strings.Fields(stat[i+1:])
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	return err == nil && flags&0x200000 != 0
}

// cgls is one run of systemd-cgls(1).
type cgls struct {
	*systemctl
	reading groupReading
	units   bool    // the words are units
	machine *string // --machine=
	names   []string
}

func (c *cgls) options() []option {
	unitOption := func(user bool) func(string) error {
		return func(v string) error {
			c.units = true
			if user {
				c.o.scope = scopeUser
			}
			if v != "" {
				c.names = append(c.names, v)
			}
			return nil
		}
	}
	return []option{
		{long: "no-pager", doc: "don't pipe output into a pager", set: setBool(&c.o.noPager, true)},
		{long: "all", short: 'a', doc: "also empty groups", set: setBool(&c.reading.all, true)},
		{long: "full", short: 'l', doc: "don't cut lines", set: setBool(&c.o.full, true)},
		{short: 'k', doc: "also threads of the kernel", set: setBool(&c.reading.kernel, true)},
		{long: "unit", short: 'u', arg: mayHaveArgument, name: "UNIT", doc: "show groups of units", set: unitOption(false)},
		{long: "user-unit", arg: mayHaveArgument, name: "UNIT", doc: "show groups of units of the caller's manager", set: unitOption(true)},
		{long: "machine", short: 'M', arg: needsArgument, name: "NAME", doc: "show the groups of a container", set: func(v string) error { c.machine = &v; return nil }},
		{long: "xattr", short: 'x', arg: mayHaveArgument, name: "BOOL", doc: "show extended attributes", set: optionalBool(&c.reading.xattrs)},
		{long: "cgroup-id", short: 'c', arg: mayHaveArgument, name: "BOOL", doc: "show the ids of cgroups", set: optionalBool(&c.reading.ids)},
	}
}

// cglsTool is systemd-cgls.
func cglsTool(e *Env, args []string) int {
	c := &cgls{systemctl: newSystemctl(e)}
	defer c.close()
	words, status, done := e.parseTool("systemd-cgls [OPTIONS...] [CGROUP...]\n\nShow cgroups with their processes, as a tree.\n\nOptions:\n", c.options(), args, false)
	if done {
		return status
	}
	if c.units && c.machine != nil {
		e.errorf("Cannot combine --unit or --user-unit with --machine=.")
		return exitFailure
	}
	top := "/"
	if c.machine != nil {
		var ok bool
		if top, ok = c.machineGroup(*c.machine); !ok {
			return exitFailure
		}
	}
	e.startPager(c.o.noPager)
	c.names = append(c.names, words...)
	if len(c.names) == 0 {
		e.printf("CGroup %s:\n", top)
		if top == "/" {
			e.printf("-.slice\n")
		}
		return e.printCgroup(c.systemctl, top, c.reading)
	}
	for _, n := range c.names {
		group, found := c.group(n, top)
		if !found {
			status = exitFailure
			continue
		}
		if r := e.printCgroup(c.systemctl, group, c.reading); r != 0 {
			status = r
		}
	}
	return status
}

// group finds the control group of a word, below top, and prints its head line.
func (c *cgls) group(word, top string) (group string, found bool) {
	if !c.units {
		if group = strings.TrimPrefix(word, cgroupRoot); top != "/" {
			group = filepath.Join(top, group)
		}
		c.printf("CGroup %s:\n", orDefault(group, "/"))
		return group, true
	}
	if !c.online() {
		return "", false
	}
	name, ok := c.mangle(word, ".service", false)
	if !ok {
		return "", false
	}
	p, err := unitProperties(c.bus, name)
	if err != nil {
		c.errorf("Failed to query unit control group path: %s", errorText(err))
		return "", false
	}
	if group = p.str("ControlGroup"); group == "" {
		c.notef("Unit %s not found.", name)
		return "", false
	}
	c.printf("Unit %s (%s):\n", name, group)
	return group, true
}

// printCgroup prints the tree below a cgroup.
func (e *Env) printCgroup(s *systemctl, group string, o groupReading) int {
	t, _ := e.readGroup(e.path(filepath.Join(cgroupRoot, group)), o)
	if t == nil {
		e.errorf("Failed to list cgroup tree: No such file or directory")
		return exitFailure
	}
	e.printTree(t, nil, treeStyle{width: s.lineWidth()})
	return 0
}

// optionalBool reads the value of an option that means yes without one.
func optionalBool(p *bool) func(string) error {
	return func(v string) error {
		b, err := value.ParseBool(orDefault(v, "yes"))
		*p = b
		return err
	}
}

// readXattrs gives the attributes user.… and trusted.… of a cgroup as name: value.
func readXattrs(dir string) []string {
	var buf [16384]byte
	n, err := unix.Listxattr(dir, buf[:])
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "trusted.") {
			continue
		}
		var v [4096]byte
		if n, err := unix.Getxattr(dir, name, v[:]); err == nil {
			out = append(out, name+": "+value.CEscape(string(v[:n])))
		}
	}
	return out
}
