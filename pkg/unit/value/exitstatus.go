package value

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"
)

// ExitStatus is what a process passed to exit(), 0 to 255.
type ExitStatus uint8

// Exit statuses of the spawning code, as systemd uses them
// (systemd.exec(5), Process Exit Codes).
const (
	ExitSuccess                ExitStatus = 0
	ExitFailure                ExitStatus = 1
	ExitChdir                  ExitStatus = 200 // working directory
	ExitNice                   ExitStatus = 201 // nice level
	ExitFDs                    ExitStatus = 202 // closing or arranging fds
	ExitExec                   ExitStatus = 203 // execve failed
	ExitMemory                 ExitStatus = 204 // out of memory
	ExitLimits                 ExitStatus = 205 // resource limits
	ExitOOMAdjust              ExitStatus = 206 // oom score
	ExitSignalMask             ExitStatus = 207 // signal mask
	ExitStdin                  ExitStatus = 208 // standard input
	ExitStdout                 ExitStatus = 209 // standard output
	ExitChroot                 ExitStatus = 210 // root directory
	ExitIOPriority             ExitStatus = 211 // io priority
	ExitTimerSlack             ExitStatus = 212 // timer slack
	ExitSecureBits             ExitStatus = 213 // secure bits
	ExitSetScheduler           ExitStatus = 214 // cpu scheduling
	ExitCPUAffinity            ExitStatus = 215 // cpu affinity
	ExitGroup                  ExitStatus = 216 // group
	ExitUser                   ExitStatus = 217 // user or user namespace
	ExitCapabilities           ExitStatus = 218 // capabilities
	ExitCgroup                 ExitStatus = 219 // control group
	ExitSetSID                 ExitStatus = 220 // new session
	ExitConfirm                ExitStatus = 221 // start refused by confirm spawn
	ExitStderr                 ExitStatus = 222 // standard error
	ExitPAM                    ExitStatus = 224 // pam session
	ExitNetwork                ExitStatus = 225 // network namespace
	ExitNamespace              ExitStatus = 226 // mount, uts or ipc namespace
	ExitNoNewPrivileges        ExitStatus = 227 // no new privileges
	ExitSeccomp                ExitStatus = 228 // system call filter
	ExitSELinuxContext         ExitStatus = 229 // selinux context
	ExitPersonality            ExitStatus = 230 // execution domain
	ExitAppArmor               ExitStatus = 231 // apparmor profile
	ExitAddressFamilies        ExitStatus = 232 // address families
	ExitRuntimeDirectory       ExitStatus = 233 // runtime directory
	ExitChown                  ExitStatus = 235 // socket ownership
	ExitSmackProcessLabel      ExitStatus = 236 // smack label
	ExitKeyring                ExitStatus = 237 // kernel keyring
	ExitStateDirectory         ExitStatus = 238 // state directory
	ExitCacheDirectory         ExitStatus = 239 // cache directory
	ExitLogsDirectory          ExitStatus = 240 // log directory
	ExitConfigurationDirectory ExitStatus = 241 // configuration directory
	ExitNUMAPolicy             ExitStatus = 242 // numa policy
	ExitCredentials            ExitStatus = 243 // credentials
	ExitBPF                    ExitStatus = 244 // bpf restrictions
	ExitKSM                    ExitStatus = 245 // kernel samepage merging
	ExitMemoryTHP              ExitStatus = 246 // transparent huge pages
	ExitException              ExitStatus = 255 // abnormal exit of the spawning code
)

// ExitStatusClass says who gave an exit status its meaning.
type ExitStatusClass string

// Classes of exit statuses.
const (
	ExitClassNone    ExitStatusClass = ""
	ExitClassLibc    ExitStatusClass = "libc"
	ExitClassLSB     ExitStatusClass = "LSB"
	ExitClassBSD     ExitStatusClass = "BSD"
	ExitClassSystemd ExitStatusClass = "systemd"
)

type exitStatusName struct {
	status ExitStatus
	name   string
	class  ExitStatusClass
}

var exitStatusNames = [...]exitStatusName{
	{0, "SUCCESS", ExitClassLibc},
	{1, "FAILURE", ExitClassLibc},
	{2, "INVALIDARGUMENT", ExitClassLSB},
	{3, "NOTIMPLEMENTED", ExitClassLSB},
	{4, "NOPERMISSION", ExitClassLSB},
	{5, "NOTINSTALLED", ExitClassLSB},
	{6, "NOTCONFIGURED", ExitClassLSB},
	{7, "NOTRUNNING", ExitClassLSB},
	{64, "USAGE", ExitClassBSD},
	{65, "DATAERR", ExitClassBSD},
	{66, "NOINPUT", ExitClassBSD},
	{67, "NOUSER", ExitClassBSD},
	{68, "NOHOST", ExitClassBSD},
	{69, "UNAVAILABLE", ExitClassBSD},
	{70, "SOFTWARE", ExitClassBSD},
	{71, "OSERR", ExitClassBSD},
	{72, "OSFILE", ExitClassBSD},
	{73, "CANTCREAT", ExitClassBSD},
	{74, "IOERR", ExitClassBSD},
	{75, "TEMPFAIL", ExitClassBSD},
	{76, "PROTOCOL", ExitClassBSD},
	{77, "NOPERM", ExitClassBSD},
	{78, "CONFIG", ExitClassBSD},
	{200, "CHDIR", ExitClassSystemd},
	{201, "NICE", ExitClassSystemd},
	{202, "FDS", ExitClassSystemd},
	{203, "EXEC", ExitClassSystemd},
	{204, "MEMORY", ExitClassSystemd},
	{205, "LIMITS", ExitClassSystemd},
	{206, "OOM_ADJUST", ExitClassSystemd},
	{207, "SIGNAL_MASK", ExitClassSystemd},
	{208, "STDIN", ExitClassSystemd},
	{209, "STDOUT", ExitClassSystemd},
	{210, "CHROOT", ExitClassSystemd},
	{211, "IOPRIO", ExitClassSystemd},
	{212, "TIMERSLACK", ExitClassSystemd},
	{213, "SECUREBITS", ExitClassSystemd},
	{214, "SETSCHEDULER", ExitClassSystemd},
	{215, "CPUAFFINITY", ExitClassSystemd},
	{216, "GROUP", ExitClassSystemd},
	{217, "USER", ExitClassSystemd},
	{218, "CAPABILITIES", ExitClassSystemd},
	{219, "CGROUP", ExitClassSystemd},
	{220, "SETSID", ExitClassSystemd},
	{221, "CONFIRM", ExitClassSystemd},
	{222, "STDERR", ExitClassSystemd},
	{224, "PAM", ExitClassSystemd},
	{225, "NETWORK", ExitClassSystemd},
	{226, "NAMESPACE", ExitClassSystemd},
	{227, "NO_NEW_PRIVILEGES", ExitClassSystemd},
	{228, "SECCOMP", ExitClassSystemd},
	{229, "SELINUX_CONTEXT", ExitClassSystemd},
	{230, "PERSONALITY", ExitClassSystemd},
	{231, "APPARMOR", ExitClassSystemd},
	{232, "ADDRESS_FAMILIES", ExitClassSystemd},
	{233, "RUNTIME_DIRECTORY", ExitClassSystemd},
	{235, "CHOWN", ExitClassSystemd},
	{236, "SMACK_PROCESS_LABEL", ExitClassSystemd},
	{237, "KEYRING", ExitClassSystemd},
	{238, "STATE_DIRECTORY", ExitClassSystemd},
	{239, "CACHE_DIRECTORY", ExitClassSystemd},
	{240, "LOGS_DIRECTORY", ExitClassSystemd},
	{241, "CONFIGURATION_DIRECTORY", ExitClassSystemd},
	{242, "NUMA_POLICY", ExitClassSystemd},
	{243, "CREDENTIALS", ExitClassSystemd},
	{244, "BPF", ExitClassSystemd},
	{245, "KSM", ExitClassSystemd},
	{246, "MEMORY_THP", ExitClassSystemd},
	{255, "EXCEPTION", ExitClassSystemd},
}

// ParseExitStatus reads an exit status: a number from 0 to 255 or a name such
// as "EXEC", as `systemd-analyze exit-status` lists them.
func ParseExitStatus(s string) (ExitStatus, error) {
	for _, e := range exitStatusNames {
		if e.name == s {
			return e.status, nil
		}
	}
	n, err := ParseUint(s, 32)
	if err != nil {
		return 0, invalid("exit status", s)
	}
	if n > 255 {
		return 0, outOfRange("exit status", s)
	}
	return ExitStatus(n), nil
}

// Name is the name of the status, empty where there is none.
func (e ExitStatus) Name() string {
	for _, n := range exitStatusNames {
		if n.status == e {
			return n.name
		}
	}
	return ""
}

// Class says who defined the status.
func (e ExitStatus) Class() ExitStatusClass {
	for _, n := range exitStatusNames {
		if n.status == e {
			return n.class
		}
	}
	return ExitClassNone
}

// String is the name, or else the number.
func (e ExitStatus) String() string {
	if name := e.Name(); name != "" {
		return name
	}
	return strconv.Itoa(int(e))
}

// ExitStatuses are all statuses that have a name, in order of number.
func ExitStatuses() []ExitStatus {
	list := make([]ExitStatus, 0, len(exitStatusNames))
	for _, n := range exitStatusNames {
		list = append(list, n.status)
	}
	return list
}

// ExitStatusSet is a set of exit statuses and of signals a process may die of
// (SuccessExitStatus= and friends). The zero set is empty.
type ExitStatusSet struct {
	Status [4]uint64 `json:"status"` // bit per exit status
	Signal uint64    `json:"signal"` // bit n-1 for signal n
}

// ParseExitStatusSet reads a list of exit statuses and signals divided by white
// space. The items that are right are in the set even when err tells of others.
func ParseExitStatusSet(s string) (ExitStatusSet, error) {
	var set ExitStatusSet
	var errs []error
	r := WordReader{Rest: s}
	for {
		word, ok, err := r.Next()
		if err != nil {
			return set, errors.Join(append(errs, err)...)
		}
		if !ok {
			return set, errors.Join(errs...)
		}
		if status, err := ParseExitStatus(word); err == nil {
			set.Add(status)
		} else if sig, sigErr := ParseSignal(word); sigErr == nil && countDigits(word) == 0 {
			set.AddSignal(sig)
		} else {
			errs = append(errs, err)
		}
	}
}

// Add puts an exit status into the set.
func (s *ExitStatusSet) Add(status ExitStatus) { s.Status[status/64] |= 1 << (status % 64) }

// AddSignal puts a signal into the set.
func (s *ExitStatusSet) AddSignal(sig Signal) {
	if sig.Valid() {
		s.Signal |= 1 << (sig - 1)
	}
}

// Merge adds all members of other.
func (s *ExitStatusSet) Merge(other ExitStatusSet) {
	for i := range s.Status {
		s.Status[i] |= other.Status[i]
	}
	s.Signal |= other.Signal
}

// Has says whether exit code is in the set; codes outside 0 to 255 never are.
func (s ExitStatusSet) Has(code int) bool {
	return code >= 0 && code <= 255 && s.Status[code/64]>>(code%64)&1 != 0
}

// HasSignal says whether the signal is in the set.
func (s ExitStatusSet) HasSignal(sig Signal) bool { return sig.Valid() && s.Signal>>(sig-1)&1 != 0 }

// Empty says whether the set has no members.
func (s ExitStatusSet) Empty() bool { return s == ExitStatusSet{} }

// Codes are the exit statuses in the set in rising order.
func (s ExitStatusSet) Codes() []int {
	var list []int
	for i, word := range s.Status {
		for ; word != 0; word &= word - 1 {
			list = append(list, 64*i+bits.TrailingZeros64(word))
		}
	}
	return list
}

// Signals are the signals in the set in rising order.
func (s ExitStatusSet) Signals() []Signal {
	if s.Signal == 0 {
		return nil
	}
	var list []Signal
	for sig := Signal(1); sig <= SIGRTMAX; sig++ {
		if s.HasSignal(sig) {
			list = append(list, sig)
		}
	}
	return list
}

// String writes the set as a unit file takes it: numbers, then signal names.
func (s ExitStatusSet) String() string {
	var words []string
	for _, code := range s.Codes() {
		words = append(words, strconv.Itoa(code))
	}
	for _, sig := range s.Signals() {
		words = append(words, sig.String())
	}
	return strings.Join(words, " ")
}
