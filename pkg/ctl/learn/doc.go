// Package learn watches a service at work and proposes the tightest sandbox
// under which it would have done the same (`musterctl analyze sandbox`).
//
// Three programs at tracepoints of the kernel note what the processes of a
// control group do: the system calls with the arguments that settings are
// about (families, namespaces, protections of memory), the paths of calls that
// came through, and the capabilities that were granted. The service runs as it
// always does: nothing is traced, wrapped or slowed down, and no file of it is
// changed.
//
// Invariants:
//
//  1. All of it happens in the process that asks: a client of the manager. When
//     it ends, however it ends, the kernel takes the programs away.
//  2. What the manager's own executor does before it executes the program is
//     not the service's doing: a process that still has the name of either doesn't count.
//  3. [Propose] is a pure function of what was seen. A line says what was seen
//     for it and what wasn't exercised; what could not be seen is not proposed.
//  4. What there was no room to note is counted and said.
package learn
