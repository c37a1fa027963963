//go:build amd64 || arm64

// Package early closes a gap at the start of PID 1. The Go runtime installs
// its own handlers before main and ends the process on SIGTERM, SIGINT and
// SIGHUP, which for process 1 takes the machine down: a second SIGTERM during
// a re-execution would do. When this package is imported (for its effect), and
// only in process 1, these signals are kept as lost bits of rawsig from the
// first package initialisation on, and reported by kernel.ReadSignal once
// kernel.InstallSignals was called.
//
// A gap of some hundred µs is left, from where the runtime installs its handlers
// to here: a SIGTERM then ends PID 1. The manager waits out a burst of them before
// it re-executes itself. To close it takes an entry point before the runtime's.
//
// It imports nothing that needs initialisation, because Go initialises such
// packages first.
package early

import "github.com/muster-init/muster/pkg/kernel/rawsig"

func init() {
	if !rawsig.IsInit() {
		return
	}
	for _, sig := range [...]int{
		1,  // SIGHUP
		2,  // SIGINT
		15, // SIGTERM
	} {
		rawsig.Install(sig, rawsig.Writer)
	}
}
