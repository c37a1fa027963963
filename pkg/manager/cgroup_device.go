package manager

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/cgroup/bpf"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// procDevicesMax bounds /proc/devices.
const procDevicesMax = 1 << 20

// pseudoDevices may be used under DevicePolicy=closed.
var pseudoDevices = []bpf.DeviceRule{
	{Kind: bpf.Character, Major: 1, Minor: 3, Access: bpf.Read | bpf.Write | bpf.Mknod}, // null
	{Kind: bpf.Character, Major: 1, Minor: 5, Access: bpf.Read | bpf.Write | bpf.Mknod}, // zero
	{Kind: bpf.Character, Major: 1, Minor: 7, Access: bpf.Read | bpf.Write | bpf.Mknod}, // full
	{Kind: bpf.Character, Major: 1, Minor: 8, Access: bpf.Read | bpf.Write | bpf.Mknod}, // random
	{Kind: bpf.Character, Major: 1, Minor: 9, Access: bpf.Read | bpf.Write | bpf.Mknod}, // urandom
	{Kind: bpf.Character, Major: 5, Minor: 0, Access: bpf.Read | bpf.Write | bpf.Mknod}, // tty
	{Kind: bpf.Character, Major: 5, Minor: 2, Access: bpf.Read | bpf.Write | bpf.Mknod}, // ptmx
	{Kind: bpf.Character, Major: 136, AnyMinor: true, Access: bpf.Read | bpf.Write},     // what ptmx hands out
	{Kind: bpf.Block, Access: bpf.Mknod},                                                // 0:0, what InaccessiblePaths= is made of
}

// deviceRules translates DevicePolicy= and DeviceAllow=; limit is false where every device may be used. A class or node that isn't there (yet) allows
// nothing.
func deviceRules(c *unit.Cgroup) (rules []bpf.DeviceRule, limit bool) {
	policy := c.DevicePolicy
	if policy == "auto" || policy == "" {
		if len(c.DeviceAllow) == 0 {
			return nil, false
		}
		policy = "closed"
	}
	if policy == "closed" {
		rules = append(rules, pseudoDevices...)
	}
	classes := ""
	for _, a := range c.DeviceAllow {
		access := deviceAccess(a.Access)
		kind, pattern, isClass := deviceClass(a.Path)
		switch {
		case !isClass:
			if r, ok := deviceNode(a.Path); ok {
				r.Access = access
				rules = append(rules, r)
			}
			continue
		case pattern == "*":
			rules = append(rules, bpf.DeviceRule{Kind: kind, Access: access, AnyMajor: true})
			continue
		case classes == "":
			text, _ := kernel.ReadKernelFile("/proc/devices", procDevicesMax)
			classes = string(text)
		}
		for _, major := range majors(classes, kind, pattern) {
			rules = append(rules, bpf.DeviceRule{Kind: kind, Access: access, Major: major, AnyMinor: true})
		}
	}
	return rules, true
}

// deviceAccess reads letters of rwm; none is all.
func deviceAccess(letters string) (mask uint8) {
	for _, l := range letters {
		switch l {
		case 'r':
			mask |= bpf.Read
		case 'w':
			mask |= bpf.Write
		case 'm':
			mask |= bpf.Mknod
		}
	}
	if mask == 0 {
		return bpf.Read | bpf.Write | bpf.Mknod
	}
	return mask
}

// deviceClass splits "char-PATTERN" and "block-PATTERN".
func deviceClass(name string) (kind uint8, pattern string, ok bool) {
	if p, ok := strings.CutPrefix(name, "char-"); ok {
		return bpf.Character, p, true
	}
	if p, ok := strings.CutPrefix(name, "block-"); ok {
		return bpf.Block, p, true
	}
	return 0, "", false
}

// deviceNode finds the numbers of a node. They may be in the name (/dev/char/1:3), else the node is looked at: /dev/ is the kernel's own file system, so
// that doesn't hang.
func deviceNode(name string) (bpf.DeviceRule, bool) {
	for prefix, kind := range map[string]uint8{"/dev/char/": bpf.Character, "/dev/block/": bpf.Block} { // order-free: at most one matches
		if numbers, ok := strings.CutPrefix(name, prefix); ok {
			major, minor, ok := deviceNumbers(numbers)
			return bpf.DeviceRule{Kind: kind, Major: major, Minor: minor}, ok
		}
	}
	clean := path.Clean(name)
	if !strings.HasPrefix(clean, "/dev/") && !strings.HasPrefix(clean, "/run/systemd/inaccessible/") {
		return bpf.DeviceRule{}, false
	}
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, clean, &st, unix.AT_NO_AUTOMOUNT); err != nil {
		return bpf.DeviceRule{}, false
	}
	r := bpf.DeviceRule{Kind: bpf.Character, Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		r.Kind = bpf.Block
		return r, true
	case unix.S_IFCHR:
		return r, true
	}
	return bpf.DeviceRule{}, false
}

func deviceNumbers(text string) (major, minor uint32, ok bool) {
	a, b, found := strings.Cut(text, ":")
	n, err1 := strconv.ParseUint(a, 10, 32)
	k, err2 := strconv.ParseUint(b, 10, 32)
	return uint32(n), uint32(k), found && err1 == nil && err2 == nil
}

// majors lists the major numbers of the classes in /proc/devices that a shell pattern matches; a slash is a character like others.
func majors(classes string, kind uint8, pattern string) (list []uint32) {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
	pattern = flat(pattern)
	section := uint8(0)
	for line := range strings.Lines(classes) {
		switch line = strings.TrimSpace(line); line {
		case "Character devices:":
			section = bpf.Character
			continue
		case "Block devices:":
			section = bpf.Block
			continue
		}
		number, name, ok := strings.Cut(line, " ")
		if !ok || section != kind {
			continue
		}
		major, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			continue
		}
		if match, err := path.Match(pattern, flat(strings.TrimSpace(name))); err == nil && match {
			list = append(list, uint32(major))
		}
	}
	return list
}

// ioPaths lists the paths whose devices the IO…= settings are about.
func ioPaths(c *unit.Cgroup) (list []string) {
	seen := map[string]bool{}
	for _, values := range [][]unit.DeviceValue{c.IODeviceWeight, c.IODeviceLatencyTargetUSec, c.IOReadBandwidthMax, c.IOWriteBandwidthMax, c.IOReadIOPSMax, c.IOWriteIOPSMax} {
		for _, v := range values {
			if !seen[v.Path] {
				seen[v.Path] = true
				list = append(list, v.Path)
			}
		}
	}
	return list
}

// ioDevices translates the IO…= settings of single devices. devices are the numbers of paths, as far as they are known.
func ioDevices(c *unit.Cgroup, devices map[string]string) (list []cgroup.IODevice) {
	of := func(values []unit.DeviceValue, set func(d *cgroup.IODevice, v uint64)) {
		for _, v := range values {
			number := devices[v.Path]
			if number == "" {
				continue
			}
			at := -1
			for i := range list {
				if list[i].Device == number {
					at = i
				}
			}
			if at < 0 {
				at = len(list)
				list = append(list, cgroup.NoIODevice(number))
			}
			set(&list[at], v.Value)
		}
	}
	of(c.IODeviceWeight, func(d *cgroup.IODevice, v uint64) { d.Weight = v })
	of(c.IODeviceLatencyTargetUSec, func(d *cgroup.IODevice, v uint64) { d.LatencyTargetUSec = v })
	of(c.IOReadBandwidthMax, func(d *cgroup.IODevice, v uint64) { d.ReadBPS = v })
	of(c.IOWriteBandwidthMax, func(d *cgroup.IODevice, v uint64) { d.WriteBPS = v })
	of(c.IOReadIOPSMax, func(d *cgroup.IODevice, v uint64) { d.ReadIOPS = v })
	of(c.IOWriteIOPSMax, func(d *cgroup.IODevice, v uint64) { d.WriteIOPS = v })
	return list
}

// blockDevice gives the numbers of the disk that a path is about: a block device itself, or what the file system of any other file lies on. A partition
// stands for its disk, because only disks have limits. It may hang on foreign file systems, so it is for workers.
func blockDevice(name string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	dev := st.Dev
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		dev = st.Rdev
	}
	if unix.Major(dev) == 0 {
		source, err := mountedFrom(dev)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		dev = source
	}
	sys := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev))
	if _, err := os.Stat(sys + "/partition"); err == nil {
		if whole, err := os.ReadFile(sys + "/../dev"); err == nil {
			return strings.TrimSpace(string(whole)), nil
		}
	}
	return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)), nil
}

// mountedFrom finds the device of a file system with numbers of its own (btrfs) by what was mounted.
func mountedFrom(dev uint64) (uint64, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	number := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		_, tail, _ := strings.Cut(line, " - ")
		source := strings.Fields(tail)
		if len(fields) < 3 || fields[2] != number || len(source) < 2 || !strings.HasPrefix(source[1], "/dev/") {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(source[1], &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK {
			return st.Rdev, nil
		}
	}
	return 0, fmt.Errorf("not on a block device: %w", unix.ENODEV)
}
