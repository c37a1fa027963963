package enginetest

import (
	"errors"
	"fmt"
)

// Invariant is one rule that holds after every step, with the reason for it.
type Invariant struct{ Name, Why string }

// Violation is a rule that was broken.
type Violation struct {
	Invariant
	Text string
}

func (v *Violation) Error() string { return v.Name + ": " + v.Text }

func violation(i Invariant, format string, args ...any) error {
	return &Violation{i, fmt.Sprintf(format, args...)}
}

// Broken is the rule that an error of World.Run is about, "" if it is about none.
func Broken(err error) string {
	var v *Violation
	if errors.As(err, &v) {
		return v.Name
	}
	return ""
}

// The invariants.
var (
	liveJobs        = Invariant{"jobs end", "a job that runs for ever holds up a boot, and nobody can see why"}
	liveClock       = Invariant{"time moves", "a deadline that is never satisfied makes PID 1 spin"}
	restful         = Invariant{"no state without a reason", "a unit that is between two states with no process, query or deadline stays there for ever"}
	noConflicts     = Invariant{"conflicts are kept apart", "Conflicts= is how units share what only one can have"}
	needsMet        = Invariant{"requirements are met", "a unit that started well may rely on what it requires and is ordered after"}
	ordered         = Invariant{"order", "After= is the one promise that boot scripts are built on"}
	acyclicJobs     = Invariant{"no circle of jobs", "jobs that wait for each other never run"}
	onceAnswered    = Invariant{"one answer", "a client that gets no answer hangs, one that gets two is confused"}
	jobsAnnounced   = Invariant{"jobs are announced", "systemctl waits for JobRemoved of exactly the job it was told of"}
	stateFirst      = Invariant{"state before result", "clients look at the state when a job ends"}
	statesAnnounced = Invariant{"states are announced", "what clients are told and what they read must be the same"}
	tokensOnce      = Invariant{"one query, one token", "an answer that goes to the wrong question corrupts a unit's state"}
	openersAnswered = Invariant{"openers are answered", "who sleeps at an automount point can't be killed"}
	fdOwners        = Invariant{"descriptors have one owner", "a lost descriptor is a leak for the life of PID 1, one with two owners is closed under the other"}
	kept            = Invariant{"kept while in use", "a unit that is unloaded too early forgets its processes and its clients' references"}
	roundTrip       = Invariant{"state survives", "an upgrade must not be noticed by services"}
	indexes         = Invariant{"indexes agree", "an event that goes to the wrong unit is lost"}
	processesKnown  = Invariant{"processes are known", "a process that no unit knows is never stopped"}
	clocksMonotone  = Invariant{"moments don't go back", "timeouts and timers count from them"}
	notEarly        = Invariant{"timers are not early", "a job that was to run at midnight must not run at eleven, nor twice"}
	notLate         = Invariant{"timers are not late", "a backup that was due and did not run is noticed when it is needed"}
	stampsTrue      = Invariant{"stamps are true", "a stamp of the future keeps a persistent timer from ever catching up"}
	limitsHold      = Invariant{"limits hold", "a service that fails at once must not keep the machine busy"}
	tablesFollowed  = Invariant{"units follow the kernel", "mounts, swap areas and devices come and go without asking"}
	marksKept       = Invariant{"marks are kept", "a package that was updated marks what has to be restarted, and comes back for it later"}
	pathsSeen       = Invariant{"files are seen", "a path unit that has missed a file waits for ever"}
)
