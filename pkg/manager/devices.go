package manager

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// Listing of devices on a worker. Everything read here is in sysfs or in a file system in memory.

// listUdevDevices lists the devices that udev has tagged for us: names in tags/systemd are keys of its database.
func listUdevDevices(runtime, sys string, user bool) (all []machine.DeviceInfo) {
	ids, err := os.ReadDir(filepath.Join(runtime, "tags/systemd"))
	if err != nil {
		return nil
	}
	for _, id := range ids {
		sysfs := deviceByID(sys, id.Name())
		if sysfs == "" {
			continue
		}
		props := ueventFile(sysfs)
		readUdevData(filepath.Join(runtime, "data", id.Name()), props)
		if d := udevDevice(sysfs, props, user); d != nil {
			all = append(all, *d)
		}
	}
	return all
}

// deviceByID finds the directory of a device: b8:0 and c4:64 are device numbers, n3 the index of a network interface, +block:sda a
// subsystem and a name.
func deviceByID(sys, id string) string {
	if len(id) < 2 {
		return ""
	}
	var path string
	switch rest := id[1:]; id[0] {
	case 'b':
		path = filepath.Join(sys, "dev/block", rest)
	case 'c':
		path = filepath.Join(sys, "dev/char", rest)
	case 'n':
		path = interfaceByIndex(sys, rest)
	case '+':
		subsystem, name, _ := strings.Cut(rest, ":")
		for _, p := range []string{filepath.Join(sys, "class", subsystem, name), filepath.Join(sys, "bus", subsystem, "devices", name)} {
			if _, err := os.Stat(p); err == nil {
				path = p
				break
			}
		}
	}
	if path == "" {
		return ""
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return real
}

func interfaceByIndex(sys, index string) string {
	list, _ := filepath.Glob(filepath.Join(sys, "class/net/*/ifindex"))
	for _, p := range list {
		if data, err := os.ReadFile(p); err == nil && strings.TrimSpace(string(data)) == index {
			return filepath.Dir(p)
		}
	}
	return ""
}

// ueventFile reads what the kernel says about a device.
func ueventFile(sysfs string) map[string]string {
	props := map[string]string{}
	f, err := os.Open(filepath.Join(sysfs, "uevent"))
	if err != nil {
		return props
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), "="); ok {
			props[key] = value
		}
	}
	if name := props["DEVNAME"]; name != "" && !strings.HasPrefix(name, "/") {
		props["DEVNAME"] = "/dev/" + name
	}
	if subsystem, err := os.Readlink(filepath.Join(sysfs, "subsystem")); err == nil {
		props["SUBSYSTEM"] = filepath.Base(subsystem)
	}
	return props
}

// readUdevData adds what udev has stored about a device: lines E:KEY=value, S:link below /dev, Q:tag that is set now, G:tag that ever was.
func readUdevData(path string, props map[string]string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	var links []string
	tags, current := ":", ":"
	for s := bufio.NewScanner(f); s.Scan(); {
		kind, value, _ := strings.Cut(s.Text(), ":")
		switch kind {
		case "E":
			if key, v, ok := strings.Cut(value, "="); ok {
				props[key] = v
			}
		case "S":
			links = append(links, "/dev/"+value)
		case "G":
			tags += value + ":"
		case "Q":
			current += value + ":"
		}
	}
	props["DEVLINKS"] = strings.Join(links, " ")
	props["TAGS"], props["CURRENT_TAGS"] = tags, current
	if current == ":" {
		delete(props, "CURRENT_TAGS")
	}
}

// kernelClasses are the classes of devices that have units where no udev rules choose them: disks, terminals, network interfaces.
var kernelClasses = []string{"block", "tty", "net"}

// listKernelDevices lists devices without udev.
func listKernelDevices(sys string) (all []machine.DeviceInfo) {
	for _, class := range kernelClasses {
		list, err := os.ReadDir(filepath.Join(sys, "class", class))
		if err != nil {
			continue
		}
		for _, e := range list {
			sysfs, err := filepath.EvalSymlinks(filepath.Join(sys, "class", class, e.Name()))
			if err != nil {
				continue
			}
			if d := kernelDevice(sysfs, ueventFile(sysfs)); d != nil {
				all = append(all, *d)
			}
		}
	}
	return all
}

// kernelDevice makes a unit of a device by what the kernel alone says: nil if it is of no class that has units. A block device without any
// size is not ready: a loop device without a file, an empty drive.
func kernelDevice(sysfs string, props map[string]string) *machine.DeviceInfo {
	d := &machine.DeviceInfo{Sysfs: sysfs, Node: props["DEVNAME"], Ready: true}
	if d.Node != "" && !strings.HasPrefix(d.Node, "/") {
		d.Node = "/dev/" + d.Node
	}
	name := filepath.Base(sysfs)
	switch props["SUBSYSTEM"] {
	case "block":
		size, err := os.ReadFile(filepath.Join(sysfs, "size"))
		d.Ready = err == nil && strings.TrimSpace(string(size)) != "0"
	case "tty":
		// Virtual consoles have no units: the console is always there.
		if rest, ok := strings.CutPrefix(name, "tty"); ok && (rest == "" || rest[0] >= '0' && rest[0] <= '9') {
			return nil
		}
	case "net":
		d.Links = append(d.Links, "/sys/subsystem/net/devices/"+name)
	default:
		return nil
	}
	return d
}
