// Package control holds what the unit types that run processes have in common: the commands of an Exec*= list and what
// became of them, the judgement of an exit, the timeout of a unit, and the ladder of signals that ends its processes.
//
// It also holds Simple, the state of types that are active or not and nothing else. Otherwise nothing here keeps a state
// machine of its own: the unit types (service, scope, and those that run mount, swapon or
// socket commands) hold these values in their State and decide about sub-states themselves.
//
// The ladder. A unit that must go is led through rungs, each of them a sub-state of the type:
//
//	stop-watchdog ─┐                          final-watchdog ─┐
//	               ├─▶ stop-sigkill ─▶ (then)                 ├─▶ final-sigkill ─▶ (then)
//	stop-sigterm  ─┘                          final-sigterm  ─┘
//
// On each rung one Kill is sent. When nobody got the signal, or nobody is there to get it, the next rung is tried at once
// (SendSIGKILL=yes) or the ladder is left; the sub-state of a rung is entered only if there is somebody to wait for. So
// a unit whose processes are all gone passes through the whole ladder without a visible sub-state. systemd.kill(5).
package control
