// Package socket is the state machine of socket units (systemd.socket(5)).
//
//	start job
//	    │ new invocation
//	    ▼
//	start-pre ──▶ start-open ──▶ start-chown ──▶ start-post ──▶ listening ◀────▶ running
//	    │             │              │               │             │  ▲  │           │
//	    │             │              │               │             │  │  ▼           │
//	    │             │              │               │             │ deferred        │
//	    │             └──────────────┴───────────────┴──┬──────────┴─────────────────┘
//	    │                                    failure    ▼    stop job, limit
//	    │                                           stop-pre (ExecStopPre=)
//	    │                                               ▼
//	    │                                  stop-pre-sigterm ─▶ stop-pre-sigkill
//	    │                                               ▼ the listeners are closed
//	    │                                           stop-post (ExecStopPost=)
//	    │                                               ▼
//	    └─────────────▶ final-sigterm ─▶ final-sigkill ─▶ dead, failed ◀──CleanUnit()──▶ cleaning
//
// Phases that have no command are passed without a trace. Opening and chowning are questions to the shell that may take
// their time (a path may be on a file system that hangs), so they have sub-states of their own, with TimeoutSec=.
//
//   - listening: the shell watches the listeners. What happens on one is SocketReady.
//   - running: a service has the listeners, nobody watches them here.
//   - deferred: something waits, but its service conflicts with units that are up or on their way (DeferTrigger=).
//
// With Accept=no the first sign on a listener starts the service and the socket is running until the service is down again. With
// Accept=yes the shell takes each connection, and every one gets a unit of its own; the socket goes on listening.
//
// # Limits
//
// PollLimit*: a listener that reports too often is not watched until the span is over. TriggerLimit*: an activation too many
// makes the unit fail (trigger-limit-hit), as does a service that failed by its start limit (service-start-limit-hit).
// MaxConnections= and MaxConnectionsPerSource=: a connection too many is closed and counted in NRefused.
//
// # Rules
//
//  1. Ports is empty where the table says that the sub-state holds none, and Watched only in listening.
//  2. Each connection that comes with an event is given to a service or closed.
//  3. One query that is answered at once may be open (Pending); jobs are put off until then. One that is slow may be open (Slow);
//     a sub-state in which its answer means nothing cancels it.
//  4. Time, randomness and processes come in through Host and events; equal inputs give equal effects.
package socket
