package fstab

import (
	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

func parseSpan(text string) (value.USec, error) { return value.ParseSec(text, 1000000) }

// swap writes the units of a swap entry.
func (g *generator) swap(e *entry) {
	switch {
	case !g.conf.swap:
		g.tree.Warn("%s: swap is switched off on the kernel command line, ignored", e.where)
		return
	case g.in.Container:
		g.tree.Warn("%s: swap is the host's affair in a container, ignored", e.where)
		return
	case g.in.NoSwap:
		g.tree.Warn("%s: this kernel has no swap, ignored", e.where)
		return
	}
	e.what = clean(e.what)
	file, err := unitName(e.what, ".swap")
	if !g.check(err, e.where) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "SourcePath", e.source)
	if !g.check(g.deviceOrder(e, u), e.where) {
		return
	}
	u.Set("Swap", "What", e.what)
	if opts := e.options.text(); opts != "" {
		u.Set("Swap", "Options", opts)
	}
	if !g.check(g.tree.Write(output.Normal, file, u), e.where) {
		return
	}
	g.deviceTimeout(e)
	if e.options.has("x-systemd.makefs") && !g.makeFS(e, file) {
		return
	}
	for _, option := range []string{"x-systemd.growfs", "x-systemd.pcrfs"} {
		if e.options.has(option) {
			g.tree.Warn("%s: %s has no effect on swap", e.where, option)
		}
	}
	g.pull(e, file, "swap.target", nil, nil, e.options.yes("noauto", "auto"), e.options.yes("nofail", "fail"))
}

// makeFS writes the service that makes a file system or a swap area where there is none yet, before it is used. The unit that wants it must not be
// started without.
func (g *generator) makeFS(e *entry, file string) bool {
	swap := e.fstype == "swap"
	switch {
	case !device.Is(e.what):
		g.tree.Fail("%s: x-systemd.makefs: %s is no device", e.where, e.what)
		return false
	case e.fstype == "" || e.fstype == "auto":
		g.tree.Fail("%s: x-systemd.makefs: the type of the file system is not given", e.where)
		return false
	case g.in.Programs.MakeFS == "":
		g.tree.Fail("%s: x-systemd.makefs: systemd-makefs is not installed", e.where)
		return false
	}
	instance, err := unit.PathEscape(e.what)
	if !g.check(err, e.where) {
		return false
	}
	service, check := "systemd-makefs@"+instance+".service", "systemd-fsck@%i.service"
	if swap {
		service, check = "systemd-mkswap@"+instance+".service", ""
	} else if e.point == "/sysroot" {
		check = "systemd-fsck-root.service"
	}
	u := output.NewUnit(name)
	u.Set("Unit", "Description", "Make "+e.fstype+" on "+e.what)
	u.Set("Unit", "DefaultDependencies", "no")
	u.Raw("Unit", "BindsTo", "%i.device")
	u.Raw("Unit", "After", "%i.device")
	if check != "" {
		u.Raw("Unit", "Before", check)
	}
	u.Set("Unit", "Before", file)
	u.Set("Unit", "Before", "shutdown.target")
	u.Set("Unit", "Conflicts", "shutdown.target")
	u.Set("Service", "Type", "oneshot")
	u.Set("Service", "RemainAfterExit", "yes")
	u.Set("Service", "ExecStart", g.in.Programs.MakeFS+" "+value.QuoteWord(e.fstype)+" "+device.Argument(e.what))
	u.Set("Service", "TimeoutSec", "infinity")
	return g.check(g.tree.Write(output.Normal, service, u), e.where) &&
		g.check(g.tree.Pull(output.Normal, file, "requires", service), e.where)
}
