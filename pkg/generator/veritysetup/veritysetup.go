// Package veritysetup makes services that set up the verified devices of veritytab(5) and of the kernel command line (roothash=, usrhash=), as
// systemd-veritysetup-generator(8) describes.
package veritysetup

import (
	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
	Path, Text  string // /etc/veritytab
	Program     string // systemd-veritysetup, "" where it isn't installed
}

const name = "systemd-veritysetup-generator"

// volume is one device to set up.
type volume struct {
	at, name, source         string
	data, hash, root, option string
	early, fromTab           bool
}

// Generate makes the services.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	on, tab := true, true
	boot := map[string]*volume{"root": {name: "root"}, "usr": {name: "usr"}}
	for _, p := range cmdline.Parse(in.CommandLine, cmdline.Both, in.Initrd) {
		text, filled := p.Text()
		switch {
		case p.Is("systemd.verity"), p.Is("rd.systemd.verity") && in.Initrd:
			flag(t, p, &on)
		case p.Is("veritytab"), p.Is("rd.veritytab") && in.Initrd:
			flag(t, p, &tab)
		case !filled:
		case p.Is("roothash"):
			boot["root"].root = text
		case p.Is("usrhash"):
			boot["usr"].root = text
		}
		for n, v := range boot {
			switch {
			case !filled:
			case p.Is("systemd.verity_" + n + "_data"):
				v.data = device.Node(text)
			case p.Is("systemd.verity_" + n + "_hash"):
				v.hash = device.Node(text)
			case p.Is("systemd.verity_" + n + "_options"):
				v.option = text
			}
		}
	}
	if !on {
		return t
	}
	if tab {
		for _, l := range device.Lines(in.Path, in.Text, 4, 5, t.Warn) {
			f := l.Fields
			makeService(in, t, volume{at: l.At, name: f[0], source: in.Path, data: device.Node(f[1]), hash: device.Node(f[2]), root: f[3], option: f[4], fromTab: true})
		}
	}
	for _, n := range []string{"root", "usr"} {
		if v := boot[n]; v.root != "" && derive(t, v) {
			v.at, v.source, v.early = "kernel command line", "/proc/cmdline", true
			makeService(in, t, *v)
		}
	}
	return t
}

func flag(t *output.Tree, p cmdline.Parameter, to *bool) {
	v, err := p.Flag()
	if err != nil {
		t.Warn("kernel command line: %s=%s is no boolean, ignored", p.Key, p.Value)
		return
	}
	*to = v
}

// derive finds the partitions of a root hash: their UUIDs are its first and its last 128 bits.
func derive(t *output.Tree, v *volume) bool {
	b, err := value.ParseHex(v.root)
	if err != nil {
		t.Fail("kernel command line: hash %.100q of %s: %v", v.root, v.name, err)
		return false
	}
	if v.data != "" && v.hash != "" {
		return true
	}
	if len(b) < 16 {
		t.Fail("kernel command line: hash of %s is too short to find the partitions by it", v.name)
		return false
	}
	if v.data == "" {
		v.data = "/dev/disk/by-partuuid/" + uuid(b[:16])
	}
	if v.hash == "" {
		v.hash = "/dev/disk/by-partuuid/" + uuid(b[len(b)-16:])
	}
	return true
}

func uuid(b []byte) string {
	h := value.FormatHex(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func makeService(in Input, t *output.Tree, v volume) {
	if in.Program == "" {
		t.Fail("%s: systemd-veritysetup is not installed, %s is not set up", v.at, v.name)
		return
	}
	opts := device.SplitOptions(v.option)
	m := device.Mapped{Name: v.name, Source: v.source, Prefix: "veritysetup", Early: v.early || opts.Has("x-initrd.attach"),
		Network: opts.Has("_netdev"), NoAuto: opts.Has("noauto"), NoFail: opts.Has("nofail")}
	service, err := m.Service()
	u := output.NewUnit(name)
	m.Head(u)
	for _, path := range []string{v.data, v.hash} {
		if err == nil && !device.Is(path) {
			t.Fail("%s: %s is no device, ignored", v.at, path)
			return
		}
		if err == nil {
			err = device.Bind(u, path)
		}
	}
	u.Set("Service", "Type", "oneshot")
	u.Set("Service", "RemainAfterExit", "yes")
	command := in.Program + " attach"
	for _, a := range []string{v.name, v.data, v.hash, v.root, v.option} {
		command += " " + device.Argument(a)
	}
	u.Set("Service", "ExecStart", command)
	u.Set("Service", "ExecStop", in.Program+" detach "+device.Argument(v.name))
	if err == nil {
		err = t.Write(output.Normal, service, u)
	}
	if err == nil {
		err = m.Pull(t, service, v.fromTab)
	}
	if err != nil {
		t.Fail("%s: %v", v.at, err)
	}
}
