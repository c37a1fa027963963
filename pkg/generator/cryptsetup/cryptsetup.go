// Package cryptsetup makes services that unlock the devices of crypttab(5) and of the kernel command line (luks.*=), as
// systemd-cryptsetup-generator(8) describes. The work itself is done by systemd-cryptsetup.
package cryptsetup

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
	Path, Text  string // /etc/crypttab
	Program     string // systemd-cryptsetup, "" where it isn't installed
	MakeFS      string // systemd-makefs
	Umount      string
}

const (
	name        = "systemd-cryptsetup-generator"
	commandLine = "kernel command line"
)

type generator struct {
	in   Input
	tree *output.Tree

	on, tab      bool
	asked        []*luks         // devices of the command line, in its order
	key, options string          // for those of them that have none
	fromTab      map[string]bool // UUIDs that crypttab has too
}

// luks is a device that the command line names by its UUID.
type luks struct {
	uuid, name, key, options, data string
	created                        bool // asked for by luks.uuid= or luks.name=, not only described
	hasKey, hasOptions             bool
}

// volume is one device to unlock.
type volume struct {
	at, source, name, what, key string
	options                     device.Options
}

// Generate makes the services.
func Generate(in Input) *output.Tree {
	g := &generator{in: in, tree: &output.Tree{}, on: true, tab: true, fromTab: map[string]bool{}}
	for _, p := range cmdline.Parse(in.CommandLine, cmdline.Both, in.Initrd) {
		key := p.Key
		if rest, rd := strings.CutPrefix(key, "rd."); rd {
			if !in.Initrd {
				continue
			}
			key = rest
		}
		g.parameter(cmdline.Parameter{Key: key, Value: p.Value, Has: p.Has})
	}
	if !g.on {
		return g.tree
	}
	if g.tab {
		for _, l := range device.Lines(in.Path, in.Text, 2, 4, g.tree.Warn) {
			g.line(l)
		}
	}
	for _, d := range g.asked {
		if d.created && !g.fromTab[d.uuid] {
			g.fromCommandLine(d)
		}
	}
	return g.tree
}

func (g *generator) parameter(p cmdline.Parameter) {
	text, filled := p.Text()
	flag := func(to *bool) {
		if v, err := p.Flag(); err == nil {
			*to = v
		} else {
			g.tree.Warn("%s: %s=%s is no boolean, ignored", commandLine, p.Key, p.Value)
		}
	}
	switch {
	case p.Is("luks"):
		flag(&g.on)
	case p.Is("luks.crypttab"):
		flag(&g.tab)
	case !filled:
	case p.Is("luks.uuid"):
		g.device(strings.TrimPrefix(text, "luks-")).created = true
	case p.Is("luks.name"):
		uuid, n, ok := cutUUID(text)
		if !ok {
			g.tree.Warn("%s: luks.name=%s: a UUID, = and a name are wanted, ignored", commandLine, text)
			return
		}
		d := g.device(uuid)
		d.created, d.name = true, n
	case p.Is("luks.key"):
		if uuid, v, ok := cutUUID(text); ok {
			d := g.device(uuid)
			d.key, d.hasKey = v, true
		} else {
			g.key = text
		}
	case p.Is("luks.options"):
		if uuid, v, ok := cutUUID(text); ok {
			d := g.device(uuid)
			d.options, d.hasOptions = v, true
		} else {
			g.options = text
		}
	case p.Is("luks.data"):
		if uuid, v, ok := cutUUID(text); ok {
			g.device(uuid).data = device.Node(v)
		} else {
			g.tree.Warn("%s: luks.data=%s: a UUID, = and a device are wanted, ignored", commandLine, text)
		}
	}
}

// cutUUID splits `UUID=rest`.
func cutUUID(text string) (uuid, rest string, ok bool) {
	uuid, rest, ok = strings.Cut(text, "=")
	return uuid, rest, ok && len(uuid) == 36 && strings.Trim(strings.ToLower(uuid), "0123456789abcdef-") == "" && rest != ""
}

// devicesMax bounds what the command line may ask for.
const devicesMax = 256

func (g *generator) device(uuid string) *luks {
	for _, d := range g.asked {
		if d.uuid == uuid {
			return d
		}
	}
	d := &luks{uuid: uuid}
	if len(g.asked) < devicesMax {
		g.asked = append(g.asked, d)
	}
	return d
}

// line handles a line of crypttab. If the command line names devices, others are left alone.
func (g *generator) line(l device.Line) {
	v := volume{at: l.At, source: g.in.Path, name: l.Fields[0], what: device.Node(l.Fields[1]), key: l.Fields[2], options: device.SplitOptions(l.Fields[3])}
	named := false
	for _, d := range g.asked {
		if !d.created {
			continue
		}
		named = true
		if d.uuid != uuidOf(l.Fields[1]) {
			continue
		}
		g.fromTab[d.uuid] = true
		if d.name != "" {
			v.name = d.name
		}
		if d.hasKey {
			v.key = d.key
		}
		if d.hasOptions {
			v.options = device.SplitOptions(d.options)
		}
		g.create(v)
		return
	}
	if !named {
		g.create(v)
	}
}

// uuidOf is the UUID of `UUID=…`, a path of /dev/disk/by-uuid or luks-….
func uuidOf(what string) string {
	for _, prefix := range []string{"UUID=", "/dev/disk/by-uuid/", "luks-"} {
		if v, ok := strings.CutPrefix(what, prefix); ok {
			return strings.Trim(v, `"`)
		}
	}
	return what
}

func (g *generator) fromCommandLine(d *luks) {
	v := volume{at: commandLine, source: "/proc/cmdline", name: d.name, what: d.data, key: d.key, options: device.SplitOptions(d.options)}
	if v.name == "" {
		v.name = "luks-" + d.uuid
	}
	if v.what == "" {
		v.what = device.Node("UUID=" + d.uuid)
	}
	if !d.hasOptions {
		v.options = device.SplitOptions(g.options)
	}
	if !d.hasKey {
		v.key = g.key
	}
	g.create(v)
}

// create writes everything for one device.
func (g *generator) create(v volume) {
	if g.in.Program == "" {
		g.tree.Warn("%s: systemd-cryptsetup is not installed, %s is not unlocked", v.at, v.name)
		return
	}
	if v.options.Has("tmp") && v.options.Has("swap") {
		g.tree.Fail("%s: %s can't be tmp and swap at a time, ignored", v.at, v.name)
		return
	}
	if err := g.write(&v); err != nil {
		g.tree.Fail("%s: %v", v.at, err)
	}
}
