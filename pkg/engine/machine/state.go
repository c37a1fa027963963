package machine

// Instant is one moment on the three clocks that units know, each in µs. The zero value means never.
type Instant struct {
	Monotonic uint64 `json:"m,omitempty"`
	Realtime  uint64 `json:"r,omitempty"`
	Boottime  uint64 `json:"b,omitempty"`
}

// IsZero reports whether the moment never was.
func (i Instant) IsZero() bool { return i == Instant{} }

// Never is the deadline of a unit that waits for no time.
const Never = ^uint64(0)

// ActiveState is the coarse state of a unit that all unit types share.
type ActiveState string

// Active states (compat/state_values.tsv, set unit_active_state).
const (
	Active       ActiveState = "active"
	Reloading    ActiveState = "reloading"
	Inactive     ActiveState = "inactive"
	Failed       ActiveState = "failed"
	Activating   ActiveState = "activating"
	Deactivating ActiveState = "deactivating"
	Maintenance  ActiveState = "maintenance"
	Refreshing   ActiveState = "refreshing"
)

// IsActiveOrReloading reports whether the unit is up for those that need it.
func (s ActiveState) IsActiveOrReloading() bool {
	return s == Active || s == Reloading || s == Refreshing
}

// IsActiveOrActivating reports whether the unit is up or on its way.
func (s ActiveState) IsActiveOrActivating() bool {
	return s == Active || s == Reloading || s == Refreshing || s == Activating
}

// IsInactiveOrFailed reports whether the unit is down.
func (s ActiveState) IsInactiveOrFailed() bool {
	return s == Inactive || s == Failed || s == Maintenance
}

// IsInactiveOrDeactivating reports whether the unit is down or on its way.
func (s ActiveState) IsInactiveOrDeactivating() bool {
	return s.IsInactiveOrFailed() || s == Deactivating
}

// Slot names the place that a process of a unit holds.
type Slot string

// Slots. Other processes of a unit are known only through its cgroup.
const (
	SlotMain    Slot = "main"
	SlotControl Slot = "control"
)

// Handle names a file descriptor that the shell owns. 0 is none. Handles survive re-execution.
type Handle uint64

// Token joins a query effect with the event that answers it. 0 is none.
type Token uint64

// Reply joins a client's request with the SendReply effect that answers it. 0: nobody waits.
type Reply uint64

// Exit says how a process ended. Code is the si_code of waitid(2): "exited", "killed", "dumped"; "" is not yet.
// Status is the exit status or the signal number.
type Exit struct {
	Code   string `json:"c,omitempty"`
	Status int32  `json:"s,omitempty"`
	// Resources: the process ended before it executed its program, for want of what systemd would not even have made a process
	// without (an unreadable EnvironmentFile=): Result=resources.
	Resources bool `json:"r,omitempty"`
}

// Exit codes as waitid(2) and $EXIT_CODE name them.
const (
	CodeExited = "exited"
	CodeKilled = "killed"
	CodeDumped = "dumped"
)

// CauseKind says what asked for a job or a state change.
type CauseKind string

// Cause kinds.
const (
	CauseClient     CauseKind = "client"     // a bus or ctl client
	CauseDependency CauseKind = "dependency" // pulled in by another unit's dependency
	CauseRestart    CauseKind = "restart"    // Restart=
	CauseUpheld     CauseKind = "upholds"    // Upholds=
	CauseBound      CauseKind = "bound"      // BindsTo= lost
	CauseUnneeded   CauseKind = "unneeded"   // StopWhenUnneeded=
	CauseOnFailure  CauseKind = "on-failure" // OnFailure=
	CauseOnSuccess  CauseKind = "on-success" // OnSuccess=
	CausePropagated CauseKind = "propagated" // stop, restart or reload propagation, Conflicts=, retroactive jobs
	CauseTrigger    CauseKind = "trigger"    // socket, path, timer, automount, device
	CauseSignal     CauseKind = "signal"     // a signal to the manager
	CauseBoot       CauseKind = "boot"       // the default unit
	CauseAction     CauseKind = "action"     // FailureAction= and the like
)

// Cause is why a job exists. Unit and Directive name the unit and the setting that pulled it in, Where its file and line;
// Client is free text on who asked ("systemctl[123] uid 0").
type Cause struct {
	Kind      CauseKind `json:"kind,omitempty"`
	Unit      string    `json:"unit,omitempty"`
	Directive string    `json:"directive,omitempty"`
	Where     string    `json:"where,omitempty"`
	Client    string    `json:"client,omitempty"`
}

// Error is a refusal with its D-Bus error name.
type Error struct {
	Name    string `json:"name"` // for example org.freedesktop.systemd1.NoSuchUnit
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }
