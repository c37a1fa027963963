// Package unit is the unit language: names and escaping, specifiers, the
// lexer, merging of a fragment with its drop-ins, the directive table, and
// the typed configuration that comes out (systemd.unit(5) and the pages it
// names).
//
// The package is pure: it gets bytes and facts about the host and gives
// values; it never opens a file. Invariants:
//
//  1. One row per directive. What is known about a directive — how it is
//     parsed, written back, shown on the bus, whether it has an effect — is in
//     its row and nowhere else.
//  2. Bad input costs at most the assignment it is in. What was wrong comes back
//     as a Message with file and line, never as a log line or a panic.
//  3. A *Unit isn't written to after it was handed out.
//
// Times are µs unless the name says otherwise, sizes bytes; Infinity is "no
// limit" for both.
package unit
