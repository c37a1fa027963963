package manager

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// swapSource follows /proc/swaps.
type swapSource struct {
	m     *Manager
	table *kernel.SwapTable
}

// swapsSupported reports whether swapping is ours: in a container it is the host's.
func (m *Manager) swapsSupported() bool {
	return m.system && !m.container && unix.Access("/proc/swaps", unix.F_OK) == nil
}

// openSwaps begins to follow the table of swap areas, with what is used now.
func (m *Manager) openSwaps() error {
	if !m.swapsSupported() {
		return nil
	}
	table, err := kernel.OpenSwapTable()
	if err != nil {
		return err
	}
	m.swaps = &swapSource{m: m, table: table}
	if err := m.sources.add(table.FD(), unix.EPOLLPRI, prioMounts, sourceFunc(func(uint32) { m.swaps.read() })); err != nil {
		return err
	}
	m.swaps.read()
	return nil
}

func (s *swapSource) read() {
	list, err := s.table.Read()
	if err != nil {
		s.m.log.err("", "%v", err)
		if list == nil {
			return
		}
	}
	var ev machine.SwapTable
	for _, e := range list {
		if e.Deleted || !strings.HasPrefix(e.File, "/") {
			continue
		}
		ev.Swaps = append(ev.Swaps, machine.SwapInfo{What: e.File, Priority: int32(e.Priority)})
		for _, link := range s.m.swapLinks(e.File) {
			ev.Swaps = append(ev.Swaps, machine.SwapInfo{What: link, Priority: int32(e.Priority)})
		}
	}
	s.m.submit(ev)
}

// swapLinks lists what loaded swap units call an area by, beside the name that the kernel has for it: symbolic links in /dev.
func (m *Manager) swapLinks(file string) (links []string) {
	for _, u := range m.eng.Units() {
		cfg := u.Config()
		if cfg.Type != unit.TypeSwap {
			continue
		}
		what := cfg.GetSwap().What
		if what == file || !strings.HasPrefix(what, "/dev/") {
			continue
		}
		if real, err := filepath.EvalSymlinks(what); err == nil && real == file {
			links = append(links, what)
		}
	}
	return links
}

// beforeExits reads the table if one of the processes that have ended may have changed it.
func (s *swapSource) beforeExits(ended []kernel.Exit) {
	if s == nil {
		return
	}
	for _, exit := range ended {
		if c := s.m.spawner.children[int32(exit.Pid)]; c != nil && (c.phase == machine.ExecActivate || c.phase == machine.ExecDeactivate) {
			s.read()
			return
		}
	}
}
