package socket

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// Results of a socket beyond those of an exit (property Result).
const (
	ResultSuccess           = control.ResultSuccess
	ResultExitCode          = control.ResultExitCode
	ResultResources         = "resources"
	ResultTimeout           = "timeout"
	ResultStartLimit        = "start-limit-hit"
	ResultTriggerLimit      = "trigger-limit-hit"
	ResultServiceStartLimit = "service-start-limit-hit"
)

// State is all that is known of a socket at run time.
type State struct {
	Sub         SubState `json:"sub"`
	Result      string   `json:"result,omitempty"` // "" is success; the first failure of an activation is kept
	CleanResult string   `json:"cleanResult,omitempty"`

	ControlPID   int32           `json:"ctl,omitempty"`
	ControlPhase machine.Phase   `json:"ctlPhase,omitempty"`
	ControlIndex int             `json:"ctlCmd,omitempty"`
	History      control.History `json:"runs,omitempty"`

	Timer      control.Timer  `json:"timer,omitzero"`
	Ports      []machine.Port `json:"ports,omitempty"`
	Paused     []Paused       `json:"paused,omitempty"` // what happened on which listener lately
	Trigger    rate           `json:"trigger,omitzero"`
	DeferUntil uint64         `json:"defer,omitempty"` // monotonic µs; since when deferred plus DeferTriggerMaxSec=

	NAccepted   uint32            `json:"accepted,omitempty"`
	NRefused    uint32            `json:"refused,omitempty"`
	Connections map[string]string `json:"conns,omitempty"` // unit → source of its connection

	Realized  bool `json:"cgroup,omitempty"`
	Processes bool `json:"procs,omitempty"` // the cgroup may hold processes; false is certain

	Pending *Pending `json:"pending,omitempty"`
	Slow    *Pending `json:"slow,omitempty"`
}

// Paused counts what one listener reported in the span of PollLimitIntervalSec=. Off: it is not watched until that is over.
type Paused struct {
	Handle machine.Handle `json:"h"`
	Rate   rate           `json:"r"`
	Off    bool           `json:"off,omitempty"`
}

// rate counts events in an interval.
type rate struct {
	Begin uint64 `json:"b,omitempty"` // monotonic µs
	Count uint32 `json:"n,omitempty"`
}

// count counts one event and reports whether it is within the limit. An interval or burst of 0 sets no limit.
func (r *rate) count(now, interval uint64, burst uint32) bool {
	if interval == 0 || burst == 0 {
		return true
	}
	if r.Count == 0 || now >= control.AddUSec(r.Begin, interval) {
		r.Begin, r.Count = now, 0
	}
	if r.Count >= burst {
		return false
	}
	r.Count++
	return true
}

// QueryKind is what an open query asks.
type QueryKind string

// Kinds of open queries.
const (
	askSpawn QueryKind = "spawn"
	askKill  QueryKind = "kill"
	askOpen  QueryKind = "open"
	askChown QueryKind = "chown"
	askClose QueryKind = "close"
	askClean QueryKind = "clean"
)

// Pending is an open query with all that is needed to ask it again and to go on.
type Pending struct {
	Token machine.Token  `json:"t"`
	Kind  QueryKind      `json:"k"`
	Phase machine.Phase  `json:"phase,omitempty"`
	Index int            `json:"i,omitempty"`
	Rung  SubState       `json:"rung,omitempty"`
	Kill  *machine.Kill  `json:"kill,omitempty"`
	Ports []machine.Port `json:"ports,omitempty"`
	Kinds []string       `json:"kinds,omitempty"`
}

// ResultName is the Result property.
func (s *State) ResultName() string { return orSuccess(s.Result) }

// CleanResultName is the CleanResult property.
func (s *State) CleanResultName() string { return orSuccess(s.CleanResult) }

func orSuccess(r string) string {
	if r == "" {
		return ResultSuccess
	}
	return r
}

// fail keeps the first failure.
func (s *State) fail(result string) {
	if s.Result == "" && result != ResultSuccess {
		s.Result = result
	}
}

// NConnections is how many services hold a connection.
func (s *State) NConnections() uint32 { return uint32(len(s.Connections)) }

// from counts the connections of one source.
func (s *State) from(source string) uint32 {
	n := uint32(0)
	for _, other := range s.Connections {
		if other == source {
			n++
		}
	}
	return n
}

// handles lists the descriptors of the listeners that are watched.
func (s *State) handles() []machine.Handle {
	var out []machine.Handle
	off := map[machine.Handle]bool{}
	for _, p := range s.Paused {
		off[p.Handle] = p.Off
	}
	for _, p := range s.Ports {
		if !off[p.Handle] {
			out = append(out, p.Handle)
		}
	}
	return out
}
