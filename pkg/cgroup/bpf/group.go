package bpf

import (
	"errors"
	"net/netip"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The names of our programs and of the map with the counters.
const (
	nameDevices    = namePrefix + "devices"
	nameFirewall   = namePrefix + "firewall"
	nameBind       = namePrefix + "bind"
	nameInterfaces = namePrefix + "interface"
	nameBound      = namePrefix + "bound"
	nameCounters   = namePrefix + "counters"
)

// Settings is what a group's programs are to do; the zero value is no program at all.
type Settings struct {
	// LimitDevices: nothing but Devices may be used.
	LimitDevices bool
	Devices      []DeviceRule
	// Allow wins over Deny; Count: count traffic.
	Allow, Deny []netip.Prefix
	Count       bool
	// BindAllow wins over BindDeny.
	BindAllow, BindDeny []BindRule
	// LimitInterfaces: only Interfaces may be used, with DenyInterfaces only the others.
	LimitInterfaces, DenyInterfaces bool
	Interfaces                      []uint32
	// BoundInterface is what new sockets are bound to, 0 none.
	BoundInterface uint32
	Foreign        []Foreign
}

// Empty reports whether no program is needed.
func (s *Settings) Empty() bool {
	return !s.LimitDevices && !s.filters() && !s.Count && !s.binds() && !s.LimitInterfaces && s.BoundInterface == 0 && len(s.Foreign) == 0
}

func (s *Settings) filters() bool { return len(s.Allow)+len(s.Deny) > 0 }
func (s *Settings) binds() bool   { return len(s.BindAllow)+len(s.BindDeny) > 0 }

// ErrUnavailable is why [Probe] says that nothing can be attached.
var ErrUnavailable = errors.New("programs can't be attached to control groups")

// Probe tries whether programs can be loaded, attached to the group of dir and found again. It fails in containers without CAP_BPF and
// CAP_SYS_ADMIN, and below a group whose own programs admit no others.
func Probe(dir int) error {
	if !littleEndian || unsafe.Sizeof(uintptr(0)) != 8 {
		return ErrUnavailable
	}
	p, err := load(namePrefix+"probe", unix.BPF_PROG_TYPE_CGROUP_DEVICE, unix.BPF_CGROUP_DEVICE, deviceProgram([]DeviceRule{
		{Kind: Block, Access: allAccess, AnyMajor: true}, {Kind: Character, Access: allAccess, AnyMajor: true}}))
	if err != nil {
		return errors.Join(ErrUnavailable, err)
	}
	defer p.Close()
	if err := attach(dir, unix.BPF_CGROUP_DEVICE, p.fd, -1); err != nil {
		return errors.Join(ErrUnavailable, err)
	}
	if err := remove(dir, unix.BPF_CGROUP_DEVICE, p.name); err != nil {
		_ = detach(dir, unix.BPF_CGROUP_DEVICE, p.fd)
		return errors.Join(ErrUnavailable, err)
	}
	return nil
}

// A SettingError says which setting could not be carried out.
type SettingError struct {
	Setting string
	Err     error
}

// Error names the setting.
func (e *SettingError) Error() string { return e.Setting + "=: " + e.Err.Error() }

// Unwrap is the cause.
func (e *SettingError) Unwrap() error { return e.Err }

// Apply makes the programs of the group with the descriptor dir what s says. old is what was applied before, nil if that isn't known: the group then
// is asked what it has. Whatever fails is reported and leaves what was attached before; the rest is done all the same.
func Apply(dir int, old, s *Settings) []error {
	if old == nil {
		old = &Settings{LimitDevices: true, Count: true, BindDeny: []BindRule{{}}, LimitInterfaces: true, BoundInterface: 1, Foreign: s.Foreign}
	}
	var errs []error
	fail := func(setting string, err error) {
		if err != nil {
			errs = append(errs, &SettingError{setting, err})
		}
	}
	place := func(setting string, at AttachType, name string, had, want bool, make func() (Program, error)) {
		if !want {
			if had {
				fail(setting, remove(dir, at, name))
			}
			return
		}
		p, err := make()
		if err == nil {
			err = install(dir, at, p)
			p.Close()
		}
		fail(setting, err)
	}
	place("DevicePolicy", unix.BPF_CGROUP_DEVICE, nameDevices, old.LimitDevices, s.LimitDevices, func() (Program, error) { return loadDevices(s.Devices) })
	for _, at := range []AttachType{unix.BPF_CGROUP_INET4_BIND, unix.BPF_CGROUP_INET6_BIND} {
		place("SocketBindDeny", at, nameBind, old.binds(), s.binds(), func() (Program, error) { return loadBind(s.BindAllow, s.BindDeny, at) })
	}
	for _, at := range []AttachType{unix.BPF_CGROUP_INET_INGRESS, unix.BPF_CGROUP_INET_EGRESS} {
		place("RestrictNetworkInterfaces", at, nameInterfaces, old.LimitInterfaces, s.LimitInterfaces,
			func() (Program, error) { return loadInterfaces(s.Interfaces, s.DenyInterfaces, at) })
	}
	place("BindNetworkInterface", unix.BPF_CGROUP_INET_SOCK_CREATE, nameBound, old.BoundInterface != 0, s.BoundInterface != 0,
		func() (Program, error) { return loadBound(s.BoundInterface) })
	fail("IPAddressDeny", applyFirewall(dir, old, s))
	for _, f := range s.Foreign {
		fail("BPFProgram", attachForeign(dir, f))
	}
	for _, f := range old.Foreign {
		if !slices.Contains(s.Foreign, f) {
			fail("BPFProgram", detachForeign(dir, f))
		}
	}
	return errs
}

// applyFirewall replaces both directions; the counters go on.
func applyFirewall(dir int, old, s *Settings) error {
	directions := []AttachType{unix.BPF_CGROUP_INET_INGRESS, unix.BPF_CGROUP_INET_EGRESS}
	if !s.filters() && !s.Count {
		if !old.filters() && !old.Count {
			return nil
		}
		return errors.Join(remove(dir, directions[0], nameFirewall), remove(dir, directions[1], nameFirewall))
	}
	verdicts := tables(s.Allow, s.Deny)
	maps := []int{-1, -1, -1}
	defer func() {
		for _, fd := range maps {
			if fd >= 0 {
				_ = unix.Close(fd)
			}
		}
	}()
	var err error
	for i := range 2 {
		if maps[i], err = prefixMap(verdicts, i == 1); err != nil {
			return err
		}
	}
	if s.Count {
		if maps[2], err = counters(dir); err != nil {
			maps[2], err = newCounters()
		}
		if err != nil {
			return err
		}
	}
	for i, at := range directions {
		p, err := load(nameFirewall, unix.BPF_PROG_TYPE_CGROUP_SKB, at, firewallProgram(i == 1, maps[0], maps[1], maps[2]))
		if err == nil {
			err = install(dir, at, p)
			p.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type mapInfo struct {
	mapType, id, key, value, entries, flags uint32
	name                                    [16]byte
}

// counters finds the map of a group's firewall; ENOENT without one. The descriptor is the caller's.
func counters(dir int) (int, error) {
	p, err := find(dir, unix.BPF_CGROUP_INET_INGRESS, nameFirewall)
	if err != nil {
		return -1, err
	}
	if p.fd < 0 {
		return -1, unix.ENOENT
	}
	defer unix.Close(p.fd)
	for _, id := range p.maps {
		fd, err := byID(unix.BPF_MAP_GET_FD_BY_ID, id)
		if err != nil {
			continue
		}
		var info mapInfo
		if objectInfo(fd, unsafe.Pointer(&info), unsafe.Sizeof(info)) == nil && unix.ByteSliceToString(info.name[:]) == nameCounters {
			return fd, nil
		}
		_ = unix.Close(fd)
	}
	return -1, unix.ENOENT
}

// Counted reads the traffic of a group; ENOENT if it isn't counted.
func Counted(dir int) (Traffic, error) {
	fd, err := counters(dir)
	if err != nil {
		return Traffic{}, err
	}
	defer unix.Close(fd)
	return readCounters(fd)
}

// ResetCounted sets the counters to zero.
func ResetCounted(dir int) error {
	fd, err := counters(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return element(unix.BPF_MAP_UPDATE_ELEM, fd, firstKey, make([]byte, trafficBytes))
}

// Equal compares two settings.
func (s *Settings) Equal(o *Settings) bool {
	return s.LimitDevices == o.LimitDevices && slices.Equal(s.Devices, o.Devices) &&
		slices.Equal(s.Allow, o.Allow) && slices.Equal(s.Deny, o.Deny) && s.Count == o.Count &&
		slices.Equal(s.BindAllow, o.BindAllow) && slices.Equal(s.BindDeny, o.BindDeny) &&
		s.LimitInterfaces == o.LimitInterfaces && s.DenyInterfaces == o.DenyInterfaces && slices.Equal(s.Interfaces, o.Interfaces) &&
		s.BoundInterface == o.BoundInterface && slices.Equal(s.Foreign, o.Foreign)
}

// Names lists the settings that are in use, by their directives.
func (s *Settings) Names() (list []string) {
	for _, n := range []struct {
		name string
		used bool
	}{{"DevicePolicy", s.LimitDevices}, {"IPAddressAllow", len(s.Allow) > 0}, {"IPAddressDeny", len(s.Deny) > 0}, {"IPAccounting", s.Count},
		{"SocketBindAllow", len(s.BindAllow) > 0}, {"SocketBindDeny", len(s.BindDeny) > 0}, {"RestrictNetworkInterfaces", s.LimitInterfaces},
		{"BindNetworkInterface", s.BoundInterface != 0}, {"BPFProgram", len(s.Foreign) > 0}} {
		if n.used {
			list = append(list, n.name)
		}
	}
	return list
}
