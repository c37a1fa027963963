package busapi

import (
	"errors"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/install"
	"github.com/muster-init/muster/pkg/kernel/reach"
)

const changesSig = "a(sss)"

// Flags of the …WithFlags methods.
const (
	flagRuntime = 1 << 0
	flagForce   = 1 << 1
)

// fileMethods change and list unit files. They read and write /etc, so all of them run on a worker.
func fileMethods() []method {
	plan := func(name, in, out string, args []string, carries bool, make func(k *call) func(p install.Paths) (install.Plan, error)) method {
		return method{name: name, in: in, out: out, args: args, run: func(k *call) { k.change(make(k), carries) }}
	}
	enable := func(files []string, runtime, force bool) func(p install.Paths) (install.Plan, error) {
		return func(p install.Paths) (install.Plan, error) { return install.PlanEnable(p, files, runtime, force) }
	}
	disable := func(files []string, runtime bool) func(p install.Paths) (install.Plan, error) {
		return func(p install.Paths) (install.Plan, error) { return install.PlanDisable(p, files, runtime) }
	}
	list := []method{
		plan("EnableUnitFiles", "asbb", "b"+changesSig, []string{"files", "runtime", "force", "carries_install_info", "changes"}, true,
			func(k *call) func(install.Paths) (install.Plan, error) {
				return enable(k.args.Strings(), k.args.Bool(), k.args.Bool())
			}),
		plan("EnableUnitFilesWithFlags", "ast", "b"+changesSig, []string{"files", "flags", "carries_install_info", "changes"}, true,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, flags := k.args.Strings(), k.args.Uint64()
				return enable(files, flags&flagRuntime != 0, flags&flagForce != 0)
			}),
		plan("DisableUnitFiles", "asb", changesSig, []string{"files", "runtime", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				return disable(k.args.Strings(), k.args.Bool())
			}),
		plan("DisableUnitFilesWithFlags", "ast", changesSig, []string{"files", "flags", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files := k.args.Strings()
				return disable(files, k.args.Uint64()&flagRuntime != 0)
			}),
		plan("DisableUnitFilesWithFlagsAndInstallInfo", "ast", "b"+changesSig, []string{"files", "flags", "carries_install_info", "changes"}, true,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files := k.args.Strings()
				return disable(files, k.args.Uint64()&flagRuntime != 0)
			}),
		plan("ReenableUnitFiles", "asbb", "b"+changesSig, []string{"files", "runtime", "force", "carries_install_info", "changes"}, true,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, runtime, force := k.args.Strings(), k.args.Bool(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) { return install.PlanReenable(p, files, runtime, force) }
			}),
		plan("LinkUnitFiles", "asbb", changesSig, []string{"files", "runtime", "force", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, runtime, force := k.args.Strings(), k.args.Bool(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) { return install.PlanLink(p, files, runtime, force) }
			}),
		plan("MaskUnitFiles", "asbb", changesSig, []string{"files", "runtime", "force", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, runtime, force := k.args.Strings(), k.args.Bool(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) { return install.PlanMask(p, files, runtime, force) }
			}),
		plan("UnmaskUnitFiles", "asb", changesSig, []string{"files", "runtime", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, runtime := k.args.Strings(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) { return install.PlanUnmask(p, files, runtime) }
			}),
		plan("RevertUnitFiles", "as", changesSig, []string{"files", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files := k.args.Strings()
				return func(p install.Paths) (install.Plan, error) { return install.PlanRevert(p, files) }
			}),
		plan("PresetUnitFiles", "asbb", "b"+changesSig, []string{"files", "runtime", "force", "carries_install_info", "changes"}, true,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, runtime, force := k.args.Strings(), k.args.Bool(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) {
					return install.PlanPreset(p, files, "full", runtime, force)
				}
			}),
		plan("PresetUnitFilesWithMode", "assbb", "b"+changesSig, []string{"files", "mode", "runtime", "force", "carries_install_info", "changes"}, true,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, mode, runtime, force := k.args.Strings(), k.args.String(), k.args.Bool(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) { return install.PlanPreset(p, files, mode, runtime, force) }
			}),
		plan("PresetAllUnitFiles", "sbb", changesSig, []string{"mode", "runtime", "force", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				mode, runtime, force := k.args.String(), k.args.Bool(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) { return install.PlanPresetAll(p, mode, runtime, force) }
			}),
		plan("SetDefaultTarget", "sb", changesSig, []string{"name", "force", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				name, force := k.args.String(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) { return install.PlanDefault(p, name, force) }
			}),
		plan("AddDependencyUnitFiles", "asssbb", changesSig, []string{"files", "target", "type", "runtime", "force", "changes"}, false,
			func(k *call) func(install.Paths) (install.Plan, error) {
				files, target, kind, runtime, force := k.args.Strings(), k.args.String(), k.args.String(), k.args.Bool(), k.args.Bool()
				return func(p install.Paths) (install.Plan, error) {
					return install.PlanDependency(p, files, target, kind, runtime, force)
				}
			}),
	}
	return append(list, fileQueries()...)
}

// fileQueries only read.
func fileQueries() []method {
	return []method{
		{name: "GetUnitFileState", in: "s", out: "s", args: []string{"file", "state"}, run: func(k *call) {
			name := k.args.String()
			k.offLoop(func(p install.Paths) (func(), error) {
				state, err := install.ReadLinks(p).State(name)
				return func() { k.reply("s", func(e *bus.Encoder) { e.String(state) }) }, err
			})
		}},
		{name: "GetDefaultTarget", out: "s", args: []string{"name"}, run: func(k *call) {
			k.offLoop(func(p install.Paths) (func(), error) {
				name, err := install.GetDefault(p)
				return func() { k.reply("s", func(e *bus.Encoder) { e.String(name) }) }, err
			})
		}},
		{name: "ListUnitFiles", out: "a(ss)", args: []string{"unit_files"}, run: func(k *call) { k.listFiles(nil, nil) }},
		{name: "ListUnitFilesByPatterns", in: "asas", out: "a(ss)", args: []string{"states", "patterns", "unit_files"}, run: func(k *call) {
			k.listFiles(k.args.Strings(), k.args.Strings())
		}},
		{name: "GetUnitFileLinks", in: "sb", out: "as", args: []string{"name", "runtime", "links"}, run: func(k *call) {
			name, runtime := k.args.String(), k.args.Bool()
			k.offLoop(func(p install.Paths) (func(), error) {
				plan, err := install.PlanDisable(p, []string{name}, runtime)
				var links []string
				for _, c := range plan.Changes {
					if c.Type == install.Unlink {
						links = append(links, c.Path)
					}
				}
				return func() { k.reply("as", func(e *bus.Encoder) { e.Strings(links) }) }, err
			})
		}},
	}
}

// offLoop runs work with the unit file paths on a worker and its answer on the loop.
func (k *call) offLoop(work func(p install.Paths) (answer func(), err error)) {
	p := k.s.paths()
	queued := k.s.b.Work(func() func() {
		answer, err := work(p)
		return func() {
			if err != nil {
				k.fail(fileError(err))
				return
			}
			answer()
		}
	})
	if !queued {
		k.fail(bus.Errorf(bus.ErrLimitsExceeded, "The manager is too busy to look at unit files."))
	}
}

func fileError(err error) error {
	if errors.Is(err, install.ErrNotFound) {
		// Scripts look for the sentence that systemd says.
		return bus.Errorf(bus.ErrFileNotFound, "%s", strings.Replace(err.Error(), "unit file ", "Unit ", 1))
	}
	return bus.Errorf(bus.ErrInvalidArgs, "%v", err)
}

func (s *Server) paths() install.Paths {
	search := s.b.Loader().Path()
	if s.b.Facts().System {
		return install.SystemPaths("", search)
	}
	return install.UserPaths(search)
}

// change plans and applies an operation and answers with what was changed. Clients are told that unit files changed.
func (k *call) change(make func(p install.Paths) (install.Plan, error), carries bool) {
	if err := k.args.Err(); err != nil {
		k.fail(err)
		return
	}
	k.offLoop(func(p install.Paths) (func(), error) {
		plan, err := make(p)
		if err != nil {
			return nil, err
		}
		done, err := install.Apply(p, plan)
		if err != nil && len(done) == 0 {
			return nil, err
		}
		return func() {
			if len(done) > 0 {
				k.s.UnitFilesChanged()
			}
			if err != nil {
				k.fail(fileError(err))
				return
			}
			sig := changesSig
			if carries {
				sig = "b" + sig
			}
			k.reply(sig, func(e *bus.Encoder) {
				if carries {
					e.Bool(plan.CarriesInstallInfo)
				}
				mark := e.BeginArray('(')
				for _, c := range done {
					e.Struct()
					e.String(c.Type)
					e.String(c.Path)
					e.String(c.Source)
				}
				e.EndArray(mark)
			})
		}, nil
	})
}

func (k *call) listFiles(states, patterns []string) {
	k.offLoop(func(p install.Paths) (func(), error) {
		var list []install.Entry
		for _, f := range install.List(p) {
			if matchesPatterns(filepath.Base(f.Path), patterns) && (len(states) == 0 || contains(states, f.State)) {
				list = append(list, f)
			}
		}
		sort.Slice(list, func(a, b int) bool { return list[a].Path < list[b].Path })
		return func() {
			k.reply("a(ss)", func(e *bus.Encoder) {
				mark := e.BeginArray('(')
				for _, f := range list {
					e.Struct()
					e.String(f.Path)
					e.String(f.State)
				}
				e.EndArray(mark)
			})
		}, nil
	})
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// fileStates keeps what `is-enabled` would say of units. It is asked for with every GetAll and takes reading files, so an answer is kept for a moment, and
// dropped at once when unit files are changed through us or a reload comes.
type fileStates struct {
	until   uint64 // monotonic µs
	links   *install.Links
	byName  map[string]string
	presets []install.Preset
}

const fileStatesUSec = 2_000_000

func (s *Server) files() *fileStates {
	now := s.b.Now().Monotonic
	if s.fileStates == nil || now >= s.fileStates.until {
		p := s.paths()
		f := &fileStates{until: now + fileStatesUSec, byName: map[string]string{}}
		var links *install.Links
		var presets []install.Preset
		if reach.Apart(unitFileLooks, func() { links, presets = install.ReadLinks(p), install.ReadPresets(p) }) == nil {
			f.links, f.presets = links, presets
		}
		s.fileStates = f
	}
	return s.fileStates
}

// unitFileLooks names the looks at unit files that this needs: they go through all directories, which may hang.
const unitFileLooks = "unit files"

func (s *Server) unitFileState(u *engine.Unit) string {
	if u.Config().FragmentPath == "" {
		return ""
	}
	f := s.files()
	state, ok := f.byName[u.Name()]
	if !ok && f.links != nil {
		var found string
		name := u.Name()
		if reach.Apart(unitFileLooks, func() {
			if s, err := f.links.State(name); err == nil {
				found = s
			}
		}) == nil {
			state = found
		}
		f.byName[name] = state
	}
	return state
}

func (s *Server) unitFilePreset(u *engine.Unit) string {
	if u.Config().FragmentPath == "" {
		return ""
	}
	action, _ := install.Wanted(s.files().presets, u.Name())
	return action
}
