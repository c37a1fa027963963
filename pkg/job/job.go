// Package job names what can be asked of a unit: job types, job modes and job results.
//
// The values are the strings that users and D-Bus clients see, so that they can stand in snapshots, messages and
// replies without a second table. The merge rules are in merge.go.
package job

// ID numbers a job; 0 is no job. IDs are never reused within the life of a manager, re-executions included.
type ID = uint32

// Type is the type of a job (compat/job_types.tsv).
type Type string

// Job types. The first group can be installed; the second exists only until it collapses by the unit's state.
const (
	Start        Type = "start"
	VerifyActive Type = "verify-active"
	Stop         Type = "stop"
	Reload       Type = "reload"
	Restart      Type = "restart"
	Nop          Type = "nop"

	TryRestart    Type = "try-restart"
	TryReload     Type = "try-reload"
	ReloadOrStart Type = "reload-or-start"
)

// Mode says how a new job treats the jobs that are already queued (compat/job_modes.tsv).
type Mode string

// Job modes.
const (
	Fail                Mode = "fail"
	LenientMode         Mode = "lenient"
	Replace             Mode = "replace"
	ReplaceIrreversibly Mode = "replace-irreversibly"
	Isolate             Mode = "isolate"
	Flush               Mode = "flush"
	IgnoreDependencies  Mode = "ignore-dependencies"
	IgnoreRequirements  Mode = "ignore-requirements"
	Triggering          Mode = "triggering"
	RestartDependencies Mode = "restart-dependencies"
)

// State is the state of an installed job.
type State string

// Job states.
const (
	Waiting State = "waiting"
	Running State = "running"
)

// Result is how a job ended, as JobRemoved reports it.
type Result string

// Job results.
const (
	Done        Result = "done"
	Canceled    Result = "canceled"
	Timeout     Result = "timeout"
	Failed      Result = "failed"
	Dependency  Result = "dependency"
	Skipped     Result = "skipped"
	Invalid     Result = "invalid"
	Assert      Result = "assert"
	Unsupported Result = "unsupported"
	Collected   Result = "collected"
	Once        Result = "once"
	Frozen      Result = "frozen"
	Concurrency Result = "concurrency"
)
