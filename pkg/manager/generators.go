package manager

import (
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/generator"
	"github.com/muster-init/muster/pkg/generator/environmentd"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/kernel/facts"
	"github.com/muster-init/muster/pkg/unit/value"
)

const (
	// generatorTimeout is how long all generators together may take; the rest is killed.
	generatorTimeout = 90 * time.Second
	// generatorStatus is the exit status of a helper that could not be executed.
	generatorStatus = 203
	// sandboxStatus is that of a generator whose sandbox could not be made.
	sandboxStatus = 226
	// generatorLinesMax bounds the messages of one that succeeds.
	generatorLinesMax = 50
	// generatorGrace is how long those that were killed may take to die: one that waits for a dead server in the kernel may take for ever.
	generatorGrace = 10 * time.Second
	// generatorEnvironmentMax bounds what an environment generator may print.
	generatorEnvironmentMax = 1 << 20
)

// runGenerators runs all generators in parallel and waits for them. At boot nothing else can be done meanwhile, because units can't be loaded before; it
// is bounded by generatorTimeout. A reload runs them on a worker (see reload.go).
func (m *Manager) runGenerators() error {
	if m.opt.Deserialize && !m.opt.SwitchedRoot || !m.opt.Generators {
		return nil
	}
	m.stamps.GeneratorsStart = m.now()
	run := m.generatorRun()
	run.atBoot = true
	result := run.all()
	m.stamps.GeneratorsFinish = m.now()
	m.generated(result)
	return nil
}

// generated takes over what generators gave, on the loop.
func (m *Manager) generated(r generatorResult) {
	for _, text := range r.problems {
		m.log.err("", "%s", text)
	}
	for _, text := range r.notes {
		m.log.notice("", "%s", text)
	}
	m.generatedEnvironment = r.environment
	m.environment = value.MergeEnvironment(m.defaultEnvironment(), m.clientEnvironment)
}

// generatorRun is everything that a run needs, so that it can go on a worker.
type generatorRun struct {
	units, environment []string // generators by path
	staging, output    generator.Output
	env                []string // the manager's block
	context            generator.Context
	helpers            *helpers
	sandbox            bool
	writable           []string // mount points that stay writable in the sandbox
	timeout            time.Duration
	atBoot             bool // the loop itself waits
}

// generatorResult is what came of it: messages about what failed, what those that succeeded had to say, and assignments of the environment.
type generatorResult struct{ problems, notes, environment []string }

func (r *generatorResult) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (m *Manager) generatorRun() *generatorRun {
	base, units, environment := "/run/systemd", generator.SystemDirectories, generator.SystemEnvironmentDirectories
	if !m.system {
		base, units, environment = m.dirs.runtime+"/systemd", generator.UserDirectories, generator.UserEnvironmentDirectories
	}
	return &generatorRun{
		units: generator.List("", units), environment: generator.List("", environment),
		output: generator.OutputBelow(base), staging: generator.OutputBelow(base + "/generator.staging"),
		env: value.MergeEnvironment(m.defaultEnvironmentWithout(), m.clientEnvironment), helpers: m.helpers, sandbox: m.system, timeout: generatorTimeout,
		context: generator.Context{
			User: !m.system, Initrd: m.initrd, FirstBoot: m.facts.FirstBoot, Virtualization: m.facts.Virtualization, Container: m.facts.Container,
			Architecture: kernel.Architecture(), Credentials: m.facts.Credentials, Encrypted: os.Getenv("ENCRYPTED_CREDENTIALS_DIRECTORY"),
			Confidential: facts.ConfidentialVM(""),
		},
	}
}

// all runs the environment generators and then, with what they gave, those of units.
func (g *generatorRun) all() generatorResult {
	var r generatorResult
	deadline := time.Now().Add(g.timeout)
	g.runEnvironment(&r, deadline)
	g.env = g.context.Environment(value.MergeEnvironment(g.env, r.environment))
	if len(g.units) == 0 {
		if err := g.output.Remove(); err != nil {
			r.problem("generators: %v", err)
		}
		return r
	}
	if err := g.prepare(&r); err != nil {
		r.problem("generators: %v", err)
		return r
	}
	g.runUnits(&r, deadline)
	g.finish(&r)
	return r
}

// prepare makes the directories. In the sandbox the output goes to the staging directories, which are mounted over the real ones there, so that the
// units of the last run are there until those of this one are complete. Without it the old directories are moved away.
func (g *generatorRun) prepare(r *generatorResult) error {
	if err := g.staging.Remove(); err != nil {
		return err
	}
	if g.sandbox {
		if err := g.staging.Make(); err != nil {
			return err
		}
		if err := g.output.Make(); err != nil {
			return err
		}
		g.writable = writableMounts()
		err := g.trySandbox()
		if err == nil {
			return nil
		}
		g.sandbox = false
		r.notes = append(r.notes, fmt.Sprintf("generators: they run without a sandbox: %v", err))
		if err := g.staging.Remove(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(path.Dir(g.staging.Normal), 0o755); err != nil {
		return err
	}
	for i, dir := range g.output.Dirs() {
		if err := os.Rename(dir, g.staging.Dirs()[i]); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return g.output.Make()
}

// finish puts the new output in place; what is as it was stays untouched, so that a reload need not read it again.
func (g *generatorRun) finish(r *generatorResult) {
	if g.sandbox {
		r.problems = append(r.problems, g.staging.Apply(g.output)...)
	} else {
		r.problems = append(r.problems, g.output.Apply(g.staging)...)
		err := g.output.Remove()
		for i, dir := range g.staging.Dirs() {
			if err == nil {
				err = os.Rename(dir, g.output.Dirs()[i])
			}
		}
		if err != nil {
			r.problem("generators: %v", err)
		}
	}
	if err := os.RemoveAll(path.Dir(g.staging.Normal)); err != nil {
		r.problem("generators: %v", err)
	}
	g.output.Trim()
}

func (g *generatorRun) runUnits(r *generatorResult, deadline time.Time) {
	list := make([]*generatorChild, 0, len(g.units))
	for _, program := range g.units {
		c, err := g.start(program, append([]string{program}, g.output.Dirs()...), g.env, g.sandbox)
		if err != nil {
			r.problem("%s: %v", path.Base(program), err)
			continue
		}
		list = append(list, c)
	}
	g.await(list, deadline)
	for _, c := range list {
		c.report(r)
	}
}

// runEnvironment runs environment generators one after another: each sees what those before it gave (systemd.environment-generator(7)).
func (g *generatorRun) runEnvironment(r *generatorResult, deadline time.Time) {
	for _, program := range g.environment {
		env := g.context.Environment(value.MergeEnvironment(g.env, r.environment))
		c, err := g.start(program, []string{program}, env, false)
		if err != nil {
			r.problem("%s: %v", path.Base(program), err)
			continue
		}
		g.await([]*generatorChild{c}, deadline)
		c.report(r)
		if c.status != "" {
			continue
		}
		pairs, messages := environmentd.Parse(path.Base(program), string(c.output.text))
		for _, p := range pairs {
			r.environment = value.MergeEnvironment(r.environment, []string{p.Name + "=" + p.Value})
		}
		r.problems = append(r.problems, messages...)
	}
}

// report turns what a generator said into messages, a line each.
func (c *generatorChild) report(r *generatorResult) {
	name := path.Base(c.program)
	said := strings.TrimRight(string(c.errors.text), "\n")
	if c.status == "" {
		lines := 0
		for line := range strings.SplitSeq(said, "\n") {
			if lines++; lines > generatorLinesMax {
				r.notes = append(r.notes, name+": it said more, which is left out")
				break
			}
			if line != "" {
				r.notes = append(r.notes, name+": "+line)
			}
		}
		return
	}
	r.problem("%s: %s%s", name, c.status, quoted(said))
}

// trySandbox makes the sandbox in a child that does nothing in it.
func (g *generatorRun) trySandbox() error {
	var l kernel.OpList
	g.enterSandbox(&l)
	l.Exit(0)
	child, err := g.helpers.spawn(&l, kernel.SpawnOptions{Flags: unix.CLONE_NEWNS})
	if err != nil {
		return err
	}
	status, err := g.helpers.wait(child, time.Now().Add(10*time.Second))
	g.helpers.forget(child.Pid)
	result := child.Release()
	_ = unix.Close(child.PidFD)
	switch {
	case result.Err() != nil:
		return result.Err()
	case err != nil:
		return err
	case status != "":
		return fmt.Errorf("a trial %s", status)
	}
	return nil
}
