package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit/value"
)

// groupUsage is what one cgroup uses; -1 is not known.
type groupUsage struct {
	path                         string
	tasks                        int64
	cpuUSec, memory, read, write int64
	cpuPercent, readRate         float64
	writeRate                    float64
}

// cgtop is one run of systemd-cgtop(1).
type cgtop struct {
	*systemctl
	order      string
	batch, raw bool
	cpuTime    bool
	iterations int
	delay      time.Duration
	depth      int
	count      string // all, userspace, tasks
	group      string
	flat       bool // count only what is in the group itself
}

// cgtopTool is systemd-cgtop.
func cgtopTool(e *Env, args []string) int {
	c := &cgtop{systemctl: newSystemctl(e), order: "cpu", iterations: -1, delay: time.Second, depth: 3, count: "tasks"}
	defer c.close()
	order := func(o string) func(string) error { return func(string) error { c.order = o; return nil } }
	number := func(p *int) func(string) error {
		return func(v string) error {
			n, err := value.ParseUint(v, 31)
			if err != nil {
				return fmt.Errorf("Failed to parse number: %s", v)
			}
			*p = int(n)
			return nil
		}
	}
	machine := ""
	table := []option{
		{short: 'p', doc: "order by path", set: order("path")}, {short: 't', doc: "order by tasks", set: order("tasks")},
		{short: 'c', doc: "order by CPU", set: order("cpu")}, {short: 'm', doc: "order by memory", set: order("memory")}, {short: 'i', doc: "order by input and output", set: order("io")},
		{long: "order", arg: needsArgument, name: "WORD", doc: "order by path, tasks, cpu, memory or io", set: func(v string) error {
			if !contains([]string{"path", "tasks", "cpu", "memory", "io"}, v) {
				return fmt.Errorf("Invalid argument to --order=: %s", v)
			}
			c.order = v
			return nil
		}},
		{long: "raw", short: 'r', doc: "numbers without suffixes", set: setBool(&c.raw, true)},
		{long: "cpu", arg: mayHaveArgument, name: "TYPE", doc: "percentage or time", set: func(v string) error {
			if v != "" && v != "time" && v != "percentage" {
				return fmt.Errorf("Unknown argument to --cpu=: %s", v)
			}
			c.cpuTime = v == "time"
			return nil
		}},
		{short: 'k', doc: "count processes, also of the kernel", set: func(string) error { c.count = "all"; return nil }},
		{short: 'P', doc: "count processes", set: func(string) error { c.count = "userspace"; return nil }},
		{long: "recursive", arg: needsArgument, name: "BOOL", doc: "count processes of the groups below too", set: func(v string) error {
			b, err := value.ParseBool(v)
			if err != nil {
				return fmt.Errorf("Failed to parse --recursive= argument: %s", v)
			}
			c.flat = !b
			return nil
		}},
		{long: "batch", short: 'b', doc: "print and don't ask the terminal", set: setBool(&c.batch, true)},
		{short: '1', doc: "print once", set: func(string) error { c.iterations = 1; return nil }},
		{long: "iterations", short: 'n', arg: needsArgument, name: "NUMBER", doc: "how often", set: number(&c.iterations)},
		{long: "delay", short: 'd', arg: needsArgument, name: "SPAN", doc: "how long to wait", set: func(v string) error {
			n, err := value.ParseSec(v, value.USecPerSec)
			if err != nil || n == 0 {
				return fmt.Errorf("Failed to parse delay parameter '%s'", v)
			}
			c.delay = time.Duration(n) * time.Microsecond
			return nil
		}},
		{long: "depth", arg: needsArgument, name: "NUMBER", doc: "how deep", set: number(&c.depth)},
		{long: "machine", short: 'M', arg: needsArgument, name: "NAME", doc: "only the groups of a container", set: setString(&machine)},
	}
	words, status, done := e.parseTool("systemd-cgtop [OPTIONS...] [CGROUP]\n\nShow which cgroups use most.\n\nOptions:\n", table, args, false)
	if done {
		return status
	}
	if len(words) > 1 {
		e.errorf("Too many arguments.")
		return exitFailure
	}
	if len(words) == 1 {
		c.group = strings.TrimPrefix(words[0], cgroupRoot)
	}
	if machine != "" {
		s := newSystemctl(e)
		defer s.close()
		group, ok := s.machineGroup(machine)
		if !ok {
			return exitFailure
		}
		c.group = filepath.Join(group, c.group)
	}
	return c.loop()
}

// loop reads and prints until the iterations are done, or q is typed.
func (c *cgtop) loop() int {
	screen := c.OutTerminal && !c.batch
	if c.iterations < 0 && !screen {
		c.iterations = 1
	}
	var last map[string]groupUsage
	at := c.Now()
	for i := 0; ; i++ {
		now := c.Now()
		usage := map[string]groupUsage{}
		c.read(c.group, 0, usage)
		if len(usage) == 0 {
			c.errorf("Failed to read cgroup tree: No such file or directory")
			return exitFailure
		}
		rates(usage, last, now.Sub(at))
		last, at = usage, now
		if screen {
			c.printf("\x1b[H\x1b[2J\x1b[3J")
		} else if i > 0 {
			c.printf("\n")
		}
		c.printUsage(usage, screen)
		c.Flush()
		if c.iterations > 0 && i+1 >= c.iterations {
			return 0
		}
		if c.pause(screen) {
			return 0
		}
	}
}

// pause waits for the next round. quit says that q was typed.
func (c *cgtop) pause(screen bool) (quit bool) {
	if !screen || !c.InTerminal {
		time.Sleep(c.delay)
		return false
	}
	t, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		time.Sleep(c.delay)
		return false
	}
	saved := *t
	t.Lflag &^= unix.ICANON | unix.ECHO
	if unix.IoctlSetTermios(0, unix.TCSETS, t) != nil {
		return false
	}
	defer func() { _ = unix.IoctlSetTermios(0, unix.TCSETS, &saved) }()
	poll := []unix.PollFd{{Fd: 0, Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, int(c.delay/time.Millisecond)); err != nil || n == 0 {
		return false
	}
	var b [1]byte
	if n, err := unix.Read(0, b[:]); err != nil || n == 0 {
		return true
	}
	for key, order := range map[byte]string{'p': "path", 't': "tasks", 'c': "cpu", 'm': "memory", 'i': "io"} {
		if b[0] == key {
			c.order = order
		}
	}
	return b[0] == 'q'
}

// read collects the usage of a group and of those in it.
func (c *cgtop) read(group string, depth int, out map[string]groupUsage) {
	dir := c.path(filepath.Join(cgroupRoot, group))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	u := groupUsage{path: orDefault(strings.TrimPrefix(group, "/"), "/"), cpuUSec: -1, memory: -1, read: -1, write: -1}
	u.tasks = c.tasks(dir)
	for _, line := range strings.Split(readText(dir+"/cpu.stat"), "\n") {
		if v, ok := strings.CutPrefix(line, "usage_usec "); ok {
			u.cpuUSec = parseCount(v)
		}
	}
	if v := strings.TrimSpace(readText(dir + "/memory.current")); v != "" {
		u.memory = parseCount(v)
	}
	if text := readText(dir + "/io.stat"); text != "" {
		u.read, u.write = 0, 0
		for _, f := range strings.Fields(text) {
			if v, ok := strings.CutPrefix(f, "rbytes="); ok {
				u.read += parseCount(v)
			} else if v, ok := strings.CutPrefix(f, "wbytes="); ok {
				u.write += parseCount(v)
			}
		}
	}
	for _, e := range entries {
		if e.IsDir() && depth < c.depth {
			c.read(group+"/"+e.Name(), depth+1, out)
		}
	}
	if u.tasks > 0 || depth == 0 {
		out[u.path] = u
	}
}

func parseCount(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// tasks counts threads, or processes, of a group and those below it.
func (c *cgtop) tasks(dir string) int64 {
	if c.count == "tasks" {
		if v := strings.TrimSpace(readText(dir + "/pids.current")); v != "" {
			return parseCount(v)
		}
	}
	n := int64(len(strings.Fields(readText(dir + "/cgroup.procs"))))
	if c.flat {
		return n
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return n
	}
	for _, e := range entries {
		if e.IsDir() {
			n += c.tasks(dir + "/" + e.Name())
		}
	}
	return n
}

// rates tells from two readings how much is used per second.
func rates(now, last map[string]groupUsage, d time.Duration) {
	for path, u := range now {
		u.cpuPercent, u.readRate, u.writeRate = -1, -1, -1
		if l, ok := last[path]; ok && d > 0 {
			if u.cpuUSec >= 0 && l.cpuUSec >= 0 {
				u.cpuPercent = float64(u.cpuUSec-l.cpuUSec) / float64(d.Microseconds()) * 100
			}
			if u.read >= 0 && l.read >= 0 {
				u.readRate, u.writeRate = float64(u.read-l.read)/d.Seconds(), float64(u.write-l.write)/d.Seconds()
			}
		}
		now[path] = u
	}
}

func (c *cgtop) printUsage(usage map[string]groupUsage, screen bool) {
	list := make([]groupUsage, 0, len(usage))
	for _, path := range sortedKeys(usage) {
		list = append(list, usage[path])
	}
	sort.SliceStable(list, func(i, j int) bool { return c.less(&list[i], &list[j]) })
	width := 12
	for _, u := range list {
		width = max(width, textWidth(u.path))
	}
	rows := len(list)
	if screen {
		rows = min(rows, c.Lines-3)
		width = min(width, max(c.Columns-50, 12))
		c.printf("%s\n", c.in(colorUnderline, fmt.Sprintf("%-*s %7s %6s %8s %8s %8s", width, "CGroup", "Tasks", "%CPU", "Memory", "Input/s", "Output/s")))
	}
	for _, u := range list[:max(rows, 0)] {
		c.printf("%s\n", c.usageLine(&u, width))
	}
}

func (c *cgtop) usageLine(u *groupUsage, width int) string {
	number := func(v float64, format string) string {
		if v < 0 {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	size := func(v float64) string {
		if v < 0 {
			return "-"
		}
		if c.raw {
			return fmt.Sprintf("%.0f", v)
		}
		return value.FormatBytes(uint64(v))
	}
	cpu := number(u.cpuPercent, "%.1f")
	if c.cpuTime && u.cpuUSec >= 0 {
		cpu = value.FormatSpan(value.USec(u.cpuUSec), value.USecPerSec)
	}
	path := u.path
	return fmt.Sprintf("%s%s %7d %6s %8s %8s %8s", ellipsize(path, width, 33), spaces(width-textWidth(path)), u.tasks, cpu, size(float64(u.memory)), size(u.readRate), size(u.writeRate))
}

func (c *cgtop) less(a, b *groupUsage) bool {
	switch c.order {
	case "tasks":
		return a.tasks > b.tasks
	case "cpu":
		return a.cpuPercent > b.cpuPercent || a.cpuPercent == b.cpuPercent && c.cpuTime && a.cpuUSec > b.cpuUSec
	case "memory":
		return a.memory > b.memory
	case "io":
		return a.readRate+a.writeRate > b.readRate+b.writeRate
	}
	return a.path < b.path
}
