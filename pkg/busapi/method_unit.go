package busapi

import (
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// onUnit is an action that exists twice: on the manager with the name of a unit in front, and on unit objects.
type onUnit struct {
	manager, unit string // names of the methods
	in            string // arguments behind the unit name
	args          []string
	run           func(k *call, name string)
	load          bool // a unit that isn't loaded is loaded first; otherwise that is an error
}

var unitActions = []onUnit{
	{"ResetFailedUnit", "ResetFailed", "", nil, func(k *call, name string) {
		k.submit(func(r machine.Reply) machine.Event { return machine.ResetFailed{Unit: name, Reply: r} })
	}, false},
	{"KillUnit", "Kill", "si", []string{"whom", "signal"}, func(k *call, name string) {
		k.kill(name, k.args.String(), "", k.args.Int32(), nil)
	}, false},
	{"KillUnitSubgroup", "", "ssi", []string{"whom", "subgroup", "signal"}, func(k *call, name string) {
		k.kill(name, k.args.String(), k.args.String(), k.args.Int32(), nil)
	}, false},
	{"", "KillSubgroup", "si", []string{"subgroup", "signal"}, func(k *call, name string) {
		k.kill(name, "cgroup", k.args.String(), k.args.Int32(), nil)
	}, false},
	{"QueueSignalUnit", "QueueSignal", "sii", []string{"whom", "signal", "value"}, func(k *call, name string) {
		whom, sig, val := k.args.String(), k.args.Int32(), k.args.Int32()
		k.kill(name, whom, "", sig, &val)
	}, false},
	{"CleanUnit", "Clean", "as", []string{"mask"}, func(k *call, name string) {
		mask := k.args.Strings()
		k.submit(func(r machine.Reply) machine.Event { return machine.Clean{Unit: name, Mask: mask, Reply: r} })
	}, true},
	{"FreezeUnit", "Freeze", "", nil, func(k *call, name string) {
		k.freeze(name, false)
	}, false},
	{"ThawUnit", "Thaw", "", nil, func(k *call, name string) {
		k.freeze(name, true)
	}, false},
	{"RefUnit", "Ref", "", nil, func(k *call, name string) {
		k.submit(func(r machine.Reply) machine.Event {
			return machine.Ref{Unit: name, Client: k.c.caller(k.msg), Reply: r}
		})
	}, true},
	{"UnrefUnit", "Unref", "", nil, func(k *call, name string) {
		k.submit(func(r machine.Reply) machine.Event {
			return machine.Unref{Unit: name, Client: k.c.caller(k.msg), Reply: r}
		})
	}, false},
}

// freeze freezes or thaws a unit. Only what has processes of its own can be, and not the manager's own group or all there is.
func (k *call) freeze(name string, thaw bool) {
	switch t := unit.TypeOf(name); {
	case t != unit.TypeService && t != unit.TypeScope && t != unit.TypeSlice, name == "init.scope", name == "-.slice":
		k.fail(bus.Errorf(bus.ErrNotSupported, "Unit does not support freeze/thaw"))
	default:
		k.submit(func(r machine.Reply) machine.Event { return machine.Freeze{Unit: name, Thaw: thaw, Reply: r} })
	}
}

// managerActions are the rows as methods of the manager: the unit's name comes first and must be loadable.
func managerActions() (list []method) {
	for _, a := range unitActions {
		if a.manager == "" {
			continue
		}
		list = append(list, method{name: a.manager, in: "s" + a.in, args: append([]string{"name"}, a.args...), run: func(k *call) {
			name := k.args.String()
			u := k.s.b.Engine().Unit(name)
			if u == nil && !a.load {
				k.fail(bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not loaded.", name))
				return
			}
			u, err := k.s.loadUnit(name)
			if err != nil {
				k.fail(err)
				return
			}
			a.run(k, u.Name())
		}})
	}
	return list
}

func objectActions() (list []method) {
	for _, a := range unitActions {
		if a.unit != "" {
			list = append(list, method{name: a.unit, in: a.in, args: a.args, run: func(k *call) { a.run(k, k.unit) }})
		}
	}
	return list
}

// kill checks the arguments of the signal methods.
func (k *call) kill(name, whom, subgroup string, sig int32, value *int32) {
	if whom == "" {
		whom = "all"
	}
	switch strings.TrimSuffix(whom, "-fail") {
	case "main", "control", "all", "cgroup":
	default:
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Invalid who argument: %s", whom))
		return
	}
	if sig <= 0 || sig > 64 {
		k.fail(bus.Errorf(bus.ErrInvalidArgs, "Signal number out of range."))
		return
	}
	k.submit(func(r machine.Reply) machine.Event {
		return machine.KillUnit{Unit: name, Whom: whom, Subgroup: subgroup, Signal: sig, Value: value, Reply: r}
	})
}

// lookupMethods find units.
func lookupMethods() []method {
	return []method{
		{name: "GetUnit", in: "s", out: "o", args: []string{"name", "unit"}, run: func(k *call) {
			name := k.args.String()
			if name == "" {
				k.replyUnitOfPID(k.pid())
				return
			}
			u := k.s.b.Engine().Unit(name)
			if u == nil {
				k.fail(bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not loaded.", name))
				return
			}
			k.replyUnit(u.Name())
		}},
		{name: "LoadUnit", in: "s", out: "o", args: []string{"name", "unit"}, run: func(k *call) {
			u, err := k.s.loadUnit(k.args.String())
			if err != nil {
				k.fail(err)
				return
			}
			k.replyUnit(u.Name())
		}},
		{name: "GetUnitByPID", in: "u", out: "o", args: []string{"pid", "unit"}, run: func(k *call) { k.replyUnitOfPID(int(k.args.Uint32())) }},
		{name: "GetUnitByPIDFD", in: "h", out: "osay", args: []string{"pidfd", "unit", "unit_id", "invocation_id"}, run: unitByPIDFD},
		{name: "GetUnitByInvocationID", in: "ay", out: "o", args: []string{"invocation_id", "unit"}, run: unitByInvocation},
		{name: "GetUnitByControlGroup", in: "s", out: "o", args: []string{"cgroup", "unit"}, run: func(k *call) {
			group := k.args.String()
			for _, u := range k.s.b.Engine().Units() {
				if have := k.s.b.ControlGroup(u.Name()); have != "" && have == group {
					k.replyUnit(u.Name())
					return
				}
			}
			k.fail(bus.Errorf(bus.ErrNoSuchUnit, "Control group '%s' is not valid or not managed by this instance", group))
		}},
		{name: "GetUnitProcesses", in: "s", out: "a(sus)", args: []string{"name", "processes"}, run: func(k *call) {
			u := k.s.b.Engine().Unit(k.args.String())
			if u == nil {
				k.fail(bus.Errorf(bus.ErrNoSuchUnit, "Unit not loaded."))
				return
			}
			k.replyProcesses(u.Name())
		}},
		{name: "AttachProcessesToUnit", in: "ssau", args: []string{"unit_name", "subcgroup", "pids"}, run: func(k *call) {
			k.attach(k.args.String())
		}},
		{name: "AbandonScope", in: "s", args: []string{"name"}, run: func(k *call) {
			name := k.args.String()
			k.submit(func(r machine.Reply) machine.Event { return machine.Abandon{Unit: name, Reply: r} })
		}},
		{name: "ResetFailed", run: func(k *call) {
			k.submit(func(r machine.Reply) machine.Event { return machine.ResetFailed{Reply: r} })
		}},
	}
}

func (k *call) replyUnit(name string) {
	k.reply("o", func(e *bus.Encoder) { e.ObjectPath(bus.UnitPath(name)) })
}

func (k *call) replyUnitOfPID(pid int) {
	if pid == 0 {
		pid = k.pid()
	}
	name := k.s.b.UnitByPID(pid)
	if name == "" {
		k.fail(bus.Errorf(bus.ErrNoUnitForPID, "PID %d does not belong to any loaded unit.", pid))
		return
	}
	k.replyUnit(name)
}

func unitByPIDFD(k *call) {
	fd := k.args.UnixFD()
	pid, err := kernel.PidFDPid(fd)
	if err != nil || pid <= 0 {
		k.fail(bus.Errorf(bus.ErrNoSuchProcess, "Failed to get PID from PIDFD"))
		return
	}
	u := k.s.b.Engine().Unit(k.s.b.UnitByPID(pid))
	if u == nil {
		k.fail(bus.Errorf(bus.ErrNoUnitForPID, "PID %d does not belong to any loaded unit.", pid))
		return
	}
	id, _ := hex.DecodeString(u.Invocation())
	k.reply("osay", func(e *bus.Encoder) {
		e.ObjectPath(bus.UnitPath(u.Name()))
		e.String(u.Name())
		e.ByteArray(id)
	})
}

func unitByInvocation(k *call) {
	raw := k.args.ByteArray()
	if len(raw) == 0 {
		k.replyUnitOfPID(0)
		return
	}
	want := hex.EncodeToString(raw)
	if len(raw) == 16 {
		for _, u := range k.s.b.Engine().Units() {
			if u.Invocation() == want {
				k.replyUnit(u.Name())
				return
			}
		}
	}
	k.fail(bus.Errorf(bus.ErrNoUnitForInvocationID, "No unit with the specified invocation ID %s known.", want))
}

// attach moves processes into a unit's cgroup.
func (k *call) attach(name string) {
	subgroup := k.args.String()
	var pids []int32
	list := k.args.BeginArray('u')
	for k.args.More(list) {
		pid := k.args.Uint32()
		if pid == 0 {
			pid = uint32(k.pid())
		}
		pids = append(pids, int32(pid))
	}
	if name == "" {
		name = k.s.b.UnitByPID(k.pid())
	}
	if err := k.mayAttach(name, subgroup, pids); err != nil {
		k.fail(err)
		return
	}
	subgroup = strings.TrimPrefix(subgroup, "/")
	k.submit(func(r machine.Reply) machine.Event {
		return machine.AttachProcesses{Unit: name, Subgroup: subgroup, PIDs: pids, Reply: r}
	})
}

// mayAttach checks the request. Users may move processes of their own into what was delegated to them: so a user's manager gets those that are in a
// session, whose cgroup it may not take them out of.
func (k *call) mayAttach(name, subgroup string, pids []int32) error {
	if subgroup != "" && (subgroup[0] != '/' || path.Clean(subgroup) != subgroup) {
		return bus.Errorf(bus.ErrInvalidArgs, "Control group path is not absolute: %s", subgroup)
	}
	if !k.c.Private && !k.known {
		return bus.Errorf(bus.ErrAccessDenied, "Access denied")
	}
	if k.c.Private || k.who.UID == 0 || k.who.UID == k.s.b.Facts().UID {
		return nil
	}
	u := k.s.b.Engine().Unit(name)
	if u == nil {
		return bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not loaded.", name)
	}
	if !delegated(u.Config()) {
		return bus.Errorf(bus.ErrInvalidArgs, "Process migration not available on non-delegated units.")
	}
	if uid, ok := k.s.b.CgroupOwner(u.Name(), ""); !ok || uid != k.who.UID {
		return bus.Errorf(bus.ErrAccessDenied, "Access denied")
	}
	if _, ok := k.s.b.CgroupOwner(u.Name(), strings.TrimSuffix(subgroup, "/")); !ok {
		return bus.Errorf(bus.ErrFailed, "Failed to attach processes to control group: No such file or directory")
	}
	for _, pid := range pids {
		var st unix.Stat_t
		if pid <= 0 || unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) != nil {
			return bus.Errorf(bus.ErrNoSuchProcess, "No such process")
		}
		if st.Uid != k.who.UID {
			return bus.Errorf(bus.ErrAccessDenied, "Access denied")
		}
	}
	return nil
}

// delegated tells whether a unit's cgroup belongs to what runs in it.
func delegated(u *unit.Unit) bool { return u.Type.HasCgroup() && u.GetCgroup().Delegate }

const commandLineMax = 4096

// commandLine is the command of a process for people. procfs does not hang, except when the process is being executed: then the kernel waits for
// its memory map, so only what can be read without that (the name) is taken from processes that are not running normally.
func commandLine(pid int) string {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/cmdline", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		buf := make([]byte, commandLineMax)
		n, _ := unix.Read(fd, buf)
		_ = unix.Close(fd)
		if n > 0 {
			words := strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00")
			return strings.ToValidUTF8(strings.Join(words, " "), "\uFFFD")
		}
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		return "[" + strings.TrimSpace(string(name)) + "]"
	}
	return ""
}
