package control

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Status is one run of a command, as D-Bus shows it (ExecMain…, and the last seven members of ExecStart= and friends).
type Status struct {
	PID     int32           `json:"p,omitempty"` // kept after the end
	Start   machine.Instant `json:"b,omitzero"`
	Handoff machine.Instant `json:"h,omitzero"`
	Exit    machine.Instant `json:"e,omitzero"`
	Code    string          `json:"c,omitempty"` // exited, killed, dumped
	Status  int32           `json:"s,omitempty"`
}

// Ended reports whether the run is over and its status known.
func (s Status) Ended() bool { return s.Code != "" && !s.Exit.IsZero() }

// End is the exit as an event has it.
func (s Status) End() machine.Exit { return machine.Exit{Code: s.Code, Status: s.Status} }

// Began records the start of a process.
func (s *Status) Began(pid int32, now machine.Instant) { *s = Status{PID: pid, Start: now} }

// Over records the end.
func (s *Status) Over(e machine.Exit, now machine.Instant) {
	s.Exit, s.Code, s.Status = now, e.Code, e.Status
}

// Run is the status of command Index of list Phase.
type Run struct {
	Phase machine.Phase `json:"l"`
	Index int           `json:"i,omitempty"`
	Status
}

// History is the last run of each command of a unit in this activation.
type History []Run

// Get is the status of a command; zero if it did not run.
func (h History) Get(phase machine.Phase, index int) Status {
	for i := range h {
		if h[i].Phase == phase && h[i].Index == index {
			return h[i].Status
		}
	}
	return Status{}
}

// Set keeps the status of a command.
func (h *History) Set(phase machine.Phase, index int, s Status) {
	for i := range *h {
		if (*h)[i].Phase == phase && (*h)[i].Index == index {
			(*h)[i].Status = s
			return
		}
	}
	*h = append(*h, Run{Phase: phase, Index: index, Status: s})
}

// Drop forgets the runs of a list, before it runs again.
func (h *History) Drop(phase machine.Phase) {
	kept := (*h)[:0]
	for _, r := range *h {
		if r.Phase != phase {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		kept = nil
	}
	*h = kept
}

// ServiceCommands is the list of a phase in [Service].
func ServiceCommands(s *unit.Service, phase machine.Phase) []value.Command {
	switch phase {
	case machine.ExecCondition:
		return s.ExecCondition
	case machine.ExecStartPre:
		return s.ExecStartPre
	case machine.ExecStart:
		return s.ExecStart
	case machine.ExecStartPost:
		return s.ExecStartPost
	case machine.ExecReload:
		return s.ExecReload
	case machine.ExecReloadPost:
		return s.ExecReloadPost
	case machine.ExecStop:
		return s.ExecStop
	case machine.ExecStopPost:
		return s.ExecStopPost
	}
	return nil
}

// Ignored reports whether command index carries the prefix "-": its failure counts as success.
func Ignored(list []value.Command, index int) bool {
	return index >= 0 && index < len(list) && list[index].Flags&value.CommandIgnoreFailure != 0
}

// TaskName is the word for a phase in messages ("start-pre").
func TaskName(phase machine.Phase) string {
	switch phase {
	case machine.ExecCondition:
		return "exec-condition"
	case machine.ExecStartPre:
		return "start-pre"
	case machine.ExecStart:
		return "start"
	case machine.ExecStartPost:
		return "start-post"
	case machine.ExecReload:
		return "reload"
	case machine.ExecReloadPost:
		return "reload-post"
	case machine.RefreshExtensions:
		return "refresh-extensions"
	case machine.RefreshCredentials:
		return "refresh-credentials"
	case machine.ExecStop:
		return "stop"
	case machine.ExecStopPre:
		return "stop-pre"
	case machine.ExecStopPost:
		return "stop-post"
	}
	return string(phase)
}
