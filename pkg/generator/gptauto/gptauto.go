// Package gptauto mounts the partitions of the disk with the root file system by their types, as systemd-gpt-auto-generator(8) and the Discoverable
// Partitions Specification describe, and in the initrd the root partition that udev found.
//
// Invariants:
//  1. What fstab names, and a directory that has files in it, is left alone.
//  2. Everything goes to the directory of the lowest precedence: any other unit for the same place wins.
//  3. Of several partitions of one type the first counts, of swap all.
package gptauto

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"

	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
	EFI         bool        // booted by EFI firmware
	LoaderUUID  string      // LoaderDevicePartUUID: the partition that the boot loader came from, "" if it didn't say
	Disk        []Partition // of the disk with the root file system, empty if that isn't known
	RootType    string      // partition type of root file systems on this architecture
	Fstab       string
	MachineID   string // 32 hexadecimal digits
	Container   bool
	Cryptsetup  string // systemd-cryptsetup, "" where it isn't installed
	Fsck        string // beginning of the command line that checks a device
	// Taken reports a directory that something is mounted at or that has files in it; Exists one that is there.
	Taken, Exists func(path string) bool
	HasFsck       func(fstype string) bool
}

const (
	name = "systemd-gpt-auto-generator"

	typeHome     = "933ac7e1-2eb4-4f13-b844-0e14e2aef915"
	typeSrv      = "3b8f8425-20e0-4f3b-907f-1a25a76f98e8"
	typeVar      = "4d21b016-b534-45c2-a9fb-5c16e091fd2d"
	typeTmp      = "7ec6f557-3bc5-4aca-b293-16ef5df639d1"
	typeSwap     = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
	typeESP      = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	typeXbootldr = "bc13c2ff-59e6-4262-a352-b275fd6f7172"

	flagNoBlockIO = 1 << 1
	flagGrow      = 1 << 59
	flagReadOnly  = 1 << 60
	flagNoAuto    = 1 << 63
)

type generator struct {
	in       Input
	tree     *output.Tree
	mounts   []string // of fstab
	hasSwap  bool     // fstab has one
	on, swap bool
	root     string // root=
	rw       bool
	flags    []string // rootflags=
	fstype   string   // rootfstype=
}

// Generate makes the units.
func Generate(in Input) *output.Tree {
	g := &generator{in: in, tree: &output.Tree{}, on: true, swap: true}
	g.readCommandLine()
	if !g.on || in.Container {
		return g.tree
	}
	if in.Initrd {
		if (g.root == "" || g.root == "gpt-auto") && in.EFI && in.LoaderUUID != "" {
			g.initrdRoot()
		}
		return g.tree
	}
	for line := range strings.Lines(in.Fstab) {
		if f := strings.Fields(line); len(f) > 2 && f[0][0] != '#' {
			g.mounts = append(g.mounts, value.PathSimplify(f[1]))
			g.hasSwap = g.hasSwap || f[2] == "swap"
		}
	}
	g.disk()
	return g.tree
}

func (g *generator) readCommandLine() {
	flag := func(p cmdline.Parameter, to *bool) {
		if v, err := p.Flag(); err == nil {
			*to = v
		} else {
			g.tree.Warn("kernel command line: %s=%s is no boolean, ignored", p.Key, p.Value)
		}
	}
	for _, p := range cmdline.Parse(g.in.CommandLine, cmdline.Both, g.in.Initrd) {
		text, filled := p.Text()
		switch {
		case p.Is("systemd.gpt_auto"), p.Is("rd.systemd.gpt_auto") && g.in.Initrd:
			flag(p, &g.on)
		case p.Is("systemd.swap"):
			flag(p, &g.swap)
		case p.Is("root") && filled:
			g.root = text
		case p.Is("roothash") && filled:
			g.root = "/dev/mapper/root" // systemd-veritysetup-generator's
		case p.Is("rootfstype") && filled:
			g.fstype = text
		case p.Is("rootflags") && filled:
			g.flags = append(g.flags, text)
		case p.Key == "rw" && !p.Has, p.Key == "ro" && !p.Has:
			g.rw = p.Key == "rw"
		}
	}
}

// disk goes through the partitions of the root's disk.
func (g *generator) disk() {
	first := map[string]*Partition{}
	for i := range g.in.Disk {
		p := &g.in.Disk[i]
		off := p.Flags&flagNoAuto != 0
		if p.Type == typeESP {
			off = p.Flags&flagNoBlockIO != 0
		}
		switch {
		case off:
		case p.Type == typeSwap:
			g.addSwap(p)
		case p.Type == typeVar && p.UUID != varUUID(g.in.MachineID):
			// Another installation's /var on the same disk must not be taken for ours.
			g.tree.Warn("%s is a /var of another installation, ignored", p.Node)
		case first[p.Type] == nil:
			first[p.Type] = p
		}
	}
	g.boot(first[typeXbootldr], first[typeESP])
	for _, m := range []struct{ kind, id, where, options string }{
		{typeHome, "home", "/home", "nodev,suid,exec"}, {typeSrv, "srv", "/srv", "nodev,suid,exec"}, {typeVar, "var", "/var", "nodev,suid,exec"},
		{typeTmp, "var-tmp", "/var/tmp", "nodev,nosuid,exec"},
	} {
		if p := first[m.kind]; p != nil && !g.taken(m.where) {
			g.data(p, m.id, m.where, m.options)
		}
	}
	if root := first[g.in.RootType]; root != nil && g.in.RootType != "" {
		g.rootFlags(root)
	}
}

func (g *generator) taken(where string) bool {
	for _, m := range g.mounts {
		if m == where {
			return true
		}
	}
	return g.in.Taken(where)
}

func (g *generator) check(err error, what string) bool {
	if err != nil {
		g.tree.Fail("%s: %v", what, err)
	}
	return err == nil
}

// data mounts a partition for data, unlocked first if it is encrypted.
func (g *generator) data(p *Partition, id, where, options string) {
	what, fstype := p.Node, p.FSType
	if fstype == "crypto_LUKS" {
		if what = g.unlock(id, p.Node, true); what == "" {
			return
		}
		fstype = ""
	}
	access := "rw"
	if p.Flags&flagReadOnly != 0 {
		access = "ro"
	}
	if g.mount(what, where, fstype, fsOptions(fstype, access)+access+","+options, "local-fs.target", false) && p.Flags&flagGrow != 0 && access == "rw" {
		g.grow(where, "local-fs.target")
	}
}

// fsOptions are those that a file system gets for its own sake.
func fsOptions(fstype, access string) string {
	options := ""
	if access == "ro" {
		switch fstype {
		case "ext3", "ext4", "xfs":
			options = "norecovery,"
		case "btrfs":
			options = "rescue=nologreplay,"
		}
	}
	switch fstype {
	case "btrfs", "f2fs", "ext4", "xfs":
		options += "discard,"
	}
	return options
}

// mount writes a mount unit; automounted ones are pulled in by their automount.
func (g *generator) mount(what, where, fstype, options, target string, automount bool) bool {
	file, err := unit.NameFromPath(where, ".mount")
	if !g.check(err, where) {
		return false
	}
	instance, err := unit.PathEscape(what)
	if !g.check(err, where) {
		return false
	}
	u := output.NewUnit(name)
	u.Set("Unit", "Description", "Partition found for "+where)
	if !automount {
		u.Set("Unit", "Before", target)
	}
	if device.Is(what) && g.in.HasFsck(fstype) {
		service := "systemd-fsck@" + instance + ".service"
		if where == "/sysroot" {
			service = "systemd-fsck-root.service"
			if !g.check(device.Check(g.tree, output.Late, name, service, what, g.in.Fsck, true), where) {
				return false
			}
		}
		u.Set("Unit", "Requires", service)
		u.Set("Unit", "After", service)
	}
	u.Set("Unit", "After", "blockdev@"+instance+".target")
	u.Set("Mount", "What", what)
	u.Set("Mount", "Where", where)
	if fstype != "" {
		u.Set("Mount", "Type", fstype)
	}
	u.Set("Mount", "Options", options)
	if !g.check(g.tree.Write(output.Late, file, u), where) {
		return false
	}
	return automount || g.check(g.tree.Pull(output.Late, target, "requires", file), where)
}

// boot mounts the partitions of the boot loader when they are looked at: most of the time nobody does, and an unmounted vfat can't be torn.
func (g *generator) boot(xbootldr, esp *Partition) {
	bootTaken := !g.in.Exists("/boot") || g.taken("/boot")
	if xbootldr != nil && !bootTaken {
		g.automount(xbootldr, "/boot")
		bootTaken = true
	}
	if esp == nil || g.in.EFI && !strings.EqualFold(esp.UUID, g.in.LoaderUUID) {
		return // on EFI only the ESP that the machine was booted from is ours
	}
	where := "/efi"
	if !bootTaken && xbootldr == nil {
		where = "/boot"
	}
	if !g.taken(where) {
		g.automount(esp, where)
	}
}

func (g *generator) automount(p *Partition, where string) {
	options := "rw,nodev,nosuid,noexec,nosymfollow"
	if p.FSType == "vfat" {
		options = "umask=0077," + options
	}
	if !g.mount(p.Node, where, p.FSType, options, "local-fs.target", true) {
		return
	}
	file, err := unit.NameFromPath(where, ".automount")
	if !g.check(err, where) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "Description", "Partition found for "+where)
	u.Set("Automount", "Where", where)
	u.Set("Automount", "TimeoutIdleSec", "120")
	if g.check(g.tree.Write(output.Late, file, u), where) {
		g.check(g.tree.Pull(output.Late, "local-fs.target", "wants", file), where)
	}
}

func (g *generator) addSwap(p *Partition) {
	if !g.swap || g.hasSwap {
		return
	}
	what := p.Node
	if p.FSType == "crypto_LUKS" {
		if what = g.unlock("swap", p.Node, true); what == "" {
			return
		}
	}
	file, err := unit.NameFromPath(what, ".swap")
	if !g.check(err, what) {
		return
	}
	instance, err := unit.PathEscape(what)
	if !g.check(err, what) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "Description", "Swap partition")
	u.Set("Unit", "After", "blockdev@"+instance+".target")
	u.Set("Swap", "What", what)
	if g.check(g.tree.Write(output.Late, file, u), what) {
		g.check(g.tree.Pull(output.Late, "swap.target", "wants", file), what)
	}
}

// unlock makes the service for an encrypted partition and returns the device that it makes.
func (g *generator) unlock(id, what string, require bool) string {
	if g.in.Cryptsetup == "" {
		g.tree.Warn("%s is encrypted, and systemd-cryptsetup is not installed, ignored", what)
		return ""
	}
	service := "systemd-cryptsetup@" + unit.Escape(id) + ".service"
	m := device.Mapped{Name: id, Prefix: "cryptsetup"}
	u := output.NewUnit(name)
	set := func(key, text string) { u.Set("Unit", key, text) }
	set("Description", "Encrypted partition for "+id)
	set("DefaultDependencies", "no")
	set("IgnoreOnIsolate", "true")
	set("After", "cryptsetup-pre.target systemd-udevd-kernel.socket systemd-tpm2-setup-early.service")
	u.Raw("Unit", "Before", "blockdev@dev-mapper-%i.target")
	u.Raw("Unit", "Wants", "blockdev@dev-mapper-%i.target")
	set("Conflicts", "umount.target")
	set("Before", "umount.target cryptsetup.target")
	dev, err := device.Unit(what)
	mapped, err2 := device.Unit("/dev/mapper/" + m.Name)
	if !g.check(err, what) || !g.check(err2, what) || !g.check(device.Bind(u, what), what) {
		return ""
	}
	for _, s := range [][2]string{{"Type", "oneshot"}, {"RemainAfterExit", "yes"}, {"TimeoutSec", "infinity"}, {"KeyringMode", "shared"},
		{"OOMScoreAdjust", "500"}, {"ImportCredential", "cryptsetup.*"},
		{"ExecStart", g.in.Cryptsetup + " attach " + device.Argument(id) + " " + device.Argument(what) + ` "" ""`},
		{"ExecStop", g.in.Cryptsetup + " detach " + device.Argument(id)}} {
		u.Set("Service", s[0], s[1])
	}
	if !g.check(g.tree.Write(output.Late, service, u), what) || !g.check(g.tree.Pull(output.Late, dev, "wants", service), what) {
		return ""
	}
	if require {
		g.check(g.tree.Pull(output.Late, "cryptsetup.target", "requires", service), what)
		g.check(g.tree.Pull(output.Late, mapped, "requires", service), what)
	}
	u = output.NewUnit(name)
	u.Set("Unit", "JobTimeoutSec", "infinity")
	g.check(g.tree.DropIn(output.Late, mapped, "50-job-timeout.conf", u), what)
	return "/dev/mapper/" + id
}

// grow enlarges a file system to its partition once it is mounted.
func (g *generator) grow(where, target string) { g.after("systemd-growfs", where, target) }

// after pulls in what is done with a file system once it is mounted, before target is reached.
func (g *generator) after(kind, where, target string) {
	instance, err := unit.PathEscape(where)
	file, err2 := unit.NameFromPath(where, ".mount")
	if !g.check(err, where) || !g.check(err2, where) {
		return
	}
	service := kind + "@" + instance + ".service"
	if where == "/" {
		service = kind + "-root.service"
	}
	u := output.NewUnit(name)
	u.Set("Unit", "After", service)
	if g.check(g.tree.DropIn(output.Late, target, "50-order-"+service+".conf", u), where) {
		g.check(g.tree.PullShipped(output.Late, file, "wants", service), where)
	}
}

// rootFlags does what the flags of the root partition ask for: the kernel mounted it read-only.
func (g *generator) rootFlags(p *Partition) {
	for _, m := range g.mounts {
		if m == "/" {
			return
		}
	}
	if p.Flags&flagReadOnly == 0 {
		u := output.NewUnit(name)
		u.Set("Service", "Environment", "SYSTEMD_REMOUNT_ROOT_RW=1")
		if g.check(g.tree.DropIn(output.Late, "systemd-remount-fs.service", "50-remount-rw.conf", u), "/") {
			g.check(g.tree.PullShipped(output.Late, "local-fs.target", "wants", "systemd-remount-fs.service"), "/")
		}
	}
	if p.Flags&flagGrow != 0 {
		g.grow("/", "local-fs.target")
	}
}

// initrdRoot mounts the root partition. udev's rules make the links to it, as only udev sees the disk appear.
func (g *generator) initrdRoot() {
	const what, luks = "/dev/gpt-auto-root", "/dev/gpt-auto-root-luks"
	if g.in.Cryptsetup != "" {
		g.unlock("root", luks, false)
	}
	access := "ro"
	if g.rw {
		access = "rw"
	}
	options := fsOptions(g.fstype, access) + access + ",nodev,suid,exec"
	if len(g.flags) > 0 {
		options += "," + strings.Join(g.flags, ",")
	}
	if !g.mount(what, "/sysroot", g.fstype, options, "initrd-root-fs.target", false) {
		return
	}
	g.after("systemd-pcrfs", "/sysroot", "initrd-root-fs.target")
	dev, err := device.Unit(what)
	if !g.check(err, what) {
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "Requires", dev)
	u.Set("Unit", "After", dev)
	g.check(g.tree.DropIn(output.Late, "initrd-root-device.target", "50-root-device.conf", u), what)
}

// varUUID is what the UUID of the /var of this installation must be: a hash of its type with the machine ID as the key.
func varUUID(machineID string) string {
	key, err := value.ParseHex(machineID)
	if err != nil || len(key) != 16 {
		return ""
	}
	kind, err := value.ParseHex(strings.ReplaceAll(typeVar, "-", ""))
	if err != nil {
		return ""
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(kind)
	b := mac.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // of version 4
	h := value.FormatHex(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
