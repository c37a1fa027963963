// Package service is the state machine of service units (systemd.service(5)).
//
//	start job
//	    │ new invocation, cgroup
//	    ▼
//	condition ──▶ start-pre ──▶ start ──▶ start-post ──▶ running ◀──────▶ refresh-extensions, refresh-credentials,
//	    │             │           │           │          │  │  │          reload, reload-signal, reload-notify, reload-post
//	    │             │           │           │          │  │  └─ RemainAfterExit= ─▶ exited
//	    │ failure, timeout, stop  │           │          │  │ stop job,                 │
//	    ├─────────────┴───────────┴───────────┘          │  │ clean end                 │
//	    │ ◀──────────────────── failure ─────────────────┘  ▼                           │
//	    │                                                 stop (ExecStop=) ◀────────────┘
//	    ▼                                                   │
//	stop-sigterm, stop-watchdog ◀───────────────────────────┘
//	    ▼
//	stop-sigkill
//	    ▼
//	stop-post (ExecStopPost=)
//	    ▼
//	final-sigterm, final-watchdog
//	    ▼
//	final-sigkill
//	    ├─ no restart ──▶ dead, failed, dead-resources-pinned ◀──CleanUnit()──▶ cleaning
//	    └─ Restart= ────▶ dead-before-auto-restart, failed-before-auto-restart (not with RestartMode=direct)
//	                            ▼
//	                      auto-restart ──RestartSec=──▶ auto-restart-queued ──▶ start job
//
// Phases that have no command are passed without a trace, and a rung of the kill ladder is entered only if somebody got
// the signal (package control). A sub-state is entered only after the process that it stands for exists: the query Spawn
// is asked in the old sub-state, Spawned enters the new one, SpawnFailed takes the way of failure. What a sub-state maps
// to, which timeout runs in it and what it may hold is in the table states; Deadline is computed from it.
//
// # Ends
//
// The first failure of an activation is the result; later ones do not replace it. Which exits are clean depends on what
// ended: a daemon may end by SIGHUP, SIGINT, SIGTERM or SIGPIPE, a command (control process, oneshot) may not.
//
//   - ExecCondition= that exits with 1 to 254 skips the service: result exec-condition, neither failure nor restart.
//   - A failure in condition, start-pre, start or start-post, a timeout or a stop before running goes straight to the
//     signals, ExecStop= is for services that were up. ExecStopPost= always runs.
//   - The end of the main process in running is the end of the service: ExecStop=, signals for the rest, ExecStopPost=.
//     With ExitType=cgroup the end of the last process is.
//   - Type=notify without READY=1 before the end, and a PID file that nobody can write any more, are result protocol.
//
// # Questions to the shell
//
// Spawn, Kill, CheckCgroup, CheckPID and GuessMainPID are answered before anything else is delivered; one at a time is
// open (State.Pending), and jobs are put off until then. A PID file and the removal of directories may take long
// (State.Slow): the service goes on living, and a sub-state in which the answer means nothing cancels the question.
//
// # Rules
//
//  1. MainPID and ControlPID are 0 where the table says that the sub-state holds none; both are tracked by the host while set.
//  2. Each descriptor that comes with a message is either in the store or closed.
//  3. A timeout that is due changes the sub-state or is switched off: Expire makes progress.
//  4. Time, randomness and processes come in through Host and events; equal inputs give equal effects.
//  5. State survives encoding/json at any moment between two calls.
package service
