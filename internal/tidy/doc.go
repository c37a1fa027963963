// Package tidy is the repository's own lint: rules that a general linter can't know, each with its reason, as Go tests.
//
//	go test ./internal/tidy        (part of `make lint` and `make test`)
//
// The rules:
//
//	imports     which package may import which of ours, and which libraries (layers, libraries, forbidden)
//	purity      no clock, I/O, goroutine or channel in the pure packages; no map order that could get out
//	goroutines  `go` statements only where a reason is written down
//	closure     what is linked into PID 1 and into the executor (docs/deps-*.txt is made by internal/docs)
//	size        files up to 1000 lines, functions up to 100 lines of code
//	format      gofmt
//	words       a doc comment per package, no marks of unfinished work, no skipped test without a reason
//	tables      a directive that claims to work is read by something outside pkg/unit
//	links       every link and path in docs/ and README.md leads somewhere
//
// Invariants:
//
//  1. A rule is data with a reason next to it; a finding says the reason, so that nobody has to ask.
//  2. Every rule is tested with a planted fault (rules_test.go): a rule that finds nothing in a broken tree is worthless.
//  3. An exception is a row in a table with its own reason, and an exception that is not needed any more is a finding too.
package tidy
