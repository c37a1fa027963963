package unit

// DepType is one direction of a dependency between two units.
type DepType uint8

// The dependency types, each next to its inverse
// (org.freedesktop.systemd1(5), systemd.unit(5)).
const (
	DepRequires DepType = iota
	DepRequiredBy
	DepRequisite
	DepRequisiteOf
	DepWants
	DepWantedBy
	DepBindsTo
	DepBoundBy
	DepPartOf
	DepConsistsOf
	DepUpholds
	DepUpheldBy
	DepConflicts
	DepConflictedBy
	DepBefore
	DepAfter
	DepOnSuccess
	DepOnSuccessOf
	DepOnFailure
	DepOnFailureOf
	DepTriggers
	DepTriggeredBy
	DepPropagatesReloadTo
	DepReloadPropagatedFrom
	DepPropagatesStopTo
	DepStopPropagatedFrom
	DepReferences
	DepReferencedBy
	DepInSlice
	DepSliceOf
	DepJoinsNamespaceOf
	DepTypeMax // number of types
)

var depNames = [DepTypeMax]string{
	"Requires", "RequiredBy", "Requisite", "RequisiteOf", "Wants", "WantedBy",
	"BindsTo", "BoundBy", "PartOf", "ConsistsOf", "Upholds", "UpheldBy",
	"Conflicts", "ConflictedBy", "Before", "After", "OnSuccess", "OnSuccessOf",
	"OnFailure", "OnFailureOf", "Triggers", "TriggeredBy", "PropagatesReloadTo",
	"ReloadPropagatedFrom", "PropagatesStopTo", "StopPropagatedFrom", "References",
	"ReferencedBy", "InSlice", "SliceOf", "JoinsNamespaceOf",
}

// String gives the name of the directive or bus property.
func (d DepType) String() string {
	if d >= DepTypeMax {
		return ""
	}
	return depNames[d]
}

// Inverse gives what the other unit then has towards this one.
// JoinsNamespaceOf= is its own inverse.
func (d DepType) Inverse() DepType {
	if d >= DepJoinsNamespaceOf {
		return d
	}
	return d ^ 1
}

// DepTypeFromString finds the type by its name.
func DepTypeFromString(s string) (DepType, bool) {
	for i, n := range depNames {
		if n == s {
			return DepType(i), true
		}
	}
	return 0, false
}
