// Package bpf makes, loads and attaches the small programs behind the
// settings of systemd.resource-control(5) that cgroup2 has no file for: device
// policy, IP filter and accounting, ports, network interfaces. The system call
// is bpf(2); the instruction set is Documentation/bpf/standardization/.
//
// Invariants:
//
//  1. A program is made by a pure function of what it is to do; nothing is
//     compiled, and there is no object file.
//  2. An attachment belongs to the group's directory, not to a descriptor: it
//     lives as long as the group, through a re-execution and through a crash.
//     What is needed again later (which programs are ours, the map with the
//     counters) is asked of the kernel, so there is no state to save.
//  3. Programs are found again by name: ours begin with "mu_". One of another
//     name is never replaced or detached.
//  4. Everything is attached with BPF_F_ALLOW_MULTI, so the programs of the
//     groups above hold as well, and a delegated group may have its own.
//  5. No descriptor stays open: a thousand units with filters cost none.
//
// Own code instead of a library because the programs are straight-line
// comparisons: cilium/ebpf costs 1.8 MB of program and 1.6 MB of resident
// memory, and nothing of what that is for (ELF, BTF, relocation) is needed.
package bpf
