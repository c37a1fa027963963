package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// startAuxiliaryScope takes processes of the caller's own service or scope out into a scope beside it: in the same slice, with the same settings of the
// control group. So what a service has started for somebody else outlives it. Processes that are elsewhere, or gone, are left alone; it is an error
// if none is left (org.freedesktop.systemd1(5)).
func startAuxiliaryScope(k *call) {
	name := k.args.String()
	var pids []int32
	list := k.args.BeginArray('h')
	for k.args.More(list) {
		// A process that has ended is no error.
		if pid, err := kernel.PidFDPid(k.args.UnixFD()); err == nil && pid > 0 {
			pids = append(pids, int32(pid))
		}
	}
	flags := k.args.Uint64()
	err := k.args.Err()
	var from *unit.Unit
	if err == nil {
		from, err = k.auxiliaryOrigin(name, flags)
	}
	if err != nil {
		k.fail(err)
		return
	}
	t := &transient{stdio: [3]int{-1, -1, -1}, u: unit.New(name, k.s.b.Loader().Defaults())}
	defer t.close()
	t.u.Transient = true
	for _, pid := range pids {
		if k.s.b.UnitByPID(int(pid)) == from.Name {
			t.pids = append(t.pids, pid)
		}
	}
	if len(t.pids) == 0 {
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "None of the processes is one of %s that could be moved into %s.", from.Name, name))
		return
	}
	t.settings = unit.LikeControlGroup(from, unit.TypeScope)
	if err := k.properties(t); err != nil {
		k.fail(err)
		return
	}
	cfg, err := k.s.install(t)
	if err != nil {
		k.fail(err)
		return
	}
	ev := machine.StartTransient{Config: cfg, Mode: job.Replace, Cause: k.cause(), PIDs: t.pids, Reply: k.s.b.Request(k.replyJob)}
	if t.addRef {
		ev.Client = k.c.caller(k.msg)
	}
	k.s.b.Submit(ev)
}

// auxiliaryOrigin checks the request and gives the unit that the caller is a process of.
func (k *call) auxiliaryOrigin(name string, flags uint64) (*unit.Unit, error) {
	switch {
	case unit.Form(name)&unit.NamePlain == 0:
		return nil, bus.Errorf(bus.ErrInvalidArgs, "%q is not the name of a unit.", name)
	case unit.TypeOf(name) != unit.TypeScope:
		return nil, bus.Errorf(bus.ErrInvalidArgs, "%q is not the name of a scope.", name)
	case flags != 0:
		return nil, bus.Errorf(bus.ErrInvalidArgs, "No flags are known, but %#x was sent.", flags)
	}
	if err := k.unused(name); err != nil {
		return nil, err
	}
	own := k.s.b.Engine().Unit(k.s.b.UnitByPID(k.pid()))
	if own == nil {
		return nil, bus.Errorf(bus.ErrNoSuchUnit, "The caller belongs to no unit.")
	}
	if t := own.Config().Type; t != unit.TypeService && t != unit.TypeScope {
		return nil, bus.Errorf(bus.ErrInvalidArgs, "%s is neither a service nor a scope.", own.Name())
	}
	return own.Config(), nil
}
