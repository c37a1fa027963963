package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// liveMethods mount something into the view of a service that runs: methods of the manager, which name the unit, or of the service.
func liveMethods(manager bool) []method {
	list := []method{
		{name: "BindMount", in: "ssbb", args: []string{"source", "destination", "read_only", "mkdir"}},
		{name: "MountImage", in: "ssbba(ss)", args: []string{"source", "destination", "read_only", "mkdir", "options"}},
	}
	for i := range list {
		m := &list[i]
		image := m.name == "MountImage"
		if manager {
			m.name, m.in, m.args = m.name+"Unit", "s"+m.in, append([]string{"name"}, m.args...)
		}
		what := m.name
		m.run = func(k *call) {
			name := k.unit
			if manager {
				name = k.args.String()
			}
			k.liveMount(name, what, image)
		}
	}
	return list
}

// imageOptionsMax bounds the partitions with options.
const imageOptionsMax = 64

func (k *call) liveMount(name, what string, image bool) {
	m := LiveMount{Source: k.args.String(), Destination: k.args.String(), ReadOnly: k.args.Bool(), Mkdir: k.args.Bool(), Image: image}
	if image {
		for list := k.args.BeginArray('('); k.args.More(list); {
			k.args.Struct()
			m.Options = append(m.Options, [2]string{k.args.String(), k.args.String()})
		}
	}
	u := k.s.b.Engine().Unit(name)
	if m.Destination == "" {
		m.Destination = m.Source
	}
	switch {
	case u == nil:
		k.fail(bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not loaded.", name))
	case unit.TypeOf(u.Name()) != unit.TypeService:
		k.fail(bus.Errorf(bus.ErrNotSupported, "%s operation is not supported for unit type '%s'", what, unit.TypeOf(u.Name())))
	case !value.PathIsAbsolute(m.Source) || !value.PathIsNormalized(m.Source):
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Source path must be absolute and normalized"))
	case !value.PathIsAbsolute(m.Destination) || !value.PathIsNormalized(m.Destination):
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Destination path must be absolute and normalized"))
	case len(m.Options) > imageOptionsMax:
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Too many options"))
	case serviceState(u).MainPID <= 0:
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Unit '%s' is not running, cannot live mount.", u.Name()))
	case !k.s.b.CanLiveMount(u.Name()):
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Unit '%s' not running in private mount namespace, cannot live mount.", u.Name()))
	default:
		k.s.b.LiveMount(u.Name(), serviceState(u).MainPID, m, func(err error) {
			if err != nil {
				const warning = 4
				k.s.b.Log(warning, u.Name(), "Failed to mount '"+m.Source+"' on '"+m.Destination+"' in unit's namespace: "+err.Error())
				k.fail(bus.Errorf(bus.ErrFailed, "method '%s' for unit '%s' failed", what, u.Name()))
				return
			}
			k.ok()
		})
	}
}
