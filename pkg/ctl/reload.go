package ctl

import "github.com/muster-init/muster/pkg/bus"

// daemonReload is daemon-reload and daemon-reexec.
func daemonReload(s *systemctl, name string, _ []string) int {
	if !s.online() {
		return exitFailure
	}
	return s.reloadManager(name)
}

// reloadManager asks for a reload, or a re-execution, whose answer is the end of the connection.
func (s *systemctl) reloadManager(name string) int {
	method := "Reload"
	if name == "daemon-reexec" {
		method = "Reexecute"
	}
	m := makeCall(bus.ManagerPath, managerIface, method)
	if s.o.noBlock {
		m.Flags |= bus.FlagNoReply
		if err := s.bus.Send(m); err != nil {
			s.errorf("Failed to reload daemon: %s", errorText(err))
			return exitFailure
		}
		return 0
	}
	s.bus.Timeout = longCall
	_, err := s.bus.Call(m)
	s.bus.Timeout = 0
	if err != nil && method == "Reexecute" && hasName(err, bus.ErrDisconnected, bus.ErrNoReply) {
		err = nil
	}
	if err != nil {
		what := "reload"
		if method == "Reexecute" {
			what = "reexecute"
		}
		s.errorf("Failed to %s daemon: %s", what, errorText(err))
		return exitFailure
	}
	return 0
}
