// Package path is the state machine of path units (systemd.path(5)): they activate another unit when something is there, or happens, in the file
// system.
//
//	      start                    there, or touched
//	dead ───────▶ waiting ──────────────────────────▶ running
//	 ▲               ▲                                   │
//	 │               └───── the unit is down again ──────┘
//	 ├── stop                      │
//	 │                             ▼
//	 └──────────────  failed: TriggerLimitBurst=, the unit's start limit, no job, no watch
//
//	sub-state  active state  watches   how it ends
//	dead       inactive      –         start
//	waiting    active        yes       something is there or was touched; the unit came up by itself; stop
//	running    active        –         the unit is inactive or failed and has no job; stop
//	failed     failed        –         start, ResetFailed
//
// Looking at files is the query WatchPaths: the shell sets the watches, then looks. While it is open nothing is decided, so a path on a file
// system that hangs holds up its unit and nothing else.
//
// Invariants:
//
//  1. Existed is what the last look found; PathChanged= and PathModified= are good when that changes, the others when it is true.
//  2. Nothing is watched while the unit runs: what it does to the path itself would start it again.
package path
