package fstab

import (
	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
)

// mount writes the units of one entry whose point is final. after is the target that waits for it.
func (g *generator) mount(e *entry, after string) {
	e.backgroundNFS()
	mandatory := e.point == "/" || e.point == "/usr" || g.in.Initrd && (e.point == "/sysroot" || e.point == "/sysusr/usr")
	noauto, nofail := e.options.yes("noauto", "auto"), e.options.yes("nofail", "fail")
	automount := e.options.has("comment=systemd.automount", "x-systemd.automount")
	if mandatory {
		if noauto || nofail || automount {
			g.tree.Warn("%s: %s is needed: noauto, nofail and x-systemd.automount have no effect", e.where, e.point)
		}
		noauto, nofail, automount = false, false, false
		e.options = e.options.without("nofail", "noauto", "x-systemd.automount")
	}
	wantedBy, requiredBy := e.options.all("x-systemd.wanted-by"), e.options.all("x-systemd.required-by")
	asked := len(wantedBy)+len(requiredBy) > 0

	file, err := unitName(e.point, ".mount")
	if !g.check(err, e.where) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "SourcePath", e.source)
	switch {
	case asked:
		u.Set("Unit", "DefaultDependencies", "no")
		u.Set("Unit", "Conflicts", "umount.target")
		u.Set("Unit", "Before", "umount.target")
	case !nofail:
		u.Set("Unit", "Before", after)
	}
	if !g.check(g.deviceOrder(e, u), e.where) {
		return
	}
	g.dependencies(e, u)
	if e.check {
		g.fsck(e, u)
	}
	u.Set("Mount", "What", e.what)
	u.Set("Mount", "Where", e.point)
	if e.fstype != "" && e.fstype != "auto" {
		u.Set("Mount", "Type", e.fstype)
	}
	g.timeout(e, "x-systemd.mount-timeout", "Mount", "TimeoutSec", u)
	if opts := e.options.without("x-systemd.device-timeout").text(); opts != "" {
		u.Set("Mount", "Options", opts)
	}
	if e.options.has("x-systemd.rw-only") {
		u.Set("Mount", "ReadWriteOnly", "yes")
	}
	if !g.check(g.tree.Write(output.Normal, file, u), e.where) {
		return
	}
	g.deviceTimeout(e)
	g.deviceNetwork(e)
	if g.in.Initrd && e.point == "/sysroot" {
		g.rootDevice(e)
	}
	if e.options.has("x-systemd.makefs") && !g.makeFS(e, file) {
		return // what mounted the wrong thing would be worse than what is missing
	}
	if e.source != "/proc/cmdline" || e.point != "/sysroot" {
		g.afterMount(e, file, after)
	}
	if automount {
		file = g.automount(e)
	}
	if file != "" {
		g.pull(e, file, after, wantedBy, requiredBy, noauto && !automount, nofail)
	}
}

// pull hooks a unit into what wants it.
func (g *generator) pull(e *entry, file, after string, wantedBy, requiredBy []string, noauto, nofail bool) {
	if len(wantedBy)+len(requiredBy) > 0 {
		if noauto || nofail {
			g.tree.Warn("%s: with x-systemd.wanted-by= or x-systemd.required-by=, noauto and nofail have no effect", e.where)
		}
		for kind, list := range map[string][]string{"wants": wantedBy, "requires": requiredBy} {
			for _, by := range list {
				if !unit.ValidName(by, unit.NameAny) {
					// DEVIATION: a name that is none is reported; real systemd makes a directory of it that nothing reads.
					g.tree.Fail("%s: %q in x-systemd.wanted-by= or x-systemd.required-by= is no valid unit name, ignored", e.where, by)
					continue
				}
				g.check(g.tree.Pull(output.Normal, by, kind, file), e.where)
			}
		}
		return
	}
	if noauto {
		return
	}
	kind := "requires"
	if nofail {
		kind = "wants"
	}
	g.check(g.tree.Pull(output.Normal, after, kind, file), e.where)
}

func (g *generator) automount(e *entry) string {
	file, err := unitName(e.point, ".automount")
	if !g.check(err, e.where) {
		return ""
	}
	u := output.NewUnit(name)
	u.Set("Unit", "SourcePath", e.source)
	u.Set("Automount", "Where", e.point)
	g.timeout(e, "x-systemd.idle-timeout", "Automount", "TimeoutIdleSec", u)
	if !g.check(g.tree.Write(output.Normal, file, u), e.where) {
		return ""
	}
	return file
}

// deviceOrder lets a mount begin after whoever works on the whole device (udev locks, partitioning).
func (g *generator) deviceOrder(e *entry, u *output.Unit) error {
	if !device.Is(e.what) {
		return nil
	}
	instance, err := unit.PathEscape(e.what)
	if err == nil {
		u.Set("Unit", "After", "blockdev@"+instance+".target")
	}
	return err
}

// fsck orders a check before the mount.
func (g *generator) fsck(e *entry, u *output.Unit) {
	if !device.Is(e.what) {
		g.tree.Warn("%s: a check is asked for, but %s is no device", e.where, e.what)
		return
	}
	if has := g.in.HasFsck; has != nil && e.fstype != "" && e.fstype != "auto" && !has(e.fstype) {
		return
	}
	switch {
	case g.in.Initrd && (e.point == "/sysroot" || e.point == "/sysusr/usr"):
		file := "systemd-fsck-root.service"
		if e.point == "/sysusr/usr" {
			file = "systemd-fsck-usr.service"
		}
		if g.initrdFsck(e, file) {
			u.Set("Unit", "Requires", file)
			u.Set("Unit", "After", file)
		}
	case e.point == "/":
		g.check(g.tree.PullShipped(output.Normal, "local-fs.target", "wants", "systemd-fsck-root.service"), e.where)
	default:
		instance, err := unit.PathEscape(e.what)
		if !g.check(err, e.where) {
			return
		}
		service := "systemd-fsck@" + instance + ".service"
		u.Set("Unit", "After", service)
		if e.point == "/usr" {
			// /usr is mounted already when it is checked: nothing may be stopped for a failed check.
			u.Set("Unit", "Wants", service)
		} else {
			u.Set("Unit", "Requires", service)
		}
	}
}

// deviceTimeout says how long the job of the device waits.
func (g *generator) deviceTimeout(e *entry) {
	text, ok := e.options.last("x-systemd.device-timeout")
	if !ok || text == "" {
		return
	}
	if _, err := parseSpan(text); err != nil {
		g.tree.Warn("%s: x-systemd.device-timeout=%s: %v, ignored", e.where, text, err)
		return
	}
	if !device.Is(e.what) {
		g.tree.Warn("%s: x-systemd.device-timeout= has no effect on %s, which is no device", e.where, e.what)
		return
	}
	file, err := unitName(e.what, ".device")
	if !g.check(err, e.where) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "JobRunningTimeoutSec", text)
	if err := g.tree.DropIn(output.Normal, file, "50-device-timeout.conf", u); err != nil {
		g.tree.Warn("%s: %s has another timeout already, ignored", e.where, e.what)
	}
}

// deviceNetwork lets a device that is reached over the network wait for it.
func (g *generator) deviceNetwork(e *entry) {
	if !device.Is(e.what) || !e.options.has("_netdev") || e.fstype == "swap" {
		return
	}
	file, err := unitName(e.what, ".device")
	if !g.check(err, e.where) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "After", "network-online.target network.target")
	u.Set("Unit", "Wants", "network-online.target")
	g.check(g.tree.DropIn(output.Normal, file, "50-netdev-dependencies.conf", u), e.where)
}

// afterMount adds what is done with a file system once it is mounted, before the target is reached.
func (g *generator) afterMount(e *entry, file, after string) {
	for _, a := range []struct {
		on     bool
		prefix string
	}{
		{e.options.has("x-systemd.growfs"), "systemd-growfs"},
		{e.options.has("x-systemd.pcrfs") && g.in.Measured, "systemd-pcrfs"},
	} {
		if !a.on {
			continue
		}
		instance, err := unit.PathEscape(e.point)
		if !g.check(err, e.where) {
			continue
		}
		service := a.prefix + "@" + instance + ".service"
		if e.point == "/" {
			service = a.prefix + "-root.service"
		}
		u := output.NewUnit(name)
		u.Set("Unit", "After", service)
		g.check(g.tree.DropIn(output.Normal, after, "50-order-"+service+".conf", u), e.where)
		g.check(g.tree.PullShipped(output.Normal, file, "wants", service), e.where)
	}
}
