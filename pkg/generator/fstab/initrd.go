package fstab

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
)

const commandLine = "kernel command line"

// sysroot mounts what root= names at /sysroot.
func (g *generator) sysroot() {
	c := &g.conf
	what := c.root
	if what == "" || what == "gpt-auto" {
		if !c.rootHashSet || !c.verity {
			return // the fstab of the initrd or systemd-gpt-auto-generator may know
		}
		what = "/dev/mapper/root"
	}
	e := &entry{where: commandLine + ": root=", source: "/proc/cmdline", point: "/sysroot", fstype: c.rootType, options: g.joined(c.rootFlags, nil)}
	switch {
	case what == "fstab":
		return
	case what == "tmpfs":
		e.what, e.fstype = "rootfs", "tmpfs"
		// Without its own mode a tmpfs has that of /tmp.
		e.options = append(splitOptions(strings.Join(c.rootFlags, ",")), "rw", "mode=0755")
		g.mount(e, "initrd-root-fs.target")
		return
	}
	what = device.Node(what)
	if what == "/dev/nfs" || strings.HasPrefix(what, "/") && !device.Is(what) || strings.HasPrefix(what, "nfs:") || strings.HasPrefix(what, "nfs4:") {
		return // network roots and images are mounted by others
	}
	e.what, e.check = what, device.Is(what)
	g.mount(e, "initrd-root-fs.target")
}

// rootDevice lets initrd-root-device.target wait for the device.
func (g *generator) rootDevice(e *entry) {
	if !device.Is(e.what) {
		return
	}
	file, err := unitName(e.what, ".device")
	if !g.check(err, e.where) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "Requires", file)
	u.Set("Unit", "After", file)
	g.check(g.tree.DropIn(output.Normal, "initrd-root-device.target", "50-root-device.conf", u), e.where)
}

// joined are the options of root or /usr and the access that the kernel was told for the root.
func (g *generator) joined(flags, otherwise []string) options {
	if len(flags) == 0 {
		flags = otherwise
	}
	list := splitOptions(strings.Join(flags, ","))
	if len(list) == 1 && list[0] == "defaults" {
		list = nil
	}
	access := "ro"
	if g.conf.isRW {
		access = "rw"
	}
	for _, o := range list {
		if o == "ro" || o == "rw" {
			if g.conf.rwGiven {
				return append(list, access)
			}
			return list
		}
	}
	return append(list, access)
}

// sysrootUsr mounts what mount.usr= names; where /usr is part of the root file system, that is what is waited for.
func (g *generator) sysrootUsr() {
	c := &g.conf
	usr, usrType := c.usr, c.usrType
	switch {
	case usr == "" && c.usrHashSet && c.verity:
		usr = "/dev/mapper/usr"
	case usr == "" && (c.usrType != "" || len(c.usrFlags) > 0):
		usr = c.root
	}
	if usr == "" || usr == "gpt-auto" {
		g.check(g.tree.Pull(output.Normal, "initrd-usr-fs.target", "requires", "sysroot.mount"), commandLine)
		return
	}
	if usrType == "" {
		usrType = c.rootType
	}
	e := &entry{where: commandLine + ": mount.usr=", source: "/proc/cmdline", what: device.Node(usr), point: "/sysroot/usr", fstype: usrType,
		options: g.joined(c.usrFlags, c.rootFlags), check: true}
	g.usr(e)
}

// usr mounts the /usr of the real root twice: at /sysusr/usr by itself, where tools of the initrd find it, and bound from there into the root.
func (g *generator) usr(e *entry) {
	first := *e
	first.point = "/sysusr/usr"
	g.mount(&first, "initrd-usr-fs.target")
	second := *e
	second.what, second.fstype, second.options, second.check = "/sysusr/usr", "", options{"bind"}, false
	g.mount(&second, "initrd-fs.target")
}

// initrdFsck writes the service that checks the root or /usr before it is mounted.
func (g *generator) initrdFsck(e *entry, file string) bool {
	return g.check(device.Check(g.tree, output.Normal, name, file, e.what, g.in.Programs.Fsck, e.point == "/sysroot"), e.where)
}

// volatileRoot makes the root one that forgets.
func (g *generator) volatileRoot() {
	if v := g.conf.volatile; v == "yes" || v == "overlay" {
		g.check(g.tree.PullShipped(output.Normal, "initrd-root-fs.target", "requires", "systemd-volatile-root.service"), commandLine)
	}
}

// volatileVar puts an empty /var over the old one; a unit for /var of the administrator wins.
func (g *generator) volatileVar() {
	if g.conf.volatile != "state" {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "SourcePath", "/proc/cmdline")
	u.Set("Unit", "Before", "local-fs.target")
	u.Set("Mount", "What", "tmpfs")
	u.Set("Mount", "Where", "/var")
	u.Set("Mount", "Type", "tmpfs")
	u.Set("Mount", "Options", "mode=0755,size=25%,nr_inodes=1m")
	if g.check(g.tree.Write(output.Late, "var.mount", u), commandLine) {
		g.check(g.tree.Pull(output.Late, "local-fs.target", "requires", "var.mount"), commandLine)
	}
}
