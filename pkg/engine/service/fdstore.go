package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// storedName is what descriptors are called that come without FDNAME=.
const storedName = "stored"

func closeAll(h machine.Host, fds []machine.Handle) {
	for _, fd := range fds {
		h.Emit(machine.CloseHandle{Handle: fd})
	}
}

// store is FDSTORE=1.
func (m *Machine) store(h machine.Host, fds []machine.Handle, name string, poll bool) {
	if name != "" && !machine.ValidFDName(name) {
		h.Log(control.LogWarning, "", "Passed FDNAME= name is invalid, ignoring.")
		name = ""
	}
	if name == "" {
		name = storedName
	}
	limit := h.Unit().GetService().FileDescriptorStoreMax
	for i, fd := range fds {
		if m.stored(fd) {
			h.Log(control.LogDebug, "", "Suppressing duplicate fd in fd store.")
			continue
		}
		if uint32(len(m.s.Store)) >= limit {
			h.Log(control.LogWarning, "", "Hit fd store limit.")
			closeAll(h, m.unknown(fds[i:]))
			return
		}
		// The newest comes first, as in $LISTEN_FDNAMES.
		m.s.Store = append([]Stored{{Handle: fd, Name: name, Poll: poll}}, m.s.Store...)
		if poll {
			h.Emit(machine.PollHandle{Handle: fd})
		}
		h.Log(control.LogDebug, "", "Added fd to fd store ("+name+").")
		m.dirty = true
	}
}

func (m *Machine) stored(fd machine.Handle) bool {
	for _, s := range m.s.Store {
		if s.Handle == fd {
			return true
		}
	}
	return false
}

func (m *Machine) unknown(fds []machine.Handle) []machine.Handle {
	var out []machine.Handle
	for _, fd := range fds {
		if !m.stored(fd) {
			out = append(out, fd)
		}
	}
	return out
}

// unstore is FDSTOREREMOVE=1.
func (m *Machine) unstore(h machine.Host, name string) {
	if !machine.ValidFDName(name) {
		h.Log(control.LogWarning, "", "FDSTOREREMOVE=1 requires a valid FDNAME=, ignoring.")
		return
	}
	m.removeStored(h, func(s Stored) bool { return s.Name == name })
}

// handleHangup: the other end of a stored descriptor is gone.
func (m *Machine) handleHangup(h machine.Host, fd machine.Handle) {
	m.removeStored(h, func(s Stored) bool { return s.Handle == fd })
}

// releaseStore drops the whole fd store.
func (m *Machine) releaseStore(h machine.Host) {
	m.removeStored(h, func(Stored) bool { return true })
}

func (m *Machine) removeStored(h machine.Host, drop func(Stored) bool) {
	var kept []Stored
	for _, s := range m.s.Store {
		if drop(s) {
			h.Emit(machine.CloseHandle{Handle: s.Handle})
		} else {
			kept = append(kept, s)
		}
	}
	if len(kept) == len(m.s.Store) {
		return
	}
	m.s.Store = kept
	m.dirty = true
	if len(kept) == 0 && m.s.Sub == DeadResourcesPinned {
		m.setState(h, Dead)
	}
}

// Release drops the fd store of a service that is down for good, unless it is to be kept.
func (m *Machine) Release(h machine.Host) {
	m.release(h)
	m.finish(h)
}

func (m *Machine) release(h machine.Host) {
	switch m.s.Sub {
	case Dead, Failed, DeadResourcesPinned:
		m.dropConnection(h)
		m.dropGiven(h)
		if h.Unit().GetService().FileDescriptorStorePreserve != "yes" {
			m.releaseStore(h)
		}
	}
}
