// Package manager is the shell around the engine: PID 1's one loop.
//
// It turns what the kernel, the services and the clients say into events, hands them to engine.Step in a fixed order of
// priorities, and carries out the effects that come back. It decides nothing about units: a rule that can be told without naming a file
// descriptor belongs into the engine.
//
// The loop (loop.go) is one goroutine on the main thread with one epoll set. Sources (source_*.go) are numbered by priority, so
// that READY=1 is read before the exit of its sender. Effects (effect_*.go) are carried out at once and in order. Whatever may hang
// (conditions on paths, PID files, unit file writes, generators, removal of directories) runs on a worker and comes back as an event through a
// bounded queue.
//
// Everything that must survive stands in the state log (package statelog) before the loop waits again. Upgrade, crash and re-execution are
// one path (reexec.go): execve, read the log, restore the engine, and let the sources replay the present.
package manager
