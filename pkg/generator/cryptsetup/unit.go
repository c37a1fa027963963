package cryptsetup

import (
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// mountDir is below which the file systems with keys and headers are mounted for a moment.
const mountDir = "/run/systemd/cryptsetup/"

func (g *generator) write(v *volume) error {
	m := device.Mapped{Name: v.name, Source: v.source, Prefix: "cryptsetup", Early: v.options.Has("x-initrd.attach"), Network: v.options.Has("_netdev"),
		NoAuto: v.options.Has("noauto"), NoFail: v.options.Has("nofail")}
	service, err := m.Service()
	if err != nil {
		return err
	}
	if text, ok := v.options.Last("x-systemd.device-timeout"); ok {
		if device.Is(v.what) {
			if err := device.Timeout(g.tree, name, v.what, "50-device-timeout.conf", text); err != nil {
				g.tree.Warn("%s: x-systemd.device-timeout=%s: %v, ignored", v.at, text, err)
			}
		}
		v.options = v.options.Without("x-systemd.device-timeout")
	}
	u := output.NewUnit(name)
	m.Head(u)
	u.Set("Unit", "After", "systemd-tpm2-setup-early.service")
	wait, hasWait := v.options.Last("keyfile-timeout")
	if err := g.keyFile(v, u, m.NoFail, wait, hasWait); err != nil {
		return err
	}
	if err := g.header(v, u, m.NoFail); err != nil {
		return err
	}
	if device.Is(v.what) {
		if err := device.Bind(u, v.what); err != nil {
			return err
		}
	} else {
		if !value.PathIsAbsolute(v.what) {
			return fmt.Errorf("%q is neither a device nor a path", v.what)
		}
		u.Set("Unit", "RequiresMountsFor", value.QuoteWord(v.what))
		u.Set("Unit", "Wants", "modprobe@loop.service")
		u.Set("Unit", "After", "modprobe@loop.service")
	}
	if err := g.service(v, u); err != nil {
		return err
	}
	if err := g.tree.Write(output.Normal, service, u); err != nil {
		return err
	}
	if err := m.Pull(g.tree, service, true); err != nil {
		return err
	}
	if m.NoAuto || m.NoFail {
		return nil
	}
	return device.Patient(g.tree, name, "/dev/mapper/"+v.name)
}

func (g *generator) service(v *volume, u *output.Unit) error {
	set := func(key, text string) { u.Set("Service", key, text) }
	set("Type", "oneshot")
	set("RemainAfterExit", "yes")
	set("TimeoutSec", "infinity") // a person may have to type a password
	set("KeyringMode", "shared")  // so that a password is asked for once
	set("OOMScoreAdjust", "500")  // the key derivation may want a lot of memory
	set("ImportCredential", "cryptsetup.*")
	command := g.in.Program + " attach"
	for _, a := range []string{v.name, v.what, v.key, v.options.Text()} {
		command += " " + device.Argument(a)
	}
	set("ExecStart", command)
	set("ExecStop", g.in.Program+" detach "+device.Argument(v.name))
	fstype := ""
	if v.options.Has("swap") {
		fstype = "swap"
	} else if v.options.Has("tmp") {
		fstype = "ext4"
		if t, ok := v.options.Last("tmp"); ok && t != "" {
			fstype = t
		}
	}
	if fstype == "" {
		return nil
	}
	if g.in.MakeFS == "" {
		return fmt.Errorf("systemd-makefs is not installed, which %s needs for its file system", v.name)
	}
	set("ExecStartPost", g.in.MakeFS+" "+device.Argument(fstype)+" "+device.Argument("/dev/mapper/"+v.name))
	return nil
}

// keyFile makes the service wait for its key file: for the device that it is or is on, or for its file system.
func (g *generator) keyFile(v *volume, u *output.Unit, nofail bool, wait string, hasWait bool) error {
	if v.key == "" || v.key == "-" || v.key == "none" {
		return nil
	}
	path, on, split := strings.Cut(v.key, ":")
	if split && on != "" && strings.HasPrefix(path, "/") {
		dev := device.Node(on)
		where, err := g.mount(v, u, "keydev", dev, "ro", hasWait)
		if err != nil {
			return err
		}
		if hasWait {
			if err := device.Timeout(g.tree, name, dev, "90-device-timeout.conf", wait); err != nil {
				g.tree.Warn("%s: keyfile-timeout=%s: %v, ignored", v.at, wait, err)
			}
		}
		v.key = where + path
		return nil
	}
	if dev := device.Node(v.key); hasWait && device.Is(dev) {
		if err := device.Timeout(g.tree, name, dev, "90-device-timeout.conf", wait); err != nil {
			g.tree.Warn("%s: keyfile-timeout=%s: %v, ignored", v.at, wait, err)
		}
	}
	return depend(u, v.key, nofail, hasWait)
}

// header does the same for a detached header.
func (g *generator) header(v *volume, u *output.Unit, nofail bool) error {
	text, ok := v.options.Last("header")
	if !ok || text == "" {
		return nil
	}
	path, on, split := strings.Cut(text, ":")
	if !split || on == "" || !strings.HasPrefix(path, "/") {
		return depend(u, text, nofail, false)
	}
	where, err := g.mount(v, u, "headerdev", device.Node(on), "rw", false)
	if err != nil {
		return err
	}
	for i, o := range v.options {
		if strings.HasPrefix(o, "header=") {
			v.options[i] = "header=" + where + path
		}
	}
	return nil
}

// depend orders a service behind what a path needs.
func depend(u *output.Unit, path string, nofail, optional bool) error {
	switch path {
	case "/dev/urandom", "/dev/random", "/dev/hw_random", "/dev/hwrng":
		u.Set("Unit", "After", "systemd-random-seed.service")
		return nil
	case "/dev/null":
		return nil
	}
	node := device.Node(path)
	if !device.Is(node) {
		if !value.PathIsAbsolute(path) {
			return fmt.Errorf("%q is neither a device nor a path", path)
		}
		key := "RequiresMountsFor"
		if nofail {
			key = "WantsMountsFor"
		}
		u.Set("Unit", key, value.QuoteWord(path))
		return nil
	}
	dev, err := device.Unit(node)
	if err != nil {
		return err
	}
	key := "Requires"
	if optional {
		key = "Wants"
	}
	u.Set("Unit", key, dev)
	u.Set("Unit", "After", dev)
	return nil
}

// mount makes a mount for the device of a key or a header, and a service that unmounts it when the device is unlocked. It returns where that is.
func (g *generator) mount(v *volume, u *output.Unit, kind, dev, access string, optional bool) (where string, err error) {
	// The name is that of a directory: a slash in it would lead elsewhere.
	dir := kind + "-" + v.name
	if !value.FilenameIsValid(dir) {
		return "", fmt.Errorf("%q is no name of a directory", dir)
	}
	where = mountDir + dir
	mount, err := unit.NameFromPath(where, ".mount")
	if err != nil {
		return "", err
	}
	umount, _, err := unit.Mangle(dir+"-umount", ".service", 0)
	if err != nil {
		return "", err
	}
	w := output.NewUnit(name)
	w.Set("Unit", "DefaultDependencies", "no")
	w.Set("Mount", "What", dev)
	w.Set("Mount", "Where", where)
	if optional {
		access += ",nofail"
	}
	w.Set("Mount", "Options", access)
	if err := g.tree.Write(output.Normal, mount, w); err != nil {
		return "", err
	}
	w = output.NewUnit(name)
	w.Set("Unit", "DefaultDependencies", "no")
	w.Set("Unit", "After", mount)
	w.Set("Service", "ExecStart", "-"+g.in.Umount+" "+device.Argument(where))
	if err := g.tree.Write(output.Normal, umount, w); err != nil {
		return "", err
	}
	key := "Requires"
	if optional {
		key = "Wants"
	}
	u.Set("Unit", key, mount)
	u.Set("Unit", "After", mount)
	u.Set("Unit", "Wants", umount)
	u.Set("Unit", "Before", umount)
	return where, nil
}
