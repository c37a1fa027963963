package ctl

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// status shows units, given by name, pattern or pid, or without arguments the whole system.
func status(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	s.startPager(s.o.noPager)
	defer func() {
		if s.cut {
			s.printf("Hint: Some lines were ellipsized, use -l to show in full.\n")
		}
	}()
	if len(args) == 0 && len(s.o.types) == 0 && len(s.o.states) == 0 {
		if r := s.statusSystem(); r != 0 || !s.o.all {
			return r
		}
		return s.statusAll(false)
	}
	if len(args) == 0 {
		return s.statusAll(true)
	}
	r, first := 0, true
	separate := func() {
		if !first {
			s.printf("\n")
		}
		first = false
	}
	keep := func(got int) {
		if r == 0 {
			r = got
		}
	}
	var patterns []string
	for _, a := range args {
		pid, err := strconv.ParseUint(a, 10, 31)
		if err != nil {
			patterns = append(patterns, a)
			continue
		}
		path, err := s.callString("GetUnitByPID", uint32(pid))
		if err != nil {
			s.pidError(uint32(pid), err)
			keep(exitFailure)
			continue
		}
		name, _ := bus.UnitFromPath(bus.ObjectPath(path))
		keep(s.statusUnit(name, separate))
	}
	if len(patterns) == 0 {
		return r
	}
	names, _, ok := s.expandNames(patterns, ".service")
	if !ok {
		return exitFailure
	}
	if s.o.withDependencies {
		if names, ok = s.withDependencies(names); !ok {
			return exitFailure
		}
	}
	for _, n := range names {
		keep(s.statusUnit(n, separate))
	}
	return r
}

// pidError says why a pid has no unit.
func (s *systemctl) pidError(pid uint32, err error) {
	if hasName(err, bus.ErrNoSuchProcess) || unix.Kill(int(pid), 0) == unix.ESRCH {
		s.errorf("PID %d doesn't exist or is already gone.", pid)
		return
	}
	s.errorf("%s", errorText(err))
}

// statusAll shows every unit in memory that the options let through.
func (s *systemctl) statusAll(first bool) int {
	list, err := s.fetchUnits(s.o.states, nil)
	if err != nil {
		s.errorf("Failed to list units: %s", errorText(err))
		return exitFailure
	}
	sortUnits(list)
	r := 0
	for i := range list {
		if !s.shown(&list[i], nil) {
			continue
		}
		separate := func() {
			if !first {
				s.printf("\n")
			}
			first = false
		}
		if got := s.statusUnit(list[i].name, separate); r == 0 {
			r = got
		}
	}
	return r
}

// statusUnit shows one unit and gives the exit status for it (systemctl(1), "Exit status").
func (s *systemctl) statusUnit(name string, separate func()) int {
	list, err := getAll(s.bus, bus.UnitPath(name), "")
	if err != nil {
		s.errorf("Failed to get properties: %s", errorText(err))
		return exitFailure
	}
	p := indexProperties(list)
	if p.str("LoadState") == "not-found" && p.str("ActiveState") == "inactive" {
		s.errorf("Unit %s could not be found.", name)
		return exitNoSuchUnit
	}
	separate()
	s.printStatus(name, p, list)
	if p.boolean("NeedDaemonReload") {
		s.warnUnitChanged(p.str("Id"))
	}
	switch p.str("ActiveState") {
	case "active", "reloading", "refreshing":
		return 0
	case "inactive", "failed":
		if p.str("PIDFile") != "" && s.readFile(p.str("PIDFile")) != "" {
			return 1
		}
	}
	return exitNotRunning
}

// statusSystem shows the state of the manager and the tree of all processes.
func (s *systemctl) statusSystem() int {
	list, err := getAll(s.bus, bus.ManagerPath, managerIface)
	if err != nil {
		s.errorf("Failed to get properties: %s", errorText(err))
		return exitFailure
	}
	p := indexProperties(list)
	c := colorBrightGreen
	switch p.str("SystemState") {
	case "degraded":
		c = colorBrightRed
	case "running":
	default:
		c = colorBrightYellow
	}
	s.printf("%s %s\n", s.in(c, "●"), hostname())
	s.printf("    State: %s\n", s.in(c, p.str("SystemState")))
	s.printf("    Units: %d loaded (incl. loaded aliases)\n", p.number("NNames"))
	s.printf("     Jobs: %d queued\n", p.number("NJobs"))
	s.printf("   Failed: %d units\n", p.number("NFailedUnits"))
	since := value.USec(p.number("UserspaceTimestamp"))
	s.printf("    Since: %s; %s\n", value.FormatTimestamp(since, s.o.timestamp, s.Location), value.FormatRelative(since, s.now()))
	if v := p.str("Virtualization"); v != "" && v != "container-other" {
		s.printf("     Virt: %s\n", v)
	}
	s.printf("  systemd: %s\n", p.str("Version"))
	if t := p.str("Tainted"); t != "" {
		s.printf("  Tainted: %s\n", s.in(colorBrightYellow, t))
	}
	group := p.str("ControlGroup")
	processes, err := s.fetchProcesses(unit.RootSlice)
	if err != nil {
		return 0
	}
	s.printf("   CGroup: %s\n", orDefault(group, "/"))
	tree, extra := buildTree(group, processes)
	s.printTree(tree, extra, treeStyle{prefix: spaces(11), width: s.lineWidth()})
	return 0
}

// lineWidth is how long lines may be, 0 without a limit.
func (s *systemctl) lineWidth() int {
	if s.o.full || !s.OutTerminal || s.pager != nil {
		return 0
	}
	return s.Columns
}

func (s *systemctl) now() value.USec { return value.USec(s.Now().UnixMicro()) }
