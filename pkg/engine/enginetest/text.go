package enginetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// eventText is an event as it would stand in a recorded log.
func eventText(ev machine.Event) string {
	b, err := json.Marshal(ev)
	if err != nil {
		b = []byte(err.Error())
	}
	return fmt.Sprintf("%T %s", ev, b)
}

func depType(name string) (unit.DepType, bool) { return unit.DepTypeFromString(name) }

// errorText is an error with the common prefix of its name left out.
func errorText(err *machine.Error) string {
	name := err.Name[strings.LastIndexByte(err.Name, '.')+1:]
	return name + ": " + err.Message
}

func causeText(c machine.Cause) string {
	text := string(c.Kind)
	if c.Unit != "" {
		text += " " + c.Unit
	}
	if c.Directive != "" {
		text += " " + c.Directive
	}
	if c.Where != "" {
		text += " at " + c.Where
	}
	return text
}

// EffectText is one effect as a line of a script, "" for what scripts do not show. Verbose also shows loading and
// property changes.
func EffectText(f machine.Effect, verbose bool) string {
	switch v := f.(type) {
	case machine.UnitNew:
		if verbose {
			return "loaded " + v.Unit
		}
		return ""
	case machine.UnitRemoved:
		if verbose {
			return "unloaded " + v.Unit
		}
		return ""
	case machine.UnitChanged:
		if v.Properties {
			if verbose {
				return "properties of " + v.Unit
			}
			return ""
		}
		return fmt.Sprintf("%s %s (%s)", v.Unit, v.Active, v.Sub)
	case machine.JobNew:
		return fmt.Sprintf("job %d new %s/%s", v.ID, v.Unit, v.Type)
	case machine.JobChanged:
		return fmt.Sprintf("job %d changed", v.ID)
	case machine.JobRemoved:
		return fmt.Sprintf("job %d %s/%s %s", v.ID, v.Unit, v.Type, v.Result)
	case machine.SendReply:
		if v.Err != nil {
			return fmt.Sprintf("reply %d error %s", v.Reply, errorText(v.Err))
		}
		text := fmt.Sprintf("reply %d", v.Reply)
		for _, id := range v.Jobs {
			text += fmt.Sprintf(" job %d", id)
		}
		return text
	case machine.Log:
		text := fmt.Sprintf("log %d %s", v.Level, v.Text)
		if v.Status != "" {
			text += " [" + v.Status + "]"
		}
		return text
	case machine.TestConditions:
		return "test conditions of " + v.Unit
	case machine.CancelQuery:
		return "cancel query"
	case machine.Act:
		return fmt.Sprintf("act %s: %s", v.Action, v.Reason)
	case machine.RealizeCgroup:
		return "realize " + v.Unit
	case machine.ReleaseCgroup:
		return "release " + v.Unit
	case machine.Spawn:
		return fmt.Sprintf("spawn %s %s %s[%d]", v.Unit, v.Slot, v.Phase, v.Index)
	case machine.Kill:
		return fmt.Sprintf("kill %s signal %d main %d control %d cgroup %v", v.Unit, v.Signal, v.MainPID, v.ControlPID, v.Cgroup)
	}
	name := fmt.Sprintf("%T", f)
	return strings.TrimPrefix(name, "machine.") + fmt.Sprintf(" %+v", f)
}

// settings are what decides how a unit behaves, for the report of a simulation.
func settings(u *unit.Unit) string {
	text := ""
	if u.LoadState != unit.StateLoaded {
		text = string(u.LoadState)
	}
	switch {
	case u.Service != nil:
		s := u.Service
		text += fmt.Sprintf("Type=%s Restart=%s RestartMode=%s ExitType=%s RemainAfterExit=%v Start=%dµs Stop=%dµs", s.Type, s.Restart, s.RestartMode, s.ExitType,
			s.RemainAfterExit, s.TimeoutStartUSec, s.TimeoutStopUSec)
	case u.Timer != nil:
		text += fmt.Sprintf("%+v", *u.Timer)
	case u.Path != nil:
		text += fmt.Sprintf("%+v", *u.Path)
	case u.Mount != nil:
		text += fmt.Sprintf("%+v", *u.Mount)
	case u.Automount != nil:
		text += fmt.Sprintf("%+v", *u.Automount)
	case u.Socket != nil:
		text += fmt.Sprintf("Accept=%v Listen=%v MaxConnections=%d", u.Socket.Accept, u.Socket.Listen, u.Socket.MaxConnections)
	}
	return text
}
