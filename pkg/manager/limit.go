package manager

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
)

// Limits of open files that programs get which are no service: more than the soft one breaks those that use select(2).
const (
	helperFilesSoft = 1024
	helperFilesHard = 512 << 10
)

// raiseFileLimit lets the manager hold as many descriptors as the kernel allows: one unit may listen on tens of thousands of addresses.
// What it starts gets limits of its own (DefaultLimitNOFILE=).
func raiseFileLimit() {
	limit := uint64(1 << 20)
	if data, err := os.ReadFile("/proc/sys/fs/nr_open"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err == nil {
			limit = n
		}
	}
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil) == nil {
		return
	}
	// Not allowed to go beyond what it was given (a container): that, then.
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		_ = unix.Prlimit(0, unix.RLIMIT_NOFILE, &l, nil)
	}
}

// helperLimits gives a helper the limits of an ordinary program.
func helperLimits(list *kernel.OpList) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		list.Setrlimit(generatorStatus, unix.RLIMIT_NOFILE, min(helperFilesSoft, l.Max), min(helperFilesHard, l.Max))
	}
}
