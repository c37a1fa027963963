// Package cgroup keeps the manager's part of the cgroup2 hierarchy: it makes
// and removes a group per unit, enables controllers where a unit below needs
// them, writes attributes, kills, freezes, watches and counts. The kernel's
// interface is Documentation/admin-guide/cgroup-v2.rst; the layout is that of
// systemd (slices nest by name, units below their slice).
//
// Invariants:
//
//  1. Paths are relative to the manager's own root: "" is the root itself,
//     "system.slice/cron.service" a unit. A leading slash is ignored.
//  2. A controller is enabled in a group's cgroup.subtree_control exactly when
//     a group below asked for it; that is counted per group and controller, so
//     realizing or releasing one of n siblings costs the depth, not n.
//  3. A group that cgroup.kill was written to is remade before anything is
//     cloned into it (newer kernels kill what is), or the caller is told to
//     migrate instead.
//  4. No controllers, a read-only tree or no tree at all are states, not
//     errors of the package: see [Status]. Operations then fail with a plain
//     errno, and the manager goes on with process tracking.
//  5. A Tree belongs to one goroutine. Functions that may take long on foreign
//     input ([RemoveTree], [Tree.ProcsRecursive] of a delegated tree) are
//     bounded and say so.
//
// Nothing here opens a path outside /sys/fs/cgroup and /proc.
package cgroup
