package automount_test

import (
	"testing"

	"github.com/muster-init/muster/pkg/engine/automount"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
)

// TestScripts runs automounts together with the mounts that they ask for.
func TestScripts(t *testing.T) {
	enginetest.RunScripts(t, automount.Descriptor(true), mount.Descriptor())
}

func TestTotality(t *testing.T) {
	const opened = `answer AutomountOpened {"Handle":7,"Device":42}`
	table := enginetest.Table{
		Type: automount.Descriptor(true), Unit: "t.automount", Units: "t.automount: Where=/t TimeoutIdleSec=60s\nt.mount: What=tmpfs Where=/t\n",
		Columns: []enginetest.Column{
			{Name: "start", Commands: "start t.automount\nrun"},
			{Name: "start-opened", Commands: "start t.automount\nrun\n" + opened},
			{Name: "start-error", Commands: "start t.automount\nrun\nanswer AutomountOpened {\"Message\":\"no\"}"},
			{Name: "start-stop", Commands: "start t.automount\nrun\nstop t.automount\nrun\n" + opened},
			{Name: "stop", Commands: "stop t.automount\nrun"},
			{Name: "asked", Commands: `event AutomountAsked {"Unit":"t.automount","Number":5,"Who":"1 (ls)"}`},
			{Name: "asked-expire", Commands: `event AutomountAsked {"Unit":"t.automount","Number":6,"Expire":true}`},
			{Name: "gone", Commands: `event AutomountGone {"Unit":"t.automount"}`},
			{Name: "timeout", Commands: "wait 100"},
			{Name: "reset-failed", Commands: "reset-failed t.automount"},
			{Name: "restore", Commands: "restore"},
			{Name: "stray-answer", Commands: `event AutomountOpened {"Token":99}`},
		},
		Put: func(sub string) (any, []int32) {
			s := automount.State{Sub: automount.SubState(sub)}
			switch s.Sub {
			case automount.Waiting:
				s.Handle, s.Device = 7, 42
			case automount.Running:
				s.Handle, s.Device, s.Looked, s.Tokens = 7, 42, 1_000_000, []uint32{4}
			case automount.Failed:
				s.Result = automount.ResultUnmounted
			}
			return s, nil
		},
		Check: func(t *testing.T, sub, column string, m machine.Machine) {
			s := m.(*automount.Machine).State()
			up := s.Sub == automount.Waiting || s.Sub == automount.Running
			if up != (s.Handle != 0) || !up && len(s.Tokens)+len(s.Expiring) > 0 {
				t.Errorf("%s after %s: %+v", sub, column, *s)
			}
		},
	}
	for _, s := range automount.SubStates() {
		if automount.ActiveStateOf(s) == "" {
			t.Errorf("%s has no active state", s)
		}
		table.Subs = append(table.Subs, string(s))
	}
	table.Run(t)
}
