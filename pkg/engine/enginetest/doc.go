// Package enginetest tests the engine from outside: scripts that say what must come of which event (Script), and a simulated world in
// which processes misbehave while invariants are checked after every step (World).
//
// A script is a list of blocks: a command line, lines that belong to it, "----", and what came of it. Blocks are
// separated by empty lines. Running the tests with -rewrite writes what came of it into the files, to be read and committed. The
// commands are in script.go, each with an example.
package enginetest
