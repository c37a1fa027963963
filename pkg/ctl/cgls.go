package ctl

import (
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// cgroupRoot is where the hierarchy is mounted.
const cgroupRoot = "/sys/fs/cgroup"

// readGroup reads the cgroup tree at a directory: names, pids and command lines. kernel says whether threads of the kernel count.
func (e *Env) readGroup(dir string, all, kernel bool) (*groupTree, bool) {
	t := &groupTree{}
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
		if isKernel && !kernel {
			continue
		}
		t.pids = append(t.pids, process{pid: uint32(pid), command: command})
		populated = true
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if c, ok := e.readGroup(filepath.Join(dir, entry.Name()), all, kernel); c != nil && (ok || all) {
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

// cglsTool is systemd-cgls.
func cglsTool(e *Env, args []string) int {
	s := newSystemctl(e)
	defer s.close()
	all, kernel, units, noPager, nothing := false, false, false, false, false
	var names []string
	table := []option{
		{long: "no-pager", doc: "don't pipe output into a pager", set: setBool(&noPager, true)},
		{long: "all", short: 'a', doc: "also empty groups", set: setBool(&all, true)},
		{long: "full", short: 'l', doc: "don't cut lines", set: setBool(&s.o.full, true)},
		{short: 'k', doc: "also threads of the kernel", set: setBool(&kernel, true)},
		{long: "unit", short: 'u', arg: mayHaveArgument, name: "UNIT", doc: "show groups of units", set: func(v string) error {
			units = true
			if v != "" {
				names = append(names, v)
			}
			return nil
		}},
		{long: "user-unit", arg: mayHaveArgument, name: "UNIT", doc: "show groups of units of the caller's manager", set: func(v string) error {
			units, s.o.scope = true, scopeUser
			if v != "" {
				names = append(names, v)
			}
			return nil
		}},
		{long: "xattr", short: 'x', arg: mayHaveArgument, name: "BOOL", set: setBool(&nothing, true)},
		{long: "cgroup-id", short: 'c', arg: mayHaveArgument, name: "BOOL", set: setBool(&nothing, true)},
	}
	words, status, done := e.parseTool("systemd-cgls [OPTIONS...] [CGROUP...]\n\nShow cgroups with their processes, as a tree.\n\nOptions:\n", table, args, false)
	if done {
		return status
	}
	e.startPager(noPager)
	names = append(names, words...)
	if len(names) == 0 {
		e.printf("CGroup %s:\n-.slice\n", "/")
		return e.printCgroup(s, "/", all, kernel)
	}
	for _, n := range names {
		group := n
		if units {
			if !s.online() {
				return exitFailure
			}
			name, ok := s.mangle(n, ".service", false)
			if !ok {
				return exitFailure
			}
			p, err := unitProperties(s.bus, name)
			if err != nil {
				e.errorf("Failed to query unit control group path: %s", errorText(err))
				return exitFailure
			}
			if group = p.str("ControlGroup"); group == "" {
				e.notef("Unit %s not found.", name)
				status = exitFailure
				continue
			}
			e.printf("Unit %s (%s):\n", name, group)
		} else {
			group = strings.TrimPrefix(group, cgroupRoot)
			e.printf("CGroup %s:\n", orDefault(group, "/"))
		}
		if r := e.printCgroup(s, group, all, kernel); r != 0 {
			status = r
		}
	}
	return status
}

// printCgroup prints the tree below a cgroup.
func (e *Env) printCgroup(s *systemctl, group string, all, kernel bool) int {
	t, _ := e.readGroup(e.path(filepath.Join(cgroupRoot, group)), all, kernel)
	if t == nil {
		e.errorf("Failed to list cgroup tree: No such file or directory")
		return exitFailure
	}
	e.printTree(t, nil, treeStyle{width: s.lineWidth()})
	return 0
}

// sortedStrings is a sorted copy.
func sortedStrings(list []string) []string {
	out := append([]string{}, list...)
	sort.Strings(out)
	return out
}
