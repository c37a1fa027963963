package service

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Descriptor describes the unit type.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypeService,
		New:          func() machine.Machine { return New() },
		CanTransient: true,
		CanFail:      true,
		CanStart:     true,
		CanStop:      true,
		Starting:     "Starting %s...",
		Stopping:     "Stopping %s...",
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Started %s.", job.Failed: "Failed to start %s."},
			job.Stop:  {job.Done: "Stopped %s.", job.Failed: "Stopped (with error) %s."},
		},
	}
}

// Immediate reports whether a start is over as soon as there is a process: of Type=simple and idle with nothing to run before.
func (m *Machine) Immediate(cfg *unit.Unit) bool {
	s := cfg.GetService()
	t := typeOf(s)
	return (t == typeSimple || t == typeIdle) && len(s.ExecCondition)+len(s.ExecStartPre) == 0
}

// Finished is the message of a job that ended; a oneshot service that is through was not just started.
func (m *Machine) Finished(cfg *unit.Unit, t job.Type, r job.Result) string {
	if t == job.Start && r == job.Done && typeOf(cfg.GetService()) == typeOneshot {
		return "Finished %s."
	}
	return ""
}
