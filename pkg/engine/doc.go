// Package engine is the heart of the manager: units, their dependencies, jobs and transactions as one pure function.
//
//	effects := engine.Step(now, event)
//
// There is no clock, no I/O, no goroutine and no map order in it. What happened comes in as an event, what to do goes out
// as an ordered list of effects (package machine has the contract). So it can be simulated, planned without doing
// (Plan runs the same code and throws the result away), replayed from a log, and saved at any moment (Snapshot).
//
// One Step applies the event, then drains the queues until nothing moves any more, in this order: state changes that
// machines reported (they end jobs, and start or stop other units), starts that Upholds= wants, stops of units whose BindsTo=
// is gone, stops of units that nobody needs. Nothing calls back: machines report, the queues propagate. Jobs begin to
// run only on Idle, one at a time, so that jobs which are queued together are ordered together; units that nobody
// refers to are unloaded on Idle as well.
//
// Invariants (checked by enginetest after each step):
//
//  1. A unit has at most one job, and at most one nop job beside it.
//  2. A job does not begin to run while a job of a unit that it is ordered against holds it back (runqueue.go).
//  3. Installed jobs never wait for each other in a circle.
//  4. Every JobNew is followed by exactly one JobRemoved with the same id; ids grow.
//  5. An edge stands on both units with inverse types.
//  6. Restore(Snapshot()) gives an engine with the same Snapshot.
//  7. The same events at the same moments give the same effects.
//
// Cost: a Step touches the units that it concerns and their queues, never all loaded units; the exceptions are the requests that
// are about all units (isolate, flush, reload of everything, reset-failed without a name).
package engine
