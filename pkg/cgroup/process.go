package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLimit: a listing was cut at its limit.
var ErrLimit = errors.New("too many")

// AttachPid moves a process into the group; EBUSY or EOPNOTSUPP if it may not
// have processes, ESRCH if there is no such process.
func (t *Tree) AttachPid(path string, pid int) error {
	return t.write(path, "cgroup.procs", strconv.Itoa(pid))
}

// Procs lists the processes directly in the group, those of other pid
// namespaces left out.
func (t *Tree) Procs(path string) ([]int, error) {
	text, err := t.Read(path, "cgroup.procs")
	if errors.Is(err, unix.EOPNOTSUPP) {
		// A threaded group has threads only.
		text, err = t.Read(path, "cgroup.threads")
	}
	if err != nil {
		return nil, err
	}
	return parsePids(nil, text), nil
}

func parsePids(list []int, text string) []int {
	for line := range strings.FieldsSeq(text) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 0 {
			list = append(list, pid)
		}
	}
	return list
}

// ProcsRecursive lists the processes of a group and of all below, at most
// limit; ErrLimit beyond. visit is called with each group's path.
func (t *Tree) ProcsRecursive(path string, limit int, visit func(path string, pids []int)) error {
	path = clean(path)
	pids, err := t.Procs(path)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
			return nil // removed while we looked
		}
		return err
	}
	visit(path, pids)
	limit -= 1 + len(pids)
	if limit < 0 {
		return fmt.Errorf("cgroup %s: processes: %w", t.Absolute(path), ErrLimit)
	}
	subs, err := subdirectories(t.rootFD, path)
	if err != nil {
		return nil
	}
	for _, name := range subs {
		err := t.ProcsRecursive(join(path, name), limit, func(p string, list []int) {
			limit -= 1 + len(list)
			visit(p, list)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Kill sends SIGKILL to every process in the group and below, also to those
// that are being forked; ENOENT in the root. The group (and every group known
// below) is marked: the next [Tree.Realize] remakes it.
func (t *Tree) Kill(path string) error {
	path = clean(path)
	if err := t.write(path, "cgroup.kill", "1"); err != nil {
		return err
	}
	if g := t.groups[path]; g != nil {
		g.killed = true
		if g.children > 0 {
			for _, sub := range t.below(g) {
				sub.killed = true
			}
		}
	}
	return nil
}

// Freeze stops every process of the group, Thaw lets them go on; the change is
// complete when cgroup.events says so ([Event]).
func (t *Tree) Freeze(path string) error { return t.write(path, "cgroup.freeze", "1") }

// Thaw is the inverse of [Tree.Freeze].
func (t *Tree) Thaw(path string) error { return t.write(path, "cgroup.freeze", "0") }

// State is the content of cgroup.events.
type State struct {
	Populated bool // there are processes in the group or below
	Frozen    bool
}

// State reads cgroup.events.
func (t *Tree) State(path string) (State, error) {
	text, err := t.Read(path, "cgroup.events")
	if err != nil {
		return State{}, err
	}
	kv := parseKeyed(text)
	return State{Populated: kv["populated"] != 0, Frozen: kv["frozen"] != 0}, nil
}

// parseKeyed reads a flat keyed file, "name number" lines.
func parseKeyed(text string) map[string]uint64 {
	m := make(map[string]uint64, 8)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			m[name] = n
		}
	}
	return m
}
