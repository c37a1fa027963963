// Package seccomp makes system call filters: classic BPF programs as
// seccomp(2) takes them, for SystemCallFilter=, RestrictAddressFamilies= and
// the other settings of systemd.exec(5) that forbid system calls. It is pure:
// settings in, instructions out.
//
// One program serves all ABIs a process can use on a machine (x86-64, i386 and
// x32 on amd64; arm64 and arm on arm64); a call by any other is refused.
//
// Invariants:
//
//  1. Programs have no loops, end in a return on every path, and keep below
//     the kernel's 4096 instructions.
//  2. What a list of names does not say about a call newer than the tables is
//     ENOSYS for allow lists: programs then fall back to older calls.
//  3. Only numbers and integer arguments are looked at, never memory.
package seccomp
