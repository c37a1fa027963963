package ctl

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
)

// process is one entry of GetUnitProcesses.
type process struct {
	group   string // cgroup path
	pid     uint32
	command string
}

// fetchProcesses lists the processes of a unit.
func (s *systemctl) fetchProcesses(name string) ([]process, error) {
	r, err := s.call("GetUnitProcesses", name)
	if err != nil {
		return nil, err
	}
	return decodeProcesses(r)
}

func decodeProcesses(r *bus.Message) ([]process, error) {
	d, err := r.Args("a(sus)")
	if err != nil {
		return nil, err
	}
	var out []process
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		out = append(out, process{d.String(), d.Uint32(), d.String()})
	}
	return out, d.Err()
}

// groupTree is a cgroup with its processes and the groups in it.
type groupTree struct {
	name     string
	pids     []process
	children map[string]*groupTree
	note     string   // behind the name: the id of the cgroup
	xattrs   []string // lines under the name
}

func (t *groupTree) child(name string) *groupTree {
	if t.children == nil {
		t.children = map[string]*groupTree{}
	}
	c := t.children[name]
	if c == nil {
		c = &groupTree{name: name}
		t.children[name] = c
	}
	return c
}

// buildTree puts processes into the tree below the cgroup root; what is elsewhere comes back as extra.
func buildTree(root string, list []process) (tree *groupTree, extra []process) {
	tree = &groupTree{}
	prefix := strings.TrimSuffix(root, "/")
	for _, p := range list {
		rest, ok := p.group, true
		if prefix != "" && strings.HasPrefix(p.group, "/") {
			rest, ok = strings.CutPrefix(p.group, prefix)
			ok = ok && (rest == "" || rest[0] == '/')
		}
		if !ok {
			extra = append(extra, p)
			continue
		}
		at := tree
		for _, part := range strings.Split(rest, "/") {
			if part != "" {
				at = at.child(part)
			}
		}
		at.pids = append(at.pids, p)
	}
	return tree, extra
}

// treeStyle is how a tree of processes is printed.
type treeStyle struct {
	prefix string
	width  int // of lines, 0 without a limit
}

// printTree writes the processes of a group, then its groups, each under a branch.
func (e *Env) printTree(t *groupTree, extra []process, style treeStyle) {
	e.printGroup(t, style.prefix, style, len(extra) > 0)
	if len(extra) > 0 {
		e.printPIDs(extra, style.prefix, style, false, "‣ ")
	}
}

func (e *Env) printGroup(t *groupTree, prefix string, style treeStyle, more bool) {
	names := sortedKeys(t.children)
	e.printPIDs(t.pids, prefix, style, len(names) > 0 || more, "")
	for i, name := range names {
		last := i == len(names)-1 && !more
		branch, below := "├─", "│ "
		if last {
			branch, below = "└─", "  "
		}
		e.printf("%s%s%s%s\n", prefix, branch, cgroupUnescape(name), t.children[name].note)
		for _, x := range t.children[name].xattrs {
			e.printf("%s→ %s\n", prefix+below, x)
		}
		e.printGroup(t.children[name], prefix+below, style, false)
	}
}

// printPIDs writes processes by pid, the numbers aligned at the right.
func (e *Env) printPIDs(list []process, prefix string, style treeStyle, more bool, bullet string) {
	sort.Slice(list, func(i, j int) bool { return list[i].pid < list[j].pid })
	digits := 0
	for _, p := range list {
		digits = max(digits, len(strconv.FormatUint(uint64(p.pid), 10)))
	}
	for i, p := range list {
		branch := "├─"
		if i == len(list)-1 && !more {
			branch = "└─"
		}
		if bullet != "" {
			branch = bullet
		}
		command := orDefault(p.command, "n/a")
		if style.width > 0 {
			command = ellipsize(command, max(style.width-textWidth(prefix)-3-digits, 20), 100)
		}
		line := fmt.Sprintf("%*d %s", digits, p.pid, command)
		e.printf("%s%s%s\n", prefix, branch, e.in(colorGrey, line))
	}
}

// cgroupUnescape takes away the underscore that keeps a unit's cgroup apart from files of the kernel.
func cgroupUnescape(name string) string { return strings.TrimPrefix(name, "_") }
