package manager

import (
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// configDirectories hold system.conf.d and user.conf.d, later ones win by file name (systemd-system.conf(5)).
var configDirectories = []string{"/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd"}

// loadManagerConfig reads system.conf (or user.conf) with its drop-ins.
func loadManagerConfig(system bool, settings []string) (*unit.ManagerConfig, []string, error) {
	name := "system.conf"
	if !system {
		name = "user.conf"
	}
	var files []unit.File
	for i := len(configDirectories) - 1; i >= 0; i-- {
		if data, err := os.ReadFile(filepath.Join(configDirectories[i], name)); err == nil {
			files = append(files, unit.File{Path: filepath.Join(configDirectories[i], name), Text: string(data)})
			break
		}
	}
	byName := map[string]string{}
	for _, dir := range configDirectories {
		entries, _ := filepath.Glob(filepath.Join(dir, name+".d", "*.conf"))
		for _, path := range entries {
			byName[filepath.Base(path)] = path
		}
	}
	names := make([]string, 0, len(byName))
	for n := range byName {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if data, err := os.ReadFile(byName[n]); err == nil {
			files = append(files, unit.File{Path: byName[n], Text: string(data)})
		}
	}
	if len(settings) > 0 {
		files = append(files, unit.File{Path: "command line", Text: "[Manager]\n" + strings.Join(settings, "\n") + "\n"})
	}
	cfg := unit.DefaultManagerConfig(system)
	memory, tasks := totals()
	messages := unit.ReadManagerConfig(&unit.Host{User: !system, MemoryTotal: memory, TasksTotal: tasks}, cfg, files)
	text := make([]string, len(messages))
	for i, msg := range messages {
		text[i] = msg.String()
	}
	return cfg, text, nil
}

// readConfiguration is the boot step; a reload does the same on a worker.
func (m *Manager) readConfiguration() error {
	cfg, messages, err := loadManagerConfig(m.system, m.opt.Settings)
	if err != nil {
		return err
	}
	m.applyConfig(cfg)
	for _, msg := range messages {
		m.log.warning("", "%s", msg)
	}
	return nil
}

// applyConfig takes over a configuration; options of the command line weigh more.
func (m *Manager) applyConfig(cfg *unit.ManagerConfig) {
	if m.opt.DefaultStdout != "" {
		cfg.DefaultStandardOutput = m.opt.DefaultStdout
	}
	if m.opt.DefaultStderr != "" {
		cfg.DefaultStandardError = m.opt.DefaultStderr
	}
	m.watchdogOverride.over(cfg)
	m.cfg = cfg
	m.setOwnEnvironment(cfg.ManagerEnvironment)
	level, target, status := int(cfg.LogLevel), cfg.LogTarget, cfg.ShowStatus
	if m.opt.LogLevel >= 0 {
		level = m.opt.LogLevel
	} else if n, err := value.ParseLogLevel(os.Getenv("SYSTEMD_LOG_LEVEL")); err == nil {
		level = int(n) // by ManagerEnvironment=
	}
	if m.opt.LogTarget != "" {
		target = m.opt.LogTarget
	}
	if m.opt.ShowStatus != "" {
		status = m.opt.ShowStatus
	}
	if status == "" {
		status = "yes"
	}
	m.log.configure(level, target)
	m.log.time, m.log.location = cfg.LogTime, cfg.LogLocation
	m.console.configure(status, cfg.LogColor.Or(true))
	m.environment = value.MergeEnvironment(m.defaultEnvironment(), m.clientEnvironment)
	m.memoryTotal, m.pidsTotal = totals()
	if m.watch != nil {
		m.watch.apply(settingsOf(cfg))
	}
	if m.src != nil {
		m.src.SetDefaults(m.unitDefaults())
	}
}

// totals are what shares (MemoryMax=10%, TasksMax=20%) refer to: bytes of memory and the number of pids.
func totals() (memory, pids uint64) {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		memory = uint64(info.Totalram) * uint64(info.Unit)
	}
	pids = 4194304
	if n, err := readNumber("/proc/sys/kernel/pid_max"); err == nil {
		pids = n
	}
	if n, err := readNumber("/proc/sys/kernel/threads-max"); err == nil && n < pids {
		pids = n
	}
	return memory, pids
}

func readNumber(path string) (uint64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
}
