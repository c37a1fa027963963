package value

import "strconv"

// namedNumber is an enumeration whose members have a name for people and a
// number for the kernel.
type namedNumber struct {
	name   string
	number int
}

func parseNamed(noun, s string, table []namedNumber, max int64) (int, error) {
	for _, e := range table {
		if e.name == s {
			return e.number, nil
		}
	}
	v, err := ParseUint(s, 31)
	if err != nil {
		return 0, invalid(noun, s)
	}
	if int64(v) > max {
		return 0, outOfRange(noun, s)
	}
	return int(v), nil
}

func formatNamed(n int, table []namedNumber) string {
	for _, e := range table {
		if e.number == n {
			return e.name
		}
	}
	return strconv.Itoa(n)
}

// IOClass is an IO scheduling class, by the kernel's number.
type IOClass int

var ioClasses = []namedNumber{{"none", 0}, {"realtime", 1}, {"best-effort", 2}, {"idle", 3}}

// ParseIOClass reads none, realtime, best-effort, idle or a number from 0 to 8.
func ParseIOClass(s string) (IOClass, error) {
	n, err := parseNamed("io scheduling class", s, ioClasses, 8)
	return IOClass(n), err
}

// String is the name, or the number of a class without one.
func (c IOClass) String() string { return formatNamed(int(c), ioClasses) }

// CPUPolicy is a CPU scheduling policy, by the kernel's number.
type CPUPolicy int

var cpuPolicies = []namedNumber{{"other", 0}, {"batch", 3}, {"idle", 5}, {"ext", 7}, {"fifo", 1}, {"rr", 2}}

// ParseCPUPolicy reads other, batch, idle, ext, fifo, rr or a number.
func ParseCPUPolicy(s string) (CPUPolicy, error) {
	n, err := parseNamed("cpu scheduling policy", s, cpuPolicies, 1<<31-1)
	return CPUPolicy(n), err
}

// String is the name, or the number of a policy without one.
func (p CPUPolicy) String() string { return formatNamed(int(p), cpuPolicies) }

// Priorities are the lowest and highest static priority of the policy,
// sched_get_priority_min(2).
func (p CPUPolicy) Priorities() (min, max int) {
	if p == 1 || p == 2 {
		return 1, 99
	}
	return 0, 0
}

// NUMAPolicy is a NUMA memory policy, by the kernel's number.
type NUMAPolicy int

var numaPolicies = []namedNumber{{"default", 0}, {"preferred", 1}, {"bind", 2}, {"interleave", 3}, {"local", 4}}

// ParseNUMAPolicy reads default, preferred, bind, interleave or local.
func ParseNUMAPolicy(s string) (NUMAPolicy, error) {
	for _, e := range numaPolicies {
		if e.name == s {
			return NUMAPolicy(e.number), nil
		}
	}
	return 0, invalid("numa policy", s)
}

// String is the name.
func (p NUMAPolicy) String() string { return formatNamed(int(p), numaPolicies) }

// LogLevel is a syslog level, 0 (emerg) to 7 (debug).
type LogLevel int

var logLevels = []namedNumber{{"emerg", 0}, {"alert", 1}, {"crit", 2}, {"err", 3}, {"warning", 4}, {"notice", 5}, {"info", 6}, {"debug", 7}}

// ParseLogLevel reads a level by name or number.
func ParseLogLevel(s string) (LogLevel, error) {
	n, err := parseNamed("log level", s, logLevels, 7)
	return LogLevel(n), err
}

// String is the name.
func (l LogLevel) String() string { return formatNamed(int(l), logLevels) }

// LogFacility is a syslog facility, not shifted.
type LogFacility int

var logFacilities = []namedNumber{
	{"kern", 0}, {"user", 1}, {"mail", 2}, {"daemon", 3}, {"auth", 4}, {"syslog", 5}, {"lpr", 6}, {"news", 7},
	{"uucp", 8}, {"cron", 9}, {"authpriv", 10}, {"ftp", 11}, {"local0", 16}, {"local1", 17}, {"local2", 18},
	{"local3", 19}, {"local4", 20}, {"local5", 21}, {"local6", 22}, {"local7", 23},
}

// ParseLogFacility reads a facility by name or number.
func ParseLogFacility(s string) (LogFacility, error) {
	n, err := parseNamed("log facility", s, logFacilities, 127)
	return LogFacility(n), err
}

// String is the name, or the number of a facility without one.
func (f LogFacility) String() string { return formatNamed(int(f), logFacilities) }

// ParseNice reads a nice level from -20 to 19.
func ParseNice(s string) (int, error) {
	n, err := ParseIntRange(s, -20, 19)
	return int(n), err
}
