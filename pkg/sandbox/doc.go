// Package sandbox is the executor: what happens between the clone and the
// execve of a child whose plan needs more than a fixed list of system calls.
//
// The work is a list of steps ([Steps]) that run in order on one locked
// thread. A step does what takes a program (look up names, make directories,
// read files, mount), or runs a stretch of the op list that pkg/spawn also
// uses without an executor. Each failure is a [plan.Failure] with the exit
// status of its step and goes to the manager by the status pipe.
//
// Invariants:
//
//  1. Everything happens on the thread that executes the program: credentials,
//     filters and priorities are attributes of threads.
//  2. Nothing here uses package os or the runtime's network poller, so no
//     descriptor exists that the plan does not know.
//  3. Paths that a service's own user may write to are walked without
//     following symbolic links.
//  4. Every file read has a bound, every name look-up a time limit.
package sandbox
