package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// mountState gives the run-time state of a mount for reading.
func mountState(u *engine.Unit) *mount.State {
	if m, ok := u.Machine().(*mount.Machine); ok {
		return m.State()
	}
	return &mount.State{Sub: mount.Dead}
}

// mountRuntime are the run-time properties of mounts. What is mounted is shown as the kernel has it, else as the unit's files say.
func mountRuntime() []property {
	fromKernel := func(name string, kernel func(*machine.MountInfo) string, config func(*unit.Mount) string) property {
		return unitString(name, bus.EmitsChange, func(_ *Server, u *engine.Unit) string {
			if info := mountState(u).Kernel; info != nil {
				return kernel(info)
			}
			return config(u.Config().GetMount())
		})
	}
	list := []property{
		unitString("Where", bus.EmitsConst, func(_ *Server, u *engine.Unit) string {
			if u.Config().LoadState != unit.StateLoaded {
				return u.Config().GetMount().Where
			}
			return mount.Where(u.Config())
		}),
		fromKernel("What", func(k *machine.MountInfo) string { return k.What }, func(c *unit.Mount) string { return c.What }),
		fromKernel("Options", func(k *machine.MountInfo) string { return k.Options }, func(c *unit.Mount) string { return c.Options }),
		fromKernel("Type", func(k *machine.MountInfo) string { return k.Type }, func(c *unit.Mount) string { return c.Type }),
		{name: "ControlPID", sig: "u", emits: bus.EmitsChange, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			e.Uint32(uint32(mountState(u).ControlPID))
		}},
		unitString("Result", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return success(u.Result()) }),
		unitString("CleanResult", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return success(mountState(u).CleanResult) }),
		unitUint32("UID", func(*Server, *engine.Unit) uint32 { return ^uint32(0) }),
		unitUint32("GID", func(*Server, *engine.Unit) uint32 { return ^uint32(0) }),
	}
	for _, phase := range []machine.Phase{machine.ExecMount, machine.ExecUnmount, machine.ExecRemount} {
		list = append(list, ranCommand(phase, func(u *engine.Unit) (control.Status, []value.Command) {
			return mountState(u).History.Get(phase, 0), mount.Commands(u.Config(), phase)
		}))
	}
	return list
}

// ranCommand shows the program of a phase once it has run.
func ranCommand(phase machine.Phase, get func(u *engine.Unit) (control.Status, []value.Command)) property {
	return property{name: string(phase), sig: "a(sasbttttuii)", emits: bus.EmitsInvalidates, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
		mark := e.BeginArray('(')
		if s, list := get(u); s.PID != 0 && len(list) > 0 {
			e.Struct()
			unit.WriteCommandHead(&writer{e: e}, list[0], false)
			writeStatus(e, s)
		}
		e.EndArray(mark)
	}}
}
