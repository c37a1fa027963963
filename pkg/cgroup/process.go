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
// limit, of which a group takes some as well; ErrLimit beyond. visit is called with each group's path.
func (t *Tree) ProcsRecursive(path string, limit int, visit func(path string, pids []int)) error {
	path = clean(path)
	return t.procsBelow(t.rootFD, path, path, &limit, visit)
}

// groupCost is what a group counts against the limit, in processes: to open its list takes about as long as to signal so many.
const groupCost = 16

// procsBelow does so for the group at path, seen from the directory at, whose name in full is known as name.
func (t *Tree) procsBelow(at int, path, name string, limit *int, visit func(path string, pids []int)) error {
	return below(at, path, func(at int, path string) error {
		pids, err := procsAt(at, path)
		if err != nil {
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
				return nil // removed while we looked
			}
			return err
		}
		visit(name, pids)
		if *limit -= groupCost + len(pids); *limit < 0 {
			return fmt.Errorf("cgroup %s: processes: %w", t.Absolute(name), ErrLimit)
		}
		subs, err := subdirectories(at, path)
		if err != nil {
			return nil
		}
		for _, sub := range subs {
			if err := t.procsBelow(at, join(path, sub), join(name, sub), limit, visit); err != nil {
				return err
			}
		}
		return nil
	})
}

// procsAt lists the processes directly in the group at path; a threaded group has threads only.
func procsAt(at int, path string) ([]int, error) {
	text, err := readAt(at, join(path, "cgroup.procs"))
	if errors.Is(err, unix.EOPNOTSUPP) {
		text, err = readAt(at, join(path, "cgroup.threads"))
	}
	return parsePids(nil, text), err
}

// procsMax bounds the list of one group, in bytes.
const procsMax = 4 << 20

func readAt(at int, path string) (string, error) {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var text []byte
	buf := make([]byte, 4096)
	for len(text) < procsMax {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return string(text), err
		}
		text = append(text, buf[:n]...)
	}
	return string(text), nil
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
