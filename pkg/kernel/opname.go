package kernel

import "strconv"

// An OpName says what an op is for, in messages about its failure.
type OpName uint16

// The names of ops. Numbers are private to one process.
const (
	OpOther OpName = iota
	OpSetsid
	OpDup
	OpCloseRange
	OpClose
	OpUmask
	OpRlimit
	OpNice
	OpIoprio
	OpSched
	OpAffinity
	OpMempolicy
	OpOpen
	OpWrite
	OpTTY
	OpChdir
	OpChroot
	OpNamespace
	OpSignal
	OpPidString
	OpGroups
	OpGroup
	OpUser
	OpKeepCaps
	OpSecurebits
	OpNoNewPrivileges
	OpPdeathsig
	OpTimerSlack
	OpPersonality
	OpCommand
	OpBounding
	OpCapset
	OpAmbient
	OpSeccomp
	OpKeyring
	OpMount
	OpPidFD
	OpExec
	OpExit
	opNameCount
)

var opNames = [opNameCount]string{
	OpOther: "system call", OpSetsid: "setsid", OpDup: "dup", OpCloseRange: "close_range", OpClose: "close",
	OpUmask: "umask", OpRlimit: "setrlimit", OpNice: "setpriority", OpIoprio: "ioprio_set",
	OpSched: "sched_setattr", OpAffinity: "sched_setaffinity", OpMempolicy: "set_mempolicy", OpOpen: "open",
	OpWrite: "write", OpTTY: "TIOCSCTTY", OpChdir: "chdir", OpChroot: "chroot", OpNamespace: "unshare",
	OpSignal: "sigaction", OpPidString: "getpid", OpGroups: "setgroups", OpGroup: "setresgid",
	OpUser: "setresuid", OpKeepCaps: "PR_SET_KEEPCAPS", OpSecurebits: "PR_SET_SECUREBITS",
	OpNoNewPrivileges: "PR_SET_NO_NEW_PRIVS", OpPdeathsig: "PR_SET_PDEATHSIG", OpTimerSlack: "PR_SET_TIMERSLACK",
	OpPersonality: "personality", OpCommand: "PR_SET_NAME", OpBounding: "PR_CAPBSET_DROP", OpCapset: "capset",
	OpAmbient: "PR_CAP_AMBIENT", OpSeccomp: "seccomp", OpKeyring: "keyctl", OpMount: "mount", OpPidFD: "pidfd_open", OpExec: "execve",
	OpExit: "exit_group",
}

// String is the system call or option the op stands for.
func (n OpName) String() string {
	if n < opNameCount {
		return opNames[n]
	}
	return "op " + strconv.Itoa(int(n))
}

func itoa(n int) string { return strconv.Itoa(n) }
