package value

import (
	"math"
	"strconv"
	"strings"
)

// RlimitInfinity means no limit.
const RlimitInfinity uint64 = math.MaxUint64

// Resource is a resource limit by its name as in RLIMIT_NAME and LimitNAME=.
type Resource string

// The resources of setrlimit(2).
const (
	ResourceCPU        Resource = "CPU"
	ResourceFSIZE      Resource = "FSIZE"
	ResourceDATA       Resource = "DATA"
	ResourceSTACK      Resource = "STACK"
	ResourceCORE       Resource = "CORE"
	ResourceRSS        Resource = "RSS"
	ResourceNPROC      Resource = "NPROC"
	ResourceNOFILE     Resource = "NOFILE"
	ResourceMEMLOCK    Resource = "MEMLOCK"
	ResourceAS         Resource = "AS"
	ResourceLOCKS      Resource = "LOCKS"
	ResourceSIGPENDING Resource = "SIGPENDING"
	ResourceMSGQUEUE   Resource = "MSGQUEUE"
	ResourceNICE       Resource = "NICE"
	ResourceRTPRIO     Resource = "RTPRIO"
	ResourceRTTIME     Resource = "RTTIME"
)

// In the order of the numbers the kernel gives them, from 0.
var resources = [...]Resource{
	ResourceCPU, ResourceFSIZE, ResourceDATA, ResourceSTACK, ResourceCORE, ResourceRSS, ResourceNPROC, ResourceNOFILE,
	ResourceMEMLOCK, ResourceAS, ResourceLOCKS, ResourceSIGPENDING, ResourceMSGQUEUE, ResourceNICE, ResourceRTPRIO, ResourceRTTIME,
}

// Resources are all resources; the index is the kernel's number.
func Resources() []Resource { return append([]Resource(nil), resources[:]...) }

// Number is the kernel's RLIMIT_ number, -1 for what is not a resource.
func (r Resource) Number() int {
	for i, known := range resources {
		if r == known {
			return i
		}
	}
	return -1
}

// Rlimit is a pair of limits in the kernel's unit: seconds of CPU, µs of
// RTTIME, bytes of sizes, counts otherwise. RlimitInfinity is no limit.
type Rlimit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// ParseRlimit reads "soft:hard", or one value for both (systemd.exec(5),
// LimitCPU= and so on). A soft limit above the hard one is refused.
func ParseRlimit(r Resource, s string) (Rlimit, error) {
	var l Rlimit
	softText, hardText, two := strings.Cut(s, ":")
	soft, err := parseRlimitValue(r, softText)
	if err != nil {
		return l, err
	}
	hard := soft
	if two {
		if hard, err = parseRlimitValue(r, hardText); err != nil {
			return l, err
		}
	}
	if soft > hard {
		return l, invalidf("resource limit", s, "soft limit is above the hard limit")
	}
	return Rlimit{Soft: soft, Hard: hard}, nil
}

func parseRlimitValue(r Resource, s string) (uint64, error) {
	if s == "infinity" && r != ResourceNICE {
		return RlimitInfinity, nil
	}
	switch r {
	case ResourceCPU:
		t, err := ParseSec(s, USecPerSec)
		if err != nil || t == Infinity {
			return RlimitInfinity, err
		}
		sec := uint64(t / USecPerSec)
		if t%USecPerSec != 0 {
			sec++
		}
		return sec, nil
	case ResourceRTTIME:
		t, err := ParseSec(s, 1)
		return uint64(t), err
	case ResourceFSIZE, ResourceDATA, ResourceSTACK, ResourceCORE, ResourceRSS, ResourceMEMLOCK, ResourceAS, ResourceMSGQUEUE:
		n, err := ParseSize(s, Base1024)
		if err == nil && n == RlimitInfinity {
			return 0, outOfRange("resource limit", s)
		}
		return n, err
	case ResourceNICE:
		return parseRlimitNice(s)
	case ResourceNPROC, ResourceNOFILE, ResourceLOCKS, ResourceSIGPENDING, ResourceRTPRIO:
		n, err := ParseUint(s, 64)
		if err == nil && n == RlimitInfinity {
			return 0, outOfRange("resource limit", s)
		}
		return n, err
	}
	return 0, invalid("resource", string(r))
}

// parseRlimitNice reads a nice level with its sign, or the raw limit, which is
// 20 minus the nice level.
func parseRlimitNice(s string) (uint64, error) {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		n, err := ParseUint(s[1:], 64)
		if err != nil {
			return 0, err
		}
		switch {
		case s[0] == '+' && n < 20:
			return 20 - n, nil
		case s[0] == '-' && n <= 20:
			return 20 + n, nil
		}
		return 0, outOfRange("nice level", s)
	}
	n, err := ParseUint(s, 64)
	if err != nil {
		return 0, err
	}
	if n > 40 {
		return 0, outOfRange("nice level", s)
	}
	return n, nil
}

// Format writes the limit so that ParseRlimit of the same resource reads it
// back: "infinity", "1024", "1024:4096". Times keep a unit of their own.
func (l Rlimit) Format(r Resource) string {
	soft := formatRlimitValue(r, l.Soft)
	if l.Soft == l.Hard {
		return soft
	}
	return soft + ":" + formatRlimitValue(r, l.Hard)
}

func formatRlimitValue(r Resource, v uint64) string {
	switch {
	case v == RlimitInfinity:
		return "infinity"
	case r == ResourceRTTIME:
		return strconv.FormatUint(v, 10) + "us"
	}
	return strconv.FormatUint(v, 10)
}

// String writes the plain numbers.
func (l Rlimit) String() string { return l.Format(ResourceNOFILE) }
