package manager

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

const (
	ueventBufferBytes = 16 << 20
	// ueventBatch bounds how many messages become one event of the engine.
	ueventBatch = 512
	udevRuntime = "/run/udev"
)

// deviceSource hears of devices: from udevd, or where no udevd is going to run from the kernel.
type deviceSource struct {
	m      *Manager
	socket *kernel.UeventSocket
}

// openDevices begins to listen, then lists what is there; what happens in between is heard of twice.
func (m *Manager) openDevices() {
	if m.noDevices {
		return
	}
	socket, err := kernel.OpenUevents(kernel.UeventUdev|kernel.UeventKernel, ueventBufferBytes)
	if err == nil {
		s := &deviceSource{m: m, socket: socket}
		err = m.sources.add(socket.FD(), unix.EPOLLIN, prioDevices, sourceFunc(func(uint32) { s.ready() }))
		s.list()
	}
	if err != nil {
		m.log.err("", "Devices will not be noticed: %v", err)
	}
}

// udevExpected reports whether udevd looks after devices: it has run, or is part of what is being started.
func (m *Manager) udevExpected() bool {
	if _, err := os.Lstat(udevRuntime + "/control"); err == nil {
		return true
	}
	c := m.eng.Config("systemd-udevd.service")
	return c != nil && c.LoadState == unit.StateLoaded
}

// list reads all devices on a worker.
func (s *deviceSource) list() {
	m := s.m
	udev, user := m.udevExpected(), !m.system
	m.work.add(func() func() {
		var all []machine.DeviceInfo
		if udev {
			all = listUdevDevices(udevRuntime, "/sys", user)
		} else {
			all = listKernelDevices("/sys")
		}
		return func() { m.submit(machine.Devices{All: true, Changed: all}) }
	})
}

// ready reads what has come and makes one event of it; a later message about a device replaces an earlier one.
func (s *deviceSource) ready() {
	udev := s.m.udevExpected()
	changed, order := map[string]*machine.DeviceInfo{}, []string{}
	note := func(sysfs string, d *machine.DeviceInfo) {
		if _, known := changed[sysfs]; !known {
			order = append(order, sysfs)
		}
		changed[sysfs] = d
	}
	for range ueventBatch {
		ev, ok, err := s.socket.Read()
		if errors.Is(err, kernel.ErrUeventsLost) {
			s.m.log.warning("", "Messages about devices were lost, listing them all.")
			s.list()
			continue
		}
		if err != nil {
			s.m.log.err("", "%v", err)
		}
		if err != nil || !ok {
			break
		}
		if ev.FromUdev != udev {
			continue
		}
		if ev.Action == "move" && ev.Get("DEVPATH_OLD") != "" {
			note("/sys"+ev.Get("DEVPATH_OLD"), nil)
		}
		note("/sys"+ev.Devpath, deviceOf(&ev, !s.m.system))
	}
	var out machine.Devices
	for _, sysfs := range order {
		if d := changed[sysfs]; d != nil {
			out.Changed = append(out.Changed, *d)
		} else {
			out.Gone = append(out.Gone, sysfs)
		}
	}
	if len(order) > 0 {
		s.m.submit(out)
	}
}

// deviceOf makes what the engine knows of a message; nil: there is no unit for the device (any more).
func deviceOf(ev *kernel.Uevent, user bool) *machine.DeviceInfo {
	if ev.Action == "remove" {
		return nil
	}
	if !ev.FromUdev {
		return kernelDevice("/sys"+ev.Devpath, ev.Props)
	}
	return udevDevice("/sys"+ev.Devpath, ev.Props, user)
}

// udevDevice reads the properties that udev's rules have set (systemd.device(5)).
func udevDevice(sysfs string, props map[string]string, user bool) *machine.DeviceInfo {
	tags := props["CURRENT_TAGS"]
	if tags == "" {
		tags = props["TAGS"]
	}
	if !strings.Contains(tags, ":systemd:") {
		return nil
	}
	d := &machine.DeviceInfo{Sysfs: sysfs, Node: props["DEVNAME"], Ready: ready(props["SYSTEMD_READY"])}
	for _, link := range strings.Fields(props["DEVLINKS"]) {
		if leadsTo(link, d.Node) {
			d.Links = append(d.Links, link)
		}
	}
	for _, alias := range strings.Fields(props["SYSTEMD_ALIAS"]) {
		if strings.HasPrefix(alias, "/") {
			d.Links = append(d.Links, alias)
		}
	}
	wants := props["SYSTEMD_WANTS"]
	if user {
		wants = props["SYSTEMD_USER_WANTS"]
	}
	for _, name := range strings.Fields(wants) {
		if w := wantedName(name, sysfs); w != "" {
			d.Wants = append(d.Wants, w)
		}
	}
	d.Description = deviceDescription(props)
	return d
}

// ready is SYSTEMD_READY; not set means yes.
func ready(text string) bool {
	switch strings.ToLower(text) {
	case "0", "no", "n", "false", "f", "off":
		return false
	}
	return true
}

// leadsTo reports whether a link in /dev is the one of this node: two devices may ask for the same one. What can't be read is believed.
func leadsTo(link, node string) bool {
	target, err := os.Readlink(link)
	if err != nil {
		return true
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	return filepath.Clean(target) == node
}

// wantedName completes a name of SYSTEMD_WANTS: a template gets the path of the device as its instance. "" is no name.
func wantedName(name, sysfs string) string {
	if unit.ValidName(name, unit.NameTemplate) {
		if esc, err := unit.PathEscape(sysfs); err == nil {
			prefix, suffix, _ := strings.Cut(name, "@")
			name = prefix + "@" + esc + suffix
		}
	} else if unit.TypeOf(name) == unit.TypeInvalid {
		name += ".service"
	}
	if !unit.ValidName(name, unit.NamePlain|unit.NameInstance) {
		return ""
	}
	return name
}

func deviceDescription(props map[string]string) string {
	model := props["ID_MODEL_FROM_DATABASE"]
	if model == "" {
		model = props["ID_MODEL"]
	}
	if model == "" {
		return ""
	}
	for _, key := range []string{"ID_FS_LABEL", "ID_PART_ENTRY_NAME", "ID_PART_ENTRY_NUMBER"} {
		if label := props[key]; label != "" {
			return model + " " + label
		}
	}
	return model
}
