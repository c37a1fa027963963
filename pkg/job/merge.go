package job

// mergeable lists the pairs of different types that one job can satisfy, and the type of that job
// (compat/job_merge.tsv). The order within a pair does not matter. Pairs that are not listed conflict; equal types
// merge to themselves. try-restart and try-reload collapse before they are merged; nop has a slot of its own.
var mergeable = map[[2]Type]Type{
	{Start, VerifyActive}:         Start,
	{Start, Reload}:               ReloadOrStart,
	{Start, ReloadOrStart}:        ReloadOrStart,
	{Start, Restart}:              Restart,
	{VerifyActive, Reload}:        Reload,
	{VerifyActive, ReloadOrStart}: ReloadOrStart,
	{VerifyActive, Restart}:       Restart,
	{Reload, ReloadOrStart}:       ReloadOrStart,
	{Reload, Restart}:             Restart,
	{ReloadOrStart, Restart}:      Restart,
}

// Merge gives the type of the job that satisfies both a and b; false if they conflict.
func Merge(a, b Type) (Type, bool) {
	if a == b {
		return a, true
	}
	if t, ok := mergeable[[2]Type{a, b}]; ok {
		return t, true
	}
	t, ok := mergeable[[2]Type{b, a}]
	return t, ok
}

// Conflict reports whether no single job can satisfy both a and b.
func Conflict(a, b Type) bool {
	_, ok := Merge(a, b)
	return !ok
}

// Superset reports whether a job of type a also does what b asks for.
func Superset(a, b Type) bool {
	t, ok := Merge(a, b)
	return ok && t == a
}

// LateMerge reports whether a new request of type t can join a job of a superset type that already runs. A reload
// can't: the running one may have read the old configuration already.
func LateMerge(t Type) bool {
	switch t {
	case Reload, ReloadOrStart, TryReload:
		return false
	}
	return true
}

// Stops reports whether a job of type t first takes the unit down, which turns its ordering around.
func Stops(t Type) bool { return t == Stop || t == Restart || t == TryRestart }

// Collapse replaces the types that depend on the unit's state by what they amount to. down reports whether the unit
// is inactive, failed or deactivating.
func Collapse(t Type, down bool) Type {
	switch t {
	case TryRestart:
		if down {
			return Nop
		}
		return Restart
	case TryReload:
		if down {
			return Nop
		}
		return Reload
	case ReloadOrStart:
		if down {
			return Start
		}
		return Reload
	}
	return t
}

// Redundant reports whether a job of type t has nothing to do for a unit that is up (active or reloading) or off
// (inactive or failed). Restart and reload always have something to do.
func Redundant(t Type, up, off bool) bool {
	switch t {
	case Start, VerifyActive:
		return up
	case Stop:
		return off
	case Nop:
		return true
	}
	return false
}

// Types lists every type that a job can have before it collapses.
func Types() []Type {
	return []Type{Start, VerifyActive, Stop, Reload, Restart, Nop, TryRestart, TryReload, ReloadOrStart}
}

// Valid reports whether t names a job type.
func Valid(t Type) bool {
	for _, k := range Types() {
		if k == t {
			return true
		}
	}
	return false
}

// Modes lists every job mode.
func Modes() []Mode {
	return []Mode{Fail, LenientMode, Replace, ReplaceIrreversibly, Isolate, Flush, IgnoreDependencies,
		IgnoreRequirements, Triggering, RestartDependencies}
}

// ValidMode reports whether m names a job mode.
func ValidMode(m Mode) bool {
	for _, k := range Modes() {
		if k == m {
			return true
		}
	}
	return false
}
