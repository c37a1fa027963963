// Package value holds the leaf grammars of unit files: the text of one
// directive value, read into plain data and written back. It is pure: no
// clock, no files, no goroutines.
//
// Every grammar has a Parse and a Format that are each other's inverse on
// Format's output: Parse(Format(v)) == v. What a parser accepts is what the
// manual pages systemd.syntax(7), systemd.time(7) and systemd.exec(5) say and
// what systemd 252 and 257 were observed to accept; testdata holds the
// recordings.
//
// Invariants:
//
//  1. No parser panics, whatever the bytes; none allocates more than a small
//     multiple of its input.
//  2. Errors are *Error values, or several joined with errors.Join, and wrap
//     ErrInvalid or ErrRange. They name the grammar first and quote at most
//     80 bytes of the text.
//  3. Parsers of lists go on after an item that is wrong by itself: they return
//     the good items together with the joined errors, since a unit file keeps
//     its good items too. Broken quoting ends the list at that place.
//  4. Values are plain data that survive encoding/json; enumerations are the
//     strings users write.
//
// Time zone data is never loaded here: functions that need a zone take a
// *time.Location.
package value
