package busapi

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit/value"
)

// systemMethods act on the manager and the machine.
func systemMethods() []method {
	list := []method{
		{name: "Subscribe", run: func(k *call) {
			k.c.subscribed = true
			k.ok()
		}},
		{name: "Unsubscribe", run: func(k *call) {
			if !k.c.Private {
				k.c.subscribed = false
			}
			k.ok()
		}},
		{name: "Reload", run: func(k *call) {
			k.s.b.Reload(func(err error) {
				if err != nil {
					k.fail(err)
					return
				}
				k.ok()
			})
		}},
		{name: "Reexecute", run: func(k *call) {
			// No answer if all goes well: the caller sees its connection end.
			k.s.b.Reexecute(k.fail)
		}},
		{name: "SetExitCode", in: "y", args: []string{"number"}, run: func(k *call) {
			k.s.b.SetExitCode(k.args.Byte())
			k.ok()
		}},
		{name: "SetShowStatus", in: "s", args: []string{"mode"}, run: func(k *call) {
			k.s.b.SetShowStatus(k.args.String())
			k.ok()
		}},
		{name: "SwitchRoot", in: "ss", args: []string{"new_root", "init"}, privileged: true, run: func(k *call) {
			if err := k.s.b.SwitchRoot(k.args.String(), k.args.String()); err != nil {
				k.fail(err)
				return
			}
			k.ok()
		}},
		{name: "SetEnvironment", in: "as", args: []string{"assignments"}, run: func(k *call) { k.environment(nil, k.args.Strings()) }},
		{name: "UnsetEnvironment", in: "as", args: []string{"names"}, run: func(k *call) { k.environment(k.args.Strings(), nil) }},
		{name: "UnsetAndSetEnvironment", in: "asas", args: []string{"names", "assignments"}, run: func(k *call) {
			k.environment(k.args.Strings(), k.args.Strings())
		}},
	}
	for name, action := range map[string]string{
		"Exit": "exit-force", "Reboot": "reboot-force", "PowerOff": "poweroff-force", "Halt": "halt-force", "KExec": "kexec-force",
	} {
		list = append(list, method{name: name, privileged: true, run: func(k *call) { k.objective(action) }})
	}
	return append(list, method{name: "SoftReboot", in: "s", args: []string{"new_root"}, privileged: true, run: func(k *call) {
		if dir := k.args.String(); dir != "" {
			k.fail(bus.Errorf(bus.ErrNotSupported, "Soft-reboot into another root (%s) is not supported.", dir))
			return
		}
		k.objective("soft-reboot-force")
	}})
}

// objective answers first, as nothing will afterwards.
func (k *call) objective(action string) {
	k.ok()
	k.s.b.Act(machine.Act{Action: action, Reason: "a client asked for it", ExitStatus: -1})
}

// environment removes and adds assignments of the manager's environment block.
func (k *call) environment(remove, add []string) {
	values := map[string]string{}
	for _, e := range k.s.b.Environment() {
		name, val, _ := strings.Cut(e, "=")
		values[name] = val
	}
	for _, r := range remove {
		name, val, assignment := strings.Cut(r, "=")
		if !value.EnvNameIsValid(name) {
			k.fail(bus.Errorf(bus.ErrInvalidArgs, "Invalid environment variable names or assignments"))
			return
		}
		if !assignment || values[name] == val {
			delete(values, name)
		}
	}
	for _, a := range add {
		name, val, assignment := strings.Cut(a, "=")
		if !assignment || !value.EnvNameIsValid(name) || !value.EnvValueIsValid(val) {
			k.fail(bus.Errorf(bus.ErrInvalidArgs, "Invalid environment assignments"))
			return
		}
		values[name] = val
	}
	env := make([]string, 0, len(values))
	for name, val := range values {
		env = append(env, name+"="+val)
	}
	sort.Strings(env)
	k.s.b.SetEnvironment(env)
	k.ok()
}

// managerInterface is org.freedesktop.systemd1.Manager.
func managerInterface() *iface {
	i := &iface{name: ifaceManager}
	for _, list := range [][]method{managerVerbs(), listMethods(), lookupMethods(), managerActions(), systemMethods(), transientMethods(), fileMethods(), dumpMethods(), dynamicMethods(), liveMethods(true)} {
		i.methods = append(i.methods, list...)
	}
	i.props = managerProperties()
	i.signals = []bus.Signal{
		{Name: "UnitNew", Args: []bus.Arg{{Type: "s", Name: "id"}, {Type: "o", Name: "unit"}}},
		{Name: "UnitRemoved", Args: []bus.Arg{{Type: "s", Name: "id"}, {Type: "o", Name: "unit"}}},
		{Name: "JobNew", Args: []bus.Arg{{Type: "u", Name: "id"}, {Type: "o", Name: "job"}, {Type: "s", Name: "unit"}}},
		{Name: "JobRemoved", Args: []bus.Arg{{Type: "u", Name: "id"}, {Type: "o", Name: "job"}, {Type: "s", Name: "unit"}, {Type: "s", Name: "result"}}},
		{Name: "StartupFinished", Args: []bus.Arg{{Type: "t", Name: "firmware"}, {Type: "t", Name: "loader"}, {Type: "t", Name: "kernel"},
			{Type: "t", Name: "initrd"}, {Type: "t", Name: "userspace"}, {Type: "t", Name: "total"}}},
		{Name: "UnitFilesChanged"},
		{Name: "Reloading", Args: []bus.Arg{{Type: "b", Name: "active"}}},
	}
	return i.finish()
}
