package execplan

import (
	"fmt"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// PrivateMounts says whether the main process of u, a service, has a mount
// namespace of its own.
func PrivateMounts(u *unit.Unit) bool {
	if u.Type != unit.TypeService || u.Exec == nil {
		return false
	}
	commands := u.GetService().ExecStart
	if len(commands) == 0 {
		return false
	}
	ctx := Context{Phase: phaseStart, Command: commands[len(commands)-1], Prefixes: SystemPrefixes}
	b := &builder{u: u, e: u.GetExec(), s: u.GetSandbox(), ctx: &ctx, p: &plan.Plan{Unit: u.Name}, unfiltered: true}
	b.scope()
	for _, step := range []func() error{b.attributes, b.directories, b.sandbox} {
		if step() != nil {
			return false
		}
	}
	return b.p.Sandbox != nil && b.p.Sandbox.MountNamespace
}

// Sockets makes the plan that makes sockets for u and sends them through fd.
func Sockets(u *unit.Unit, ctx Context, kinds [][3]int32, fd int32) *plan.Plan {
	s := u.GetSandbox()
	p := chore(u.Name, ctx, "listen", "sockets")
	p.FDs = []int32{fd}
	p.Sockets = &plan.Sockets{Kinds: kinds, NetNS: s.NetworkNamespacePath, PrivateNet: s.PrivateNetwork && s.NetworkNamespacePath == ""}
	return p
}

// LiveMount makes the plan that mounts something into the view of the process
// behind pidfd, one of u. Of an m.Image only the options are given.
func LiveMount(u *unit.Unit, ctx Context, m plan.LiveMount, pidfd int32) *plan.Plan {
	if m.Image != nil {
		m.Image.Path, m.Image.ReadOnly, m.Image.Policy = m.Source, m.ReadOnly, u.GetSandbox().MountImagePolicy
		m.Image.VerityHelper = verityHelper(&ctx)
	}
	p := chore(u.Name, ctx, "mount", "live mount")
	p.FDs, p.Live = []int32{pidfd}, &m
	return p
}

// Refresh makes the plan that gives the process behind pidfd, the main one of u, what LoadCredential= and its like, or else ExtensionImages=
// and ExtensionDirectories=, say by now (systemd.service(5), RefreshOnReload=).
func Refresh(u *unit.Unit, ctx Context, credentials bool, pidfd int32) (*plan.Plan, error) {
	ctx.Phase, ctx.Command = phaseStart, value.Command{}
	b := &builder{u: u, e: u.GetExec(), s: u.GetSandbox(), ctx: &ctx, p: chore(u.Name, ctx, "reload", "refresh"), unfiltered: true}
	b.scope()
	for _, step := range []func() error{b.attributes, b.identity, b.directories, b.credentials, b.sandbox} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("%s: %w", u.Name, err)
		}
	}
	b.p.FDs, b.p.Refresh = []int32{pidfd}, &plan.Refresh{Credentials: credentials}
	return b.p, nil
}
