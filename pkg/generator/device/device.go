// Package device has what the generators for block devices share: names of devices, lines of tables such as crypttab(5), and how a service that sets
// up a mapped device is tied to what it is made of.
package device

import (
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Node gives the device of `LABEL=`, `UUID=`, `PARTUUID=` and `PARTLABEL=` by the links that udev makes; anything else stays.
func Node(what string) string {
	for _, tag := range []string{"LABEL", "UUID", "PARTUUID", "PARTLABEL"} {
		if v, ok := strings.CutPrefix(what, tag+"="); ok {
			if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
				v = v[1 : len(v)-1]
			}
			return "/dev/disk/by-" + strings.ToLower(tag) + "/" + encode(v)
		}
	}
	return what
}

// encode writes a name as udev does in links: everything but a few characters becomes \xHH; valid UTF-8 stays.
func encode(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == 0xfffd && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r >= 0x80, r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', strings.ContainsRune("#+-.:=@_", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}

// Is reports a path that udev may announce, and that a unit waits for.
func Is(path string) bool {
	return (strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/sys/")) && value.PathIsNormalized(value.PathSimplify(path))
}

// Unit is the device unit of a path.
func Unit(path string) (string, error) { return unit.NameFromPath(path, ".device") }

// Argument writes text as one word of a command line that no variable is replaced in.
func Argument(text string) string {
	if text == "" {
		return `""`
	}
	return strings.ReplaceAll(value.QuoteWord(text), "$", "$$")
}

// Line is a line of a table: fields that white space separates, empty ones added up to the number that the table has.
type Line struct {
	At     string // file:line
	Fields []string
}

// lineMax bounds a line.
const lineMax = 16 << 10

// Lines reads a table; lines with fewer than least fields are reported and left out, more than most are cut off.
func Lines(path, text string, least, most int, report func(format string, args ...any)) []Line {
	var list []Line
	n := 0
	for line := range strings.Lines(text) {
		n++
		at := fmt.Sprintf("%s:%d", path, n)
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0][0] == '#':
		case len(line) > lineMax:
			report("%s: line is longer than %d bytes, ignored", at, lineMax)
		case strings.IndexByte(line, 0) >= 0:
			report("%s: line holds NUL, ignored", at)
		case len(fields) < least:
			report("%s: line has %d of at least %d fields, ignored", at, len(fields), least)
		default:
			for len(fields) < most {
				fields = append(fields, "")
			}
			list = append(list, Line{at, fields[:most]})
		}
	}
	return list
}

// Mapped is a service that makes a device of the device mapper.
type Mapped struct {
	Name, Source string
	Prefix       string // of the service and the targets: cryptsetup, veritysetup or integritysetup
	Early        bool   // it stays up to the very end, as it is below the root file system
	Network      bool
	NoAuto       bool
	NoFail       bool
}

// Service is the name of the unit.
func (m Mapped) Service() (string, error) {
	instance, err := unit.PathEscape(m.Name)
	if err != nil {
		return "", err
	}
	return "systemd-" + m.Prefix + "@" + instance + ".service", nil
}

func (m Mapped) target() string {
	if m.Network {
		return "remote-" + m.Prefix + ".target"
	}
	return m.Prefix + ".target"
}

// Head writes the settings of [Unit] that all of these services have.
func (m Mapped) Head(u *output.Unit) {
	set := func(key, v string) { u.Set("Unit", key, v) }
	set("Description", "Device "+m.Name+" of "+m.Prefix)
	set("SourcePath", m.Source)
	set("DefaultDependencies", "no")
	set("IgnoreOnIsolate", "true")
	set("After", m.Prefix+"-pre.target systemd-udevd-kernel.socket")
	u.Raw("Unit", "Before", "blockdev@dev-mapper-%i.target")
	u.Raw("Unit", "Wants", "blockdev@dev-mapper-%i.target")
	// What the root file system or /usr is on stays until there is nothing but the kernel.
	if !m.Early && m.Name != "root" && m.Name != "usr" {
		set("Conflicts", "umount.target")
		set("Before", "umount.target")
	}
	if m.Network {
		set("After", "remote-fs-pre.target")
	}
	if !m.NoFail {
		set("Before", m.target())
	}
}

// Pull hooks the service into its target, and, if it is for anything but the root or /usr, into the device that it makes.
func (m Mapped) Pull(t *output.Tree, service string, mapped bool) error {
	if mapped {
		dev, err := Unit("/dev/mapper/" + m.Name)
		if err != nil {
			return err
		}
		if err := t.Pull(output.Normal, dev, "requires", service); err != nil {
			return err
		}
	}
	if m.NoAuto {
		return nil
	}
	kind := "requires"
	if m.NoFail {
		kind = "wants"
	}
	return t.Pull(output.Normal, m.target(), kind, service)
}

// Bind ties a service to the device that it works on.
func Bind(u *output.Unit, path string) error {
	dev, err := Unit(path)
	if err != nil {
		return err
	}
	u.Set("Unit", "BindsTo", dev)
	u.Set("Unit", "After", dev)
	return nil
}

// Options are a list with commas between.
type Options []string

// SplitOptions splits a field; "-" and "none" are no options.
func SplitOptions(text string) Options {
	var list Options
	for o := range strings.SplitSeq(text, ",") {
		if o != "" {
			list = append(list, o)
		}
	}
	return list
}

// Has reports an option, with a value or without.
func (o Options) Has(name string) bool {
	for _, opt := range o {
		if key, _, _ := strings.Cut(opt, "="); key == name {
			return true
		}
	}
	return false
}

// Last is the value of the last of several assignments.
func (o Options) Last(name string) (text string, ok bool) {
	for _, opt := range o {
		if key, v, has := strings.Cut(opt, "="); has && key == name {
			text, ok = v, true
		}
	}
	return text, ok
}

// Without leaves an option out.
func (o Options) Without(name string) Options {
	var list Options
	for _, opt := range o {
		if key, _, _ := strings.Cut(opt, "="); key != name {
			list = append(list, opt)
		}
	}
	return list
}

// Text joins them again.
func (o Options) Text() string { return strings.Join(o, ",") }

// Timeout says by a drop-in how long the job of a device waits.
func Timeout(t *output.Tree, generator, path, file, text string) error {
	if _, err := value.ParseSec(text, 1000000); err != nil {
		return err
	}
	dev, err := Unit(path)
	if err != nil {
		return err
	}
	u := output.NewUnit(generator)
	u.Set("Unit", "JobRunningTimeoutSec", text)
	return t.DropIn(output.Normal, dev, file, u)
}

// Patient lets the job of a device wait for as long as a person takes to type a password.
func Patient(t *output.Tree, generator, path string) error {
	dev, err := Unit(path)
	if err != nil {
		return err
	}
	u := output.NewUnit(generator)
	u.Set("Unit", "JobTimeoutSec", "infinity")
	return t.DropIn(output.Normal, dev, "40-device-timeout.conf", u)
}
