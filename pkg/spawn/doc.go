// Package spawn carries out a [plan.Plan]: it turns plans into op lists and
// starts children with them, in PID 1 and in the executor.
//
// Tier 1 is one op list from clone to execve. Tier 2 clones a child that
// executes the executor, whose image was copied into a sealed memfd at boot,
// with the plan in a second memfd; the executor then runs the very same ops in
// place, with the steps of pkg/sandbox between them. So every setting has one
// implementation.
//
// Invariants:
//
//  1. Nothing here opens a path of the plan in the manager. Paths are resolved
//     by the child, which may hang on them alone.
//  2. Start never waits for the child.
//  3. Whatever fails before execve ends the child with a status of 200 and up
//     and leaves a [plan.Failure] that names the setting, the path and why.
//  4. The executed program gets descriptors 0, 1, 2 and those of the plan from
//     3 on, and no other.
package spawn
