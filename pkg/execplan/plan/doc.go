// Package plan holds the one struct that crosses from the manager to a child
// process: what to execute and everything to arrange before. It is a leaf, so
// that the executor, whose start-up time is part of every start, links little.
//
// Invariants:
//
//  1. A Plan is plain data: no pointers into the manager, no behaviour that
//     depends on the machine. What it says has one meaning, whichever tier
//     carries it out.
//  2. File descriptors are numbers in the manager at the moment of the spawn.
//     A child starts with a copy of that table, so they stay valid in it.
//  3. Encode∘Decode is the identity. Writer and reader are always of one build;
//     a fingerprint of the struct's shape refuses anything else.
package plan
