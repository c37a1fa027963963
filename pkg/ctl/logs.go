package ctl

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// muster's own interface, see pkg/busapi.
const (
	ownPath  bus.ObjectPath = "/io/muster/Manager1"
	ownIface                = "io.muster.Manager1"
)

// logRecord is one line of the manager's memory log.
type logRecord struct {
	realtimeUSec, monotonicUSec uint64
	unit                        string
	pid                         int32
	priority                    byte
	manager                     bool
	identifier, text            string
}

// fetchLogs asks the manager for the last n lines of a unit, or for up to n after cursor.
func fetchLogs(c *bus.Client, name string, n uint32, cursor uint64) (list []logRecord, next uint64, lost bool, err error) {
	r, err := c.Call(makeCall(ownPath, ownIface, "Logs", name, n, cursor))
	if err != nil {
		return nil, cursor, false, err
	}
	d, err := r.Args("a(ttsiybss)tb")
	if err != nil {
		return nil, cursor, false, err
	}
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		list = append(list, logRecord{d.Uint64(), d.Uint64(), d.String(), d.Int32(), d.Byte(), d.Bool(), d.String(), d.String()})
	}
	next, lost = d.Uint64(), d.Bool()
	return list, next, lost, d.Err()
}

// journalctl is the journal's reader, "" where there is none or no journal to read.
func (s *systemctl) journalctl() string {
	if s.Root != "" {
		return ""
	}
	for _, dir := range []string{"/run/log/journal", "/var/log/journal"} {
		if names, err := filepath.Glob(s.path(dir) + "/*/*.journal"); err == nil && len(names) > 0 {
			if p, err := exec.LookPath("journalctl"); err == nil {
				return p
			}
		}
	}
	return ""
}

// printLogs prints the newest log lines of a unit since it was started, after an empty line, if there are any.
func (s *systemctl) printLogs(name string, p properties) {
	if s.o.lines == 0 {
		return
	}
	if tool := s.journalctl(); tool != "" {
		s.printJournal(tool, name, p)
		return
	}
	list, _, _, err := fetchLogs(s.bus, name, uint32(s.o.lines), 0)
	if err != nil || len(list) == 0 {
		return
	}
	s.printf("\n")
	for _, r := range list {
		s.printRecord(r)
	}
}

// printJournal runs journalctl for what status shows.
func (s *systemctl) printJournal(tool, name string, p properties) {
	since := p.number("InactiveExitTimestamp")
	args := []string{"-q", "--no-pager", "-b", "-n", strconv.Itoa(s.o.lines), "-o", s.o.output}
	if s.o.scope == scopeUser {
		args = append(args, "--user-unit="+name)
	} else {
		args = append(args, "--unit="+name)
	}
	if since != 0 {
		args = append(args, fmt.Sprintf("--since=@%d.%06d", since/1000000, since%1000000))
	}
	if s.OutTerminal && !s.o.full && s.pager == nil {
		args = append(args, "--no-full")
	}
	out := s.runTool(tool, args)
	if s.lineWidth() > 0 && bytes.Contains(out, []byte("…")) {
		s.cut = true
	}
	lines := bytes.Count(out, []byte("\n"))
	incomplete := lines < s.o.lines && since != 0 && s.journalStart(tool) > p.number("InactiveExitTimestampMonotonic")
	if lines == 0 && !incomplete {
		return
	}
	s.printf("\n%s", out)
	if incomplete {
		s.warnf("Notice: journal has been rotated since unit was started, output may be incomplete.")
	}
}

// journalStart is the monotonic time of the oldest line of this boot, 0 when it isn't known.
func (s *systemctl) journalStart(tool string) uint64 {
	out := s.runTool(tool, []string{"-q", "--no-pager", "-b", "-n", "+1", "-o", "export", "--output-fields=PRIORITY"})
	for _, line := range strings.Split(string(out), "\n") {
		if v, ok := strings.CutPrefix(line, "__MONOTONIC_TIMESTAMP="); ok {
			n, _ := strconv.ParseUint(v, 10, 64)
			return n
		}
	}
	return 0
}

// runTool gives what a program printed, which is nothing when it can't be run.
func (s *systemctl) runTool(tool string, args []string) []byte {
	cmd := exec.Command(tool, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Env = append(cmd.Environ(), "SYSTEMD_PAGER=", "COLUMNS="+strconv.Itoa(s.Columns))
	if s.colors() {
		cmd.Env = append(cmd.Env, "SYSTEMD_COLORS="+s.colorMode())
	} else {
		cmd.Env = append(cmd.Env, "SYSTEMD_COLORS=0")
	}
	if cmd.Run() != nil {
		return nil
	}
	return out.Bytes()
}

// printRecord prints one line of the memory log in the output mode that was asked for; modes that only the journal has are as short.
func (s *systemctl) printRecord(r logRecord) {
	who := r.identifier
	if who == "" && r.manager {
		who = "systemd"
	}
	if who == "" {
		who = strings.TrimSuffix(r.unit, ".service")
	}
	pid := r.pid
	if pid == 0 && r.manager {
		pid = 1
	}
	if pid != 0 {
		who += fmt.Sprintf("[%d]", pid)
	}
	switch s.o.output {
	case "cat":
		s.printf("%s\n", s.inPriority(r.priority, r.text))
		return
	case "json", "json-pretty", "json-seq", "json-sse":
		s.printf("%s\n", formatJSON(r.object(), s.o.output == "json-pretty"))
		return
	}
	line := fmt.Sprintf("%s %s %s: %s", s.recordTime(r), hostname(), who, s.inPriority(r.priority, r.text))
	if s.OutTerminal && !s.o.full && s.pager == nil && !s.colors() {
		line = ellipsize(line, s.Columns, 100)
	}
	s.printf("%s\n", line)
}

func (r *logRecord) object() jsonObject {
	return jsonObject{
		{"__REALTIME_TIMESTAMP", strconv.FormatUint(r.realtimeUSec, 10)}, {"__MONOTONIC_TIMESTAMP", strconv.FormatUint(r.monotonicUSec, 10)},
		{"UNIT", r.unit}, {"_PID", strconv.Itoa(int(r.pid))}, {"PRIORITY", strconv.Itoa(int(r.priority))},
		{"SYSLOG_IDENTIFIER", r.identifier}, {"MESSAGE", r.text},
	}
}

func (s *systemctl) recordTime(r logRecord) string {
	t := time.UnixMicro(int64(r.realtimeUSec)).In(s.Location)
	switch s.o.output {
	case "short-iso":
		return t.Format("2006-01-02T15:04:05-07:00")
	case "short-iso-precise":
		return t.Format("2006-01-02T15:04:05.000000-07:00")
	case "short-precise":
		return t.Format("Jan 02 15:04:05.000000")
	case "short-full":
		return value.FormatTimestamp(value.USec(r.realtimeUSec), value.TimestampPretty, s.Location)
	case "short-monotonic":
		return fmt.Sprintf("[%12s]", fmt.Sprintf("%d.%06d", r.monotonicUSec/1000000, r.monotonicUSec%1000000))
	case "short-unix":
		return fmt.Sprintf("%d.%06d", r.realtimeUSec/1000000, r.realtimeUSec%1000000)
	}
	return t.Format("Jan 02 15:04:05")
}

// inPriority colours a message by its syslog priority.
func (e *Env) inPriority(priority byte, text string) string {
	switch {
	case priority <= 3:
		return e.in(colorBrightRed, text)
	case priority == 4:
		return e.in(colorBrightYellow, text)
	case priority == 5:
		return e.in(colorBold, text)
	case priority == 7:
		return e.in(colorGrey, text)
	}
	return text
}

func hostname() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "localhost"
	}
	return unix.ByteSliceToString(u.Nodename[:])
}
