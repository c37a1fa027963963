// Package kernel holds the thin typed readers and writers that PID 1's one
// loop uses to talk to Linux: spawning, signals, epoll, pidfds, sockets,
// mountinfo, /proc, kmsg, mounts and reboot. It decides nothing: policy lives
// in the engine and in the manager.
//
// Invariants:
//
//  1. Every file descriptor made here is close-on-exec from birth, and every
//     one that enters a [Poller] is non-blocking.
//  2. Nothing here opens a path that a foreign file system may hold up, except
//     where the function's comment says that it is meant for a worker.
//  3. No Go code runs in a child: a child executes an [OpList] that was copied
//     into memory outside the Go heap, so neither the garbage collector nor
//     the scheduler ever sees it, and the parent never waits for it.
//  4. Errors are values that name what failed; nothing is logged.
//  5. Every buffer, list and queue has a bound, named as a constant.
//
// The assembly (amd64, arm64) is four routines: clone3 with the op list,
// the signal writer, the crash re-execution and the heartbeat check.
package kernel
