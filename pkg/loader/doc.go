// Package loader finds the files of a unit and makes its configuration: name → *unit.Unit.
//
// All directories of the search path are listed once into an Index: which file, link, drop-in and dependency link exists where, with its identity
// (inode, size, time of change). Loading a unit then opens exactly the files that make it, and Rescan tells exactly which names changed, so that a
// reload costs a listing of the directories and the parsing of what changed.
//
// Invariants:
//
//  1. Of several files with one name the one in the earlier directory counts; of drop-ins with one file name the one of the more specific
//     directory, then of the earlier search directory.
//  2. A name resolves to one canonical name; every alias of a unit is in its Names.
//  3. A file that can't be read or understood costs that file or line, never the index.
//
// Follows systemd.unit(5), "Unit File Load Path" and the rules of links there.
package loader
