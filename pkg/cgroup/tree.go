package cgroup

import (
	"errors"
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/kernel"
	"golang.org/x/sys/unix"
)

// A Tree is the manager's part of the hierarchy.
type Tree struct {
	status Status
	rootFD int // O_PATH of the manager's root
	dir    string
	root   *group
	groups map[string]*group

	// cache of directory descriptors for CLONE_INTO_CGROUP, a clock over slots.
	cache [dirCacheSize]*group
	hand  int

	watch watches
	// excess are groups with controllers on that nobody below wants any more.
	excess map[*group]struct{}
}

// dirCacheSize bounds the directory descriptors kept open: those of the unit that is being started. Every descriptor more costs every child, which
// gets a copy of it and closes it, more than it saves here.
const dirCacheSize = 2

// group is what is remembered of one directory that was realized.
type group struct {
	path     string
	parent   *group
	children int
	own      Mask                    // asked for by its unit
	wanted   *[controllerCount]int32 // members that need the controller; nil: none ever did
	enabled  Mask                    // in cgroup.subtree_control
	disabled Mask                    // never to be enabled below (DisableControllers=)
	killed   bool                    // cgroup.kill was, or may have been, written since it was made
	dirFD    int                     // cached, -1 if not
	used     bool                    // for the clock
	wd       [2]int32                // inotify watches: cgroup.events, memory.events; 0 for none
}

// needs are the controllers the group needs from its parent.
func (g *group) needs() Mask { return g.own | g.members() }

// members are the controllers that something below asked for.
func (g *group) members() Mask {
	var m Mask
	if g.wanted != nil {
		for i, n := range g.wanted {
			if n > 0 {
				m |= 1 << i
			}
		}
	}
	return m
}

// Open opens the tree that [Detect] found.
func Open() (*Tree, error) { return OpenStatus(Detect()) }

// OpenAt opens the tree below an existing cgroup2 directory, e.g. of a test or
// of a manager that was given a group of its own.
func OpenAt(dir string) (*Tree, error) {
	s := Status{Mode: ModeUnified, Mount: strings.TrimRight(dir, "/")}
	if !isCgroup2(dir) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoTree)
	}
	s.probe()
	return OpenStatus(s)
}

// OpenStatus opens a tree by its status. A tree that is not writable can be
// read.
func OpenStatus(s Status) (*Tree, error) {
	if s.Mode == ModeNone {
		return nil, fmt.Errorf("%w: %s", ErrNoTree, s.Reason)
	}
	dir := strings.TrimRight(s.Mount+"/"+s.Base, "/")
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	t := &Tree{
		status: s, rootFD: fd, dir: dir,
		root:   &group{dirFD: -1, disabled: ^s.Controllers},
		groups: map[string]*group{},
		excess: map[*group]struct{}{},
	}
	t.groups[""] = t.root
	if t.root.enabled = t.readMask("", "cgroup.subtree_control"); t.root.enabled != 0 {
		t.excess[t.root] = struct{}{}
	}
	return t, nil
}

// Status is what the tree was opened with.
func (t *Tree) Status() Status { return t.status }

// Dir is the absolute directory of a path, for messages, sd_notify-like
// environment variables and workers.
func (t *Tree) Dir(path string) string {
	if path = clean(path); path == "" {
		return t.dir
	}
	return t.dir + "/" + path
}

// Absolute is the path as /proc/PID/cgroup and ControlGroup= show it.
func (t *Tree) Absolute(path string) string { return "/" + join(t.status.Base, clean(path)) }

// Relative is the inverse of [Tree.Absolute]; ok is false if the path is
// outside of the tree.
func (t *Tree) Relative(absolute string) (path string, ok bool) {
	absolute = clean(absolute)
	if t.status.Base == "" {
		return absolute, !strings.HasPrefix(absolute, "..")
	}
	rest, ok := strings.CutPrefix(absolute, t.status.Base)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return clean(rest), true
}

// Close closes every descriptor. Groups stay.
func (t *Tree) Close() {
	for _, g := range t.cache {
		if g != nil {
			kernel.CloseFD(g.dirFD)
		}
	}
	t.watch.close()
	kernel.CloseFD(t.rootFD)
}

// Realized is what came of [Tree.Realize].
type Realized struct {
	// Created: the directory was made just now, so every attribute is at its
	// default and there are no watches.
	Created bool
	// Migrate: do not clone into the group, it would be killed at birth; let the
	// child write "0" to cgroup.procs.
	Migrate bool
	// Controllers are those that have their files in the group.
	Controllers Mask
	// Errors of enabling controllers, each naming the group; the group is usable.
	Errors []error
}

// Realize makes the group of a unit and those above it and enables the
// controllers in mask for it. It may be called again with another mask. Errors
// are those of mkdir(2): EROFS, EACCES, EAGAIN (cgroup.max.descendants)…
func (t *Tree) Realize(path string, mask Mask) (Realized, error) {
	path = clean(path)
	g, r, err := t.make(path)
	if err != nil {
		return Realized{}, err
	}
	if !r.Created && !g.killed && g != t.root && errors.Is(unix.Faccessat(t.rootFD, path, unix.F_OK, 0), unix.ENOENT) {
		// Somebody else removed it; inotify doesn't tell on all kernels.
		g.killed = true
	}
	if g.killed {
		r.Created, r.Migrate, err = t.remake(g)
		if err != nil {
			return Realized{}, err
		}
	}
	t.setOwn(g, mask)
	t.enable(g.parent, &r)
	if g.parent != nil {
		r.Controllers = g.parent.enabled
	} else {
		r.Controllers = t.status.Controllers
	}
	return r, nil
}

// make finds or makes the groups down to path.
func (t *Tree) make(path string) (*group, Realized, error) {
	if g := t.groups[path]; g != nil {
		return g, Realized{}, nil
	}
	dir, _ := splitLast(path)
	parent, _, err := t.make(dir)
	if err != nil {
		return nil, Realized{}, err
	}
	err = unix.Mkdirat(t.rootFD, path, 0o755)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, Realized{}, fmt.Errorf("cgroup %s: %w", t.Absolute(path), err)
	}
	g := &group{path: path, parent: parent, dirFD: -1, disabled: parent.disabled}
	if err != nil {
		// It was there: of an earlier manager, or of ourselves before a
		// re-execution. Nobody knows whether it was killed, so think so.
		g.killed = true
		g.enabled = t.readMask(path, "cgroup.subtree_control")
		if g.enabled != 0 {
			t.excess[g] = struct{}{}
		}
	}
	parent.children++
	t.groups[path] = g
	return g, Realized{Created: err == nil}, nil
}

// remake removes and makes a group again after it was killed.
func (t *Tree) remake(g *group) (created, migrate bool, err error) {
	if err := unix.Unlinkat(t.rootFD, g.path, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return false, true, nil // not empty: live with it
	}
	t.forget(g)
	err = unix.Mkdirat(t.rootFD, g.path, 0o755)
	if errors.Is(err, unix.ENOENT) {
		err = t.mkdirAll(g.path) // somebody removed the slice as well
	}
	if err != nil {
		t.drop(g)
		return false, false, fmt.Errorf("cgroup %s: %w", t.Absolute(g.path), err)
	}
	g.killed = false
	g.enabled = 0
	return true, false, nil
}

func (t *Tree) mkdirAll(path string) error {
	if dir, _ := splitLast(path); dir != "" {
		if err := t.mkdirAll(dir); err != nil {
			return err
		}
	}
	if err := unix.Mkdirat(t.rootFD, path, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// setOwn changes what g asks for and carries the difference upwards, as far as
// it makes one.
func (t *Tree) setOwn(g *group, mask Mask) {
	before := g.needs()
	g.own = mask
	t.carry(g, before)
}

func (t *Tree) carry(g *group, before Mask) {
	for p := g.parent; p != nil; g, p = p, p.parent {
		after := g.needs()
		if after == before {
			return
		}
		parentBefore := p.needs()
		if p.wanted == nil {
			p.wanted = new([controllerCount]int32)
		}
		for i := range controllerCount {
			p.wanted[i] += int32(after>>i&1) - int32(before>>i&1)
		}
		if p.enabled&^p.members() != 0 {
			t.excess[p] = struct{}{}
		}
		before = parentBefore
	}
}

// enable writes cgroup.subtree_control where something is missing, from the
// top to g.
func (t *Tree) enable(g *group, r *Realized) {
	if g == nil {
		return
	}
	t.enable(g.parent, r)
	missing := g.members() &^ g.disabled &^ g.enabled
	if g.parent != nil {
		missing &= g.parent.enabled
	}
	if missing == 0 {
		return
	}
	if err := t.write(g.path, "cgroup.subtree_control", missing.toggles("+")); err == nil {
		g.enabled |= missing
		return
	}
	// One that cannot be enabled spoils the write for all: one by one.
	for i := range controllerCount {
		c := missing & (1 << i)
		if c == 0 {
			continue
		}
		if err := t.write(g.path, "cgroup.subtree_control", c.toggles("+")); err != nil {
			r.Errors = append(r.Errors, err)
			continue
		}
		g.enabled |= c
	}
}

// SetDisabled says which controllers are never to be enabled below a group
// (DisableControllers=). Groups that are realized already lose them at the next
// [Tree.Settle].
func (t *Tree) SetDisabled(path string, mask Mask) error {
	g := t.groups[clean(path)]
	if g == nil {
		return fmt.Errorf("cgroup %s: %w", t.Absolute(path), unix.ENOENT)
	}
	inherited := ^t.status.Controllers
	if g.parent != nil {
		inherited = g.parent.disabled
	}
	g.disabled = inherited | mask
	for _, sub := range t.below(g) {
		sub.disabled = sub.parent.disabled
	}
	t.excess[g] = struct{}{}
	for _, sub := range t.below(g) {
		if sub.enabled&sub.disabled != 0 {
			t.excess[sub] = struct{}{}
		}
	}
	return nil
}

// below lists the groups under g, parents first.
func (t *Tree) below(g *group) []*group {
	var list []*group
	for path, sub := range t.groups {
		if sub != g && sub != t.root && (g == t.root || strings.HasPrefix(path, g.path+"/")) {
			list = append(list, sub)
		}
	}
	sortByDepth(list)
	return list
}

// Settle turns controllers off that nobody below needs any more. It is apart
// from [Tree.Release] because turning a controller off and on again walks every
// process below: call it when the manager is idle.
func (t *Tree) Settle() []error {
	var errs []error
	var list []*group
	for g := range t.excess {
		list = append(list, g)
	}
	sortByDepth(list)
	for i := len(list) - 1; i >= 0; i-- { // children before parents
		g := list[i]
		if t.groups[g.path] == g {
			off := g.enabled &^ (g.members() &^ g.disabled)
			if off != 0 {
				if err := t.write(g.path, "cgroup.subtree_control", off.toggles("-")); err != nil {
					errs = append(errs, err)
				} else {
					g.enabled &^= off
				}
			}
		}
		delete(t.excess, g)
	}
	return errs
}

// Unsettled is the number of groups [Tree.Settle] would look at.
func (t *Tree) Unsettled() int { return len(t.excess) }

// Realized tells whether the group of a path is known to exist.
func (t *Tree) Realized(path string) bool { return t.groups[clean(path)] != nil }

// Len is the number of groups, the root included.
func (t *Tree) Len() int { return len(t.groups) }
