package busapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

const (
	// settingsMax bounds the settings of one transient unit, auxMax the further units that come with it.
	settingsMax = 4096
	auxMax      = 64
)

func transientMethods() []method {
	return []method{
		{name: "StartTransientUnit", in: "ssa(sv)a(sa(sv))", out: "o", args: []string{"name", "mode", "properties", "aux", "job"}, run: startTransient},
		{name: "SetUnitProperties", in: "sba(sv)", args: []string{"name", "runtime", "properties"}, run: func(k *call) {
			u, err := k.s.loadUnit(k.args.String())
			if err != nil {
				k.fail(err)
				return
			}
			k.setProperties(u.Name())
		}},
		{name: "StartAuxiliaryScope", in: "sahta(sv)", out: "o", args: []string{"name", "pidfds", "flags", "properties", "job"}, run: startAuxiliaryScope},
	}
}

// transient is a unit that is being made from properties.
type transient struct {
	u        *unit.Unit
	settings []unit.Setting
	pids     []int32
	addRef   bool
	marks    *markers
	stdio    [3]int // what was handed over, -1 none; ours, by dup
	extra    []passed
}

// passed is a descriptor of ExtraFileDescriptors.
type passed struct {
	fd   int
	name string
}

// given hands the descriptors over to the manager, nil if there are none.
func (t *transient) given(add func(fd int) machine.Handle) *machine.Given {
	var g machine.Given
	for i, fd := range t.stdio {
		if fd >= 0 {
			g.Stdio[i] = add(fd)
			t.stdio[i] = -1
		}
	}
	for _, p := range t.extra {
		g.Extra = append(g.Extra, machine.FD{Handle: add(p.fd), Name: p.name})
	}
	t.extra = nil
	if len(g.All()) == 0 {
		return nil
	}
	return &g
}

// close closes what was not handed over.
func (t *transient) close() {
	for _, fd := range t.stdio {
		if fd >= 0 {
			kernel.CloseFD(fd)
		}
	}
	for _, p := range t.extra {
		kernel.CloseFD(p.fd)
	}
}

// startTransient makes a unit from its properties, writes its fragment below the transient directory, and queues its start.
func startTransient(k *call) {
	name, modeName := k.args.String(), k.args.String()
	mode, err := modeOf(modeName)
	if err != nil {
		k.fail(err)
		return
	}
	t, err := k.readTransient(name)
	defer t.close()
	if err != nil {
		k.fail(err)
		return
	}
	var aux []*transient
	list := k.args.BeginArray('(')
	for k.args.More(list) && len(aux) < auxMax {
		k.args.Struct()
		a, err := k.readTransient(k.args.String())
		defer a.close() // what it has is not passed on: only the first unit is one that a client waits for
		if err != nil {
			k.fail(err)
			return
		}
		aux = append(aux, a)
	}
	if err := k.args.Err(); err != nil {
		k.fail(err)
		return
	}
	ev := machine.StartTransient{Mode: mode, Cause: k.cause(), PIDs: t.pids}
	if t.addRef {
		ev.Client = k.c.caller(k.msg)
	}
	for _, x := range append([]*transient{t}, aux...) {
		cfg, err := k.s.install(x)
		if err != nil {
			k.fail(err)
			return
		}
		if ev.Config == nil {
			ev.Config = cfg
		} else {
			ev.Aux = append(ev.Aux, cfg)
		}
	}
	ev.Given = t.given(k.s.b.AddHandle)
	ev.Reply = k.s.b.Request(k.replyJob)
	k.s.b.Submit(ev)
	if t.marks != nil {
		k.s.b.Submit(t.marks.mark(t.u.Name, 0))
	}
}

// readTransient reads the properties a(sv) of one new unit. What it gives must be closed, also beside an error.
func (k *call) readTransient(name string) (*transient, error) {
	t := &transient{stdio: [3]int{-1, -1, -1}}
	if unit.Form(name)&(unit.NamePlain|unit.NameInstance) == 0 {
		return t, bus.Errorf(bus.ErrInvalidArgs, "Unit name %s is not valid.", name)
	}
	typ := unit.TypeOf(name)
	if !k.s.b.Engine().CanTransient(typ) {
		return t, bus.Errorf(bus.ErrInvalidArgs, "Unit type %s does not support transient units.", typ)
	}
	if err := k.unused(name); err != nil {
		return t, err
	}
	t.u = unit.New(name, k.s.b.Loader().Defaults())
	t.u.Transient = true
	return t, k.properties(t)
}

// unused says why no new unit can have this name.
func (k *call) unused(name string) error {
	if u := k.s.b.Engine().Unit(name); u != nil && (u.Config().LoadState == unit.StateLoaded && !u.Config().Transient || !u.ActiveState().IsInactiveOrFailed() || u.Job() != nil) {
		return bus.Errorf(bus.ErrUnitExists, "Unit %s was already loaded or has a fragment file.", name)
	}
	return nil
}

// properties applies the properties a(sv) to a unit that is being made.
func (k *call) properties(t *transient) error {
	host := k.s.b.Loader().Host()
	list := k.args.BeginArray('(')
	for k.args.More(list) {
		k.args.Struct()
		prop := k.args.String()
		sig := k.args.Variant()
		if err := k.args.Err(); err != nil {
			return err
		}
		if err := k.property(t, host, prop, sig); err != nil {
			return err
		}
		if len(t.settings) > settingsMax {
			return bus.Errorf(bus.ErrLimitsExceeded, "%s has more than %d settings.", t.u.Name, settingsMax)
		}
	}
	return k.args.Err()
}

// property applies one property to a unit that is being made. Some are no settings: the processes of a scope, a reference of the caller.
func (k *call) property(t *transient, host *unit.Host, name, sig string) error {
	switch {
	case name == "PIDs" && sig == "au":
		list := k.args.BeginArray('u')
		for k.args.More(list) {
			pid := k.args.Uint32()
			if pid == 0 {
				pid = uint32(k.pid())
			}
			t.pids = append(t.pids, int32(pid))
		}
		return k.args.Err()
	case name == "PIDFDs" && sig == "ah":
		return k.pidfds(t)
	case name == "AddRef" && sig == "b":
		t.addRef = k.args.Bool()
		return k.args.Err()
	case name == "Markers" && sig == "as":
		var err error
		t.marks, err = k.readMarkers()
		return err
	case t.u.Type == unit.TypeService && sig == "h" && stdioNumber(name) >= 0:
		return k.stdio(t, stdioNumber(name))
	case t.u.Type == unit.TypeService && name == "ExtraFileDescriptors" && sig == "a(hs)":
		return k.extra(t)
	case name == "Controller" && sig == "s":
		if err := k.args.Err(); err != nil {
			return err
		}
	}
	want := unit.PropertySignature(t.u.Type, name, unit.SetTransient)
	if want == "" {
		return bus.Errorf(bus.ErrPropertyReadOnly, "Cannot set property %s, or unknown property.", name)
	}
	if want != sig {
		return bus.Errorf(bus.ErrInvalidArgs, "Property %s has the type '%s', not '%s'.", name, want, sig)
	}
	settings, err := unit.SetProperty(host, t.u, name, &reader{d: &k.args}, unit.SetTransient)
	t.settings = append(t.settings, settings...)
	return settingError(err)
}

// settingError gives errors of pkg/unit their D-Bus name.
func settingError(err error) error {
	var le *unit.LoadError
	if errors.As(err, &le) {
		return &bus.Error{Name: bus.ErrorName(le.Name), Message: le.Message}
	}
	return err
}

// install writes the fragment and reads it back, so that a transient unit is exactly what its file says, as after a reload.
func (s *Server) install(t *transient) (*unit.Unit, error) {
	text := "# Transient unit: muster wrote this from the properties that a client sent. It is removed with the unit.\n" + unit.FormatSettings(t.settings)
	if err := s.b.WriteTransient(t.u.Name, text); err != nil {
		return nil, bus.Errorf(bus.ErrIOError, "%s: its transient file can't be written: %v", t.u.Name, err)
	}
	u := s.b.Loader().Load(t.u.Name)
	if u.LoadError != nil {
		return nil, &bus.Error{Name: bus.ErrorName(u.LoadError.Name), Message: u.LoadError.Message}
	}
	return u, nil
}

// setProperties changes settings of a loaded unit: read into a copy of its configuration, written as drop-ins, taken over by the engine.
func (k *call) setProperties(name string) {
	runtime := k.args.Bool()
	u := k.s.b.Engine().Unit(name)
	t := &transient{u: u.Config().Clone()}
	host := k.s.b.Loader().Host()
	files := map[string]string{}
	var order []string
	list := k.args.BeginArray('(')
	for k.args.More(list) {
		k.args.Struct()
		prop, sig := k.args.String(), k.args.Variant()
		if k.args.Err() != nil {
			break
		}
		if prop == "Markers" && sig == "as" {
			var err error
			if t.marks, err = k.readMarkers(); err != nil {
				k.fail(err)
				return
			}
			continue
		}
		want := unit.PropertySignature(t.u.Type, prop, unit.SetRuntime)
		if want == "" {
			k.fail(bus.Errorf(bus.ErrPropertyReadOnly, "Cannot set property %s, or unknown property.", prop))
			return
		}
		if want != sig {
			k.fail(bus.Errorf(bus.ErrInvalidArgs, "Property %s has the type '%s', not '%s'.", prop, want, sig))
			return
		}
		settings, err := unit.SetProperty(host, t.u, prop, &reader{d: &k.args}, unit.SetRuntime)
		if err != nil {
			k.fail(settingError(err))
			return
		}
		file := "50-" + settingName(settings, prop) + ".conf"
		if _, ok := files[file]; !ok {
			order = append(order, file)
		}
		files[file] = dropInHeader(name, runtime) + unit.FormatSettings(settings)
	}
	if err := k.args.Err(); err != nil {
		k.fail(err)
		return
	}
	if t.marks != nil && len(order) == 0 {
		k.submit(func(r machine.Reply) machine.Event { return t.marks.mark(name, r) })
		return
	}
	if t.marks != nil {
		k.s.b.Submit(t.marks.mark(name, 0))
	}
	unit.Refinish(t.u)
	k.writeDropIns(t.u, order, files, runtime)
}

// settingName is the directive that a drop-in of a property is called after.
func settingName(settings []unit.Setting, prop string) string {
	if len(settings) > 0 {
		return settings[0].Key
	}
	return prop
}

func dropInHeader(name string, runtime bool) string {
	options := ""
	if runtime {
		options = " --runtime"
	}
	return fmt.Sprintf("# Written by muster for: set-property%s %s\n", options, strings.TrimSpace(name))
}

// writeDropIns writes one file after the other and answers when all are there.
func (k *call) writeDropIns(u *unit.Unit, order []string, files map[string]string, runtime bool) {
	if len(order) == 0 {
		// Read back from the files, so that what holds is what a reload would give.
		k.submit(func(r machine.Reply) machine.Event {
			return machine.SetConfig{Config: k.s.b.Loader().Load(u.Name), Reply: r}
		})
		return
	}
	k.s.b.WriteDropIn(u.Name, order[0], files[order[0]], runtime, func(err error) {
		if err != nil {
			k.fail(bus.Errorf(bus.ErrIOError, "%s: %v", u.Name, err))
			return
		}
		k.writeDropIns(u, order[1:], files, runtime)
	})
}

// pidfds reads the processes of a new scope, named by their pidfds.
func (k *call) pidfds(t *transient) error {
	list := k.args.BeginArray('h')
	for k.args.More(list) {
		pid, err := kernel.PidFDPid(k.args.UnixFD())
		if err != nil || pid <= 0 {
			return bus.Errorf(bus.ErrNoSuchProcess, "A process that was to be moved into %s does not exist any more.", t.u.Name)
		}
		t.pids = append(t.pids, int32(pid))
	}
	return k.args.Err()
}

// stdioNumber is the standard stream that a property hands over, -1 if it is none of those.
func stdioNumber(name string) int {
	return slices.Index([]string{"StandardInputFileDescriptor", "StandardOutputFileDescriptor", "StandardErrorFileDescriptor"}, name)
}

// stdio takes over a standard stream.
func (k *call) stdio(t *transient, n int) error {
	fd, err := k.copyFD()
	if err != nil {
		return err
	}
	if t.stdio[n] >= 0 {
		kernel.CloseFD(t.stdio[n])
	}
	t.stdio[n] = fd
	return nil
}

// copyFD reads a descriptor and copies it: the message may name one twice, and closes its own.
func (k *call) copyFD() (int, error) {
	fd := k.args.UnixFD()
	if err := k.args.Err(); err != nil {
		return -1, err
	}
	fd, err := kernel.CopyFD(fd)
	if err != nil {
		return -1, bus.Errorf(bus.ErrIOError, "A file descriptor can't be kept: %v", err)
	}
	return fd, nil
}

// extraMax bounds the descriptors handed over with one unit.
const extraMax = 512

// extra takes over further descriptors for the main process.
func (k *call) extra(t *transient) error {
	list := k.args.BeginArray('(')
	for k.args.More(list) {
		k.args.Struct()
		fd, err := k.copyFD()
		if err != nil {
			return err
		}
		name := k.args.String()
		if t.extra = append(t.extra, passed{fd, name}); len(t.extra) > extraMax {
			return bus.Errorf(bus.ErrLimitsExceeded, "%s has more than %d extra file descriptors.", t.u.Name, extraMax)
		}
		if k.args.Err() == nil && !machine.ValidFDName(name) {
			return bus.Errorf(bus.ErrInvalidArgs, "Invalid file descriptor name: %s", name)
		}
	}
	return k.args.Err()
}
