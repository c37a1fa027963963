package depend

import "github.com/muster-init/muster/pkg/unit"

// Mask is a set of dependency types, one bit each: 1 << unit.DepType.
type Mask uint32

// Of makes a set.
func Of(types ...unit.DepType) Mask {
	var m Mask
	for _, t := range types {
		m |= 1 << t
	}
	return m
}

// Has reports whether t is in the set.
func (m Mask) Has(t unit.DepType) bool { return m&(1<<t) != 0 }

// Inverse gives the set as the other unit sees it.
func (m Mask) Inverse() Mask {
	// Inverse types stand side by side (an even number and the odd one after it); JoinsNamespaceOf is its own inverse.
	const own = Mask(1) << unit.DepJoinsNamespaceOf
	const even = Mask(0x55555555)
	rest := m &^ own
	return m&own | rest&even<<1 | rest>>1&even
}

// Types lists the members in the order of the type numbers.
func (m Mask) Types() []unit.DepType {
	var out []unit.DepType
	for t := range unit.DepTypeMax {
		if m.Has(t) {
			out = append(out, t)
		}
	}
	return out
}

// Atoms: what the engine acts on. A atom is the set of the dependency types that a unit must have towards a peer so that
// the sentence holds for the peer.
var (
	// PullInStart: starting the unit starts the peer, and needs it.
	PullInStart = Of(unit.DepRequires, unit.DepBindsTo)
	// PullInStartIgnored: starting the unit starts the peer; it does not matter if that fails.
	PullInStartIgnored = Of(unit.DepWants, unit.DepUpholds)
	// PullInVerify: starting the unit needs the peer to be active already.
	PullInVerify = Of(unit.DepRequisite)
	// PullInStop: starting the unit stops the peer, and needs that.
	PullInStop = Of(unit.DepConflicts)
	// PullInStopIgnored: starting the unit stops the peer; it does not matter if that can't be queued.
	PullInStopIgnored = Of(unit.DepConflictedBy)

	// RetroactiveStartReplace: the unit came up without a job; the peer is started (mode replace).
	RetroactiveStartReplace = Of(unit.DepRequires, unit.DepBindsTo)
	// RetroactiveStartFail: the same with mode fail.
	RetroactiveStartFail = Of(unit.DepWants, unit.DepUpholds)
	// RetroactiveStopOnStart: the unit came up without a job; the peer is stopped.
	RetroactiveStopOnStart = Of(unit.DepConflicts, unit.DepConflictedBy)
	// RetroactiveStopOnStop: the unit went down without a job; the peer is stopped.
	RetroactiveStopOnStop = Of(unit.DepBoundBy, unit.DepPropagatesStopTo)

	// PropagateStop: a stop job of the unit stops the peer.
	PropagateStop = Of(unit.DepRequiredBy, unit.DepRequisiteOf, unit.DepBoundBy, unit.DepConsistsOf)
	// PropagateStopOnly: a stop or restart job of the unit stops the peer, unless the same transaction starts it again: then it is restarted.
	PropagateStopOnly = Of(unit.DepPropagatesStopTo)
	// PropagateRestart: a restart job of the unit restarts the peer if it is up.
	PropagateRestart = Of(unit.DepRequiredBy, unit.DepRequisiteOf, unit.DepBoundBy, unit.DepConsistsOf)
	// PropagateReload: a reload job of the unit reloads the peer if it is up.
	PropagateReload = Of(unit.DepPropagatesReloadTo)
	// PropagateStartFailure: a failed start job of the unit fails the start job of the peer.
	PropagateStartFailure = Of(unit.DepRequiredBy, unit.DepRequisiteOf, unit.DepBoundBy)
	// PropagateStopFailure: a failed stop job of the unit fails the start job of the peer.
	PropagateStopFailure = Of(unit.DepConflictedBy)
	// PropagateInactiveStart: a start job of the unit that ends well with the unit inactive fails the start job of the peer.
	PropagateInactiveStart = Of(unit.DepRequisiteOf)

	// NeededBy: the peer, while up, is a reason to keep the unit in spite of StopWhenUnneeded=.
	NeededBy = Of(unit.DepRequiredBy, unit.DepRequisiteOf, unit.DepWantedBy, unit.DepBoundBy, unit.DepUpheldBy)
	// Needs is the other side of NeededBy: peers that may become unneeded when the unit goes down.
	Needs = NeededBy.Inverse()
	// Binds: the unit can't be active without the peer. BoundBy is the other side.
	Binds = Of(unit.DepBindsTo)
	// Bound is the other side of Binds.
	Bound = Of(unit.DepBoundBy)
	// UpheldBy: the peer, while up, starts the unit again and again. Upholds is the other side.
	UpheldBy = Of(unit.DepUpheldBy)
	// Upholds is the other side of UpheldBy.
	Upholds = Of(unit.DepUpholds)

	// TargetOrder: a target is ordered after peers that it has one of these towards, by default.
	TargetOrder = Of(unit.DepRequires, unit.DepRequisite, unit.DepWants, unit.DepBindsTo, unit.DepPartOf, unit.DepUpholds)

	// OnFailure and OnSuccess start the peer.
	OnFailure = Of(unit.DepOnFailure)
	OnSuccess = Of(unit.DepOnSuccess)
	// Triggers: the unit activates the peer; TriggeredBy is the other side.
	Triggers    = Of(unit.DepTriggers)
	TriggeredBy = Of(unit.DepTriggeredBy)
	// After and Before order jobs.
	After  = Of(unit.DepAfter)
	Before = Of(unit.DepBefore)
)
