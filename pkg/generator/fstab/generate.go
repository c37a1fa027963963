// Package fstab makes mount, automount and swap units of fstab(5) and of the kernel command line, as systemd-fstab-generator(8) describes.
//
// Invariants:
//  1. A line that is wrong costs that line, an option that is wrong costs that option; each is reported with file and line.
//  2. The first entry for a mount point counts, a second one is reported.
//  3. In the initrd what belongs to the real root is mounted below /sysroot, and /usr at /sysusr/usr first, so that it can be looked at before the
//     root file system is there.
package fstab

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Source is a text and where it comes from.
type Source struct{ Path, Text string }

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
	Fstab       Source   // /etc/fstab
	RootFstab   Source   // /sysroot/etc/fstab, in the initrd
	Credential  Source   // fstab.extra
	Container   bool     // swap is then the host's affair
	NoSwap      bool     // the kernel has none
	ReadOnlySys bool     // no device will ever be announced
	Measured    bool     // file systems are to be measured into the TPM
	Programs    Programs // helpers

	// Resolve follows the links of an absolute path below root ("" or "/sysroot") as far as they go; nil resolves nothing.
	Resolve func(root, path string) string
	// HasFsck reports whether there is a fsck program for a file system type; nil means yes.
	HasFsck func(fstype string) bool
}

// Programs are helpers that units call.
type Programs struct {
	Fsck   string // checks the device that is its argument
	MakeFS string // makes a file system (type, device); "" where there is none
}

const name = "systemd-fstab-generator"

type generator struct {
	in   Input
	tree *output.Tree
	conf config
}

// config is what the command line says.
type config struct {
	fstab, swap, verity                     bool
	root, rootType, usr, usrType, roothash  string
	rootFlags, usrFlags                     []string
	rootHashSet, usrHashSet, usrAsked, isRW bool
	rwGiven                                 bool
	volatile                                string // "", yes, state or overlay
	mounts, swaps                           []extra
}

// extra is one of systemd.mount-extra= and systemd.swap-extra=.
type extra struct {
	text     string
	fromRoot bool // without "rd." in the initrd: it is for the real root
}

// Generate makes the units.
func Generate(in Input) *output.Tree {
	g := &generator{in: in, tree: &output.Tree{}}
	g.readCommandLine()
	if in.Initrd {
		g.sysroot()
		g.sysrootUsr()
		g.volatileRoot()
	} else {
		g.volatileVar()
	}
	if g.conf.fstab {
		if !in.Initrd {
			g.check(g.tree.PullShipped(output.Normal, "local-fs.target", "wants", "systemd-remount-fs.service"), "systemd-remount-fs.service")
		}
		g.lines(in.Fstab, false)
		if in.Initrd {
			g.lines(in.RootFstab, true)
		}
	}
	g.lines(in.Credential, false)
	g.extras()
	return g.tree
}

func (g *generator) lines(src Source, fromRoot bool) {
	for _, e := range parse(src, g.tree.Warn) {
		e.fromRoot = fromRoot
		g.entry(&e)
	}
}

// entry handles one line: what it mounts, and whether it is for now.
func (g *generator) entry(e *entry) {
	if e.fromRoot && !e.options.has("x-initrd.mount") && e.point != "/usr" {
		return
	}
	e.what = device.Node(e.what)
	if g.in.ReadOnlySys && device.Is(e.what) {
		g.tree.Warn("%s: /sys/ is read-only, as in a container: no device will appear, ignored", e.where)
		return
	}
	if e.fstype == "swap" {
		g.swap(e)
		return
	}
	if !strings.HasPrefix(e.point, "/") || !value.TextIsValid(e.point) || len(e.point) > 4095 {
		g.tree.Warn("%s: mount point %q is no absolute path, ignored", e.where, e.point)
		return
	}
	root := ""
	if e.fromRoot {
		root = "/sysroot"
		if e.bind() {
			e.what = join(root, e.what)
		}
	}
	e.point = clean(e.point)
	if resolve := g.in.Resolve; resolve != nil {
		e.point = clean(resolve(root, e.point))
	}
	e.point = join(root, e.point)
	if root == "" && isAPI(e.point) {
		return
	}
	if g.in.Initrd && e.point == "/sysroot/usr" {
		g.usr(e)
		return
	}
	g.mount(e, target(g.in.Initrd, e))
}

// target is what waits for a mount.
func target(initrd bool, e *entry) string {
	switch {
	case initrd && e.point == "/sysroot":
		return "initrd-root-fs.target"
	case initrd && e.point == "/sysusr/usr":
		return "initrd-usr-fs.target"
	case e.fromRoot:
		return "initrd-fs.target"
	case e.network():
		return "remote-fs.target"
	}
	return "local-fs.target"
}

// apiBelow are mount points below which the kernel's or the manager's own mounts are; what fstab says about them has no effect.
var apiBelow = []string{"/sys/fs/cgroup", "/sys/fs/selinux", "/run/host"}

// isAPI reports mount points that the manager takes care of.
func isAPI(point string) bool {
	switch point {
	case "/proc", "/sys", "/dev", "/dev/shm", "/dev/pts", "/run", "/sys/fs/cgroup", "/sys/kernel/security", "/sys/fs/selinux", "/sys/fs/smackfs",
		"/sys/fs/bpf", "/sys/fs/pstore", "/sys/firmware/efi/efivars", "/dev/console", "/proc/kmsg", "/proc/sys", "/proc/sys/kernel/random/boot_id", "/run/host":
		return true
	}
	for _, dir := range apiBelow {
		if strings.HasPrefix(point, dir+"/") {
			return true
		}
	}
	return false
}

// clean removes doubled slashes and dots; ".." goes up, as the kernel would without links.
func clean(path string) string {
	var parts []string
	for _, p := range strings.Split(path, "/") {
		switch p {
		case "", ".":
		case "..":
			parts = parts[:max(0, len(parts)-1)]
		default:
			parts = append(parts, p)
		}
	}
	return "/" + strings.Join(parts, "/")
}

func join(root, path string) string {
	if root == "" {
		return path
	}
	return strings.TrimSuffix(root+path, "/")
}

func (g *generator) check(err error, where string) bool {
	if err != nil {
		g.tree.Fail("%s: %v", where, err)
	}
	return err == nil
}

func (g *generator) extras() {
	for _, x := range g.conf.mounts {
		fields := strings.Split(x.text, ":")
		if len(fields) < 2 || len(fields) > 4 {
			g.tree.Warn("kernel command line: systemd.mount-extra=%s: two to four fields are wanted, ignored", x.text)
			continue
		}
		fields = append(fields, "", "")
		g.entry(&entry{where: "kernel command line: systemd.mount-extra=" + x.text, source: "/proc/cmdline", what: fields[0], point: fields[1],
			fstype: fields[2], options: splitOptions(fields[3]), check: true, fromRoot: x.fromRoot})
	}
	for _, x := range g.conf.swaps {
		what, opts, _ := strings.Cut(x.text, ":")
		if what == "" || strings.Contains(opts, ":") {
			g.tree.Warn("kernel command line: systemd.swap-extra=%s: one or two fields are wanted, ignored", x.text)
			continue
		}
		g.entry(&entry{where: "kernel command line: systemd.swap-extra=" + x.text, source: "/proc/cmdline", what: what, point: "none", fstype: "swap",
			options: splitOptions(opts), fromRoot: x.fromRoot})
	}
}

// readCommandLine fills conf.
func (g *generator) readCommandLine() {
	c := &g.conf
	c.fstab, c.swap, c.verity = true, true, true
	rd := g.in.Initrd
	flag := func(p cmdline.Parameter, to *bool) {
		v, err := p.Flag()
		if err != nil {
			g.tree.Warn("kernel command line: %s=%s is no boolean, ignored", p.Key, p.Value)
			return
		}
		*to = v
	}
	for _, p := range cmdline.Parse(g.in.CommandLine, cmdline.Both, rd) {
		text, filled := p.Text()
		switch {
		case p.Is("fstab"), p.Is("rd.fstab") && rd:
			flag(p, &c.fstab)
		case p.Is("systemd.swap"), p.Is("rd.systemd.swap") && rd:
			flag(p, &c.swap)
		case p.Is("systemd.verity"), p.Is("rd.systemd.verity") && rd:
			flag(p, &c.verity)
		case p.Is("root") && filled:
			c.root = text
		case p.Is("rootfstype") && filled:
			c.rootType = text
		case p.Is("rootflags") && filled:
			c.rootFlags = append(c.rootFlags, text)
		case p.Is("roothash") && filled:
			c.rootHashSet = true
		case p.Is("mount.usr") && filled:
			c.usr = text
		case p.Is("mount.usrfstype") && filled:
			c.usrType = text
		case p.Is("mount.usrflags") && filled:
			c.usrFlags = append(c.usrFlags, text)
		case p.Is("usrhash") && filled:
			c.usrHashSet = true
		case p.Key == "rw" && !p.Has, p.Key == "ro" && !p.Has:
			c.isRW, c.rwGiven = p.Key == "rw", true
		case p.Is("systemd.volatile"):
			g.readVolatile(p)
		case p.Is("systemd.mount-extra") && filled, p.Is("rd.systemd.mount-extra") && filled && rd:
			c.mounts = append(c.mounts, extra{text, rd && !strings.HasPrefix(p.Key, "rd.")})
		case p.Is("systemd.swap-extra") && filled, p.Is("rd.systemd.swap-extra") && filled && rd:
			c.swaps = append(c.swaps, extra{text, rd && !strings.HasPrefix(p.Key, "rd.")})
		}
	}
}

func (g *generator) readVolatile(p cmdline.Parameter) {
	switch v, err := p.Flag(); {
	case err == nil && v:
		g.conf.volatile = "yes"
	case err == nil:
		g.conf.volatile = ""
	case p.Value == "state" || p.Value == "overlay":
		g.conf.volatile = p.Value
	default:
		g.tree.Warn("kernel command line: systemd.volatile=%s is not known, ignored", p.Value)
	}
}

// unitName is a unit for a path.
func unitName(path, suffix string) (string, error) { return unit.NameFromPath(path, suffix) }
