// Package scope is the state machine of scope units (systemd.scope(5)): groups of processes that somebody else has started.
//
//	        AttachPIDs                 stop, RuntimeMaxSec=, OOMPolicy=
//	dead ───────────────▶ running ──────────────────────────────▶ stop-sigterm ──▶ stop-sigkill
//	 ▲                      │ Abandon()                               ▲   │             │
//	 │                      └────────────▶ abandoned ─────────────────┘   │             │
//	 │                                        │                           │             │
//	 └── cgroup empty (failed, if there was a failure) ◀──────────────────┴─────────────┘
//
// A scope has neither main nor control process; it lives as long as its cgroup has processes. The processes are moved into
// the cgroup by the query AttachPIDs before running is entered; without any process left the start fails.
//
//	sub-state      active state   timer            how it ends
//	dead           inactive       –                start (once: a scope is not started again)
//	running        active         RuntimeMaxSec=   stop, cgroup empty
//	abandoned      active         RuntimeMaxSec=   as running; the controller is not asked any more
//	stop-sigterm   deactivating   TimeoutStopSec=  cgroup empty, or stop-sigkill; with a controller nobody is signalled yet
//	stop-sigkill   deactivating   TimeoutStopSec=  cgroup empty, or failed (timeout)
//	failed         failed         –                ResetFailed
//
// start-chown is not used: the cgroup of a scope with User= is handed over when it is made.
package scope
