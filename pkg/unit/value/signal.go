package value

import (
	"strconv"
	"strings"
)

// Signal is a signal number as on Linux for all but alpha, mips and sparc.
type Signal int

// Signals the manager itself deals with, and the real-time range.
const (
	SIGHUP   Signal = 1
	SIGINT   Signal = 2
	SIGABRT  Signal = 6
	SIGKILL  Signal = 9
	SIGUSR1  Signal = 10
	SIGUSR2  Signal = 12
	SIGPIPE  Signal = 13
	SIGTERM  Signal = 15
	SIGCONT  Signal = 18
	SIGRTMIN Signal = 34
	SIGRTMAX Signal = 64
)

var signalNames = [...]string{
	"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1",
	"SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP",
	"TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// ParseSignal reads a signal: a number, a name with or without SIG, RTMIN+n or
// RTMAX-n. Names are in upper case.
func ParseSignal(s string) (Signal, error) {
	if n, err := ParseInt(s, 32); err == nil {
		if n < 1 || n > int64(SIGRTMAX) {
			return 0, outOfRange("signal", s)
		}
		return Signal(n), nil
	}
	name := strings.TrimPrefix(s, "SIG")
	for i := 1; i < len(signalNames); i++ {
		if signalNames[i] == name {
			return Signal(i), nil
		}
	}
	if offset, ok := strings.CutPrefix(name, "RTMIN"); ok {
		n, err := realTimeOffset(s, offset, '+')
		return SIGRTMIN + n, err
	}
	if offset, ok := strings.CutPrefix(name, "RTMAX"); ok {
		n, err := realTimeOffset(s, offset, '-')
		return SIGRTMAX - n, err
	}
	return 0, invalid("signal", s)
}

func realTimeOffset(s, offset string, sign byte) (Signal, error) {
	if offset == "" {
		return 0, nil
	}
	if offset[0] != sign || countDigits(offset[1:]) == 0 {
		return 0, invalid("signal", s)
	}
	n, err := ParseUint(offset[1:], 32)
	if err != nil {
		return 0, invalid("signal", s)
	}
	if n > uint64(SIGRTMAX-SIGRTMIN) {
		return 0, outOfRange("signal", s)
	}
	return Signal(n), nil
}

// Valid says whether the number is that of a signal.
func (s Signal) Valid() bool { return s >= 1 && s <= SIGRTMAX }

// Name is the name without SIG: "TERM", "RTMIN+3", or the number where a signal
// has no name.
func (s Signal) Name() string {
	switch {
	case s >= 1 && int(s) < len(signalNames):
		return signalNames[s]
	case s >= SIGRTMIN && s <= SIGRTMAX:
		return "RTMIN+" + strconv.Itoa(int(s-SIGRTMIN))
	}
	return strconv.Itoa(int(s))
}

// String is the name with SIG as systemctl shows it: "SIGTERM", "SIGRTMIN+3",
// also "SIG32"; the plain number for what is not a signal. Only Name is always
// read back.
func (s Signal) String() string {
	if !s.Valid() {
		return strconv.Itoa(int(s))
	}
	return "SIG" + s.Name()
}

// Signals are all signals in order of number, those libc keeps for itself
// included, as `systemctl kill --signal=list` has them.
func Signals() []Signal {
	list := make([]Signal, 0, SIGRTMAX)
	for s := Signal(1); s <= SIGRTMAX; s++ {
		list = append(list, s)
	}
	return list
}
