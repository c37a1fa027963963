package value

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Permyriad is a share in parts of 10000: 100 is 1%.
type Permyriad uint32

// ParsePercent reads "50%": a whole number of percent from 0 to 100.
func ParsePercent(s string) (int, error) {
	v, err := parseShare(s, 1, false)
	if err == nil && v > 100 {
		return 0, outOfRange("percentage", s)
	}
	return int(v), err
}

// ParsePermille reads "50%", "0.5%" or "5‰" into parts of 1000, at most 1000.
func ParsePermille(s string) (int, error) {
	v, err := parseShare(s, 10, false)
	if err == nil && v > 1000 {
		return 0, outOfRange("percentage", s)
	}
	return int(v), err
}

// ParsePermyriad reads "50%", "0.05%", "5‰", "0.1‰" or "5‱" into parts of
// 10000, at most 10000.
func ParsePermyriad(s string) (Permyriad, error) {
	v, err := parseShare(s, 100, false)
	if err == nil && v > 10000 {
		return 0, outOfRange("percentage", s)
	}
	return Permyriad(v), err
}

// ParsePermyriadUnbounded is ParsePermyriad without the upper limit, as
// CPUQuota= takes it.
func ParsePermyriadUnbounded(s string) (Permyriad, error) {
	v, err := parseShare(s, 100, true)
	return Permyriad(v), err
}

// parseShare reads a share; perPercent is how many parts of the result make 1%.
func parseShare(s string, perPercent uint64, unbounded bool) (uint64, error) {
	number, ok := strings.CutSuffix(s, "%")
	scale := perPercent
	if !ok && perPercent >= 10 {
		number, ok = strings.CutSuffix(s, "‰")
		scale = perPercent / 10
	}
	if !ok && perPercent >= 100 {
		number, ok = strings.CutSuffix(s, "‱")
		scale = perPercent / 100
	}
	if !ok {
		return 0, invalid("percentage", s)
	}
	number, fraction, hasFraction := strings.Cut(number, ".")
	v, err := ParseUint(number, 31)
	if err != nil {
		return 0, invalid("percentage", s)
	}
	v *= scale
	if hasFraction {
		if fraction == "" || countDigits(fraction) != len(fraction) {
			return 0, invalid("percentage", s)
		}
		for _, c := range []byte(fraction) {
			if scale /= 10; scale == 0 {
				return 0, invalid("percentage", s) // finer than a part
			}
			v += uint64(c-'0') * scale
		}
	}
	if v > math.MaxInt32 {
		return 0, outOfRange("percentage", s)
	}
	return v, nil
}

// String writes a percentage with as many decimals as it needs: "50%", "0.05%".
func (p Permyriad) String() string {
	whole, part := uint64(p/100), uint64(p%100)
	s := strconv.FormatUint(whole, 10)
	switch {
	case part == 0:
	case part%10 == 0:
		s += "." + strconv.FormatUint(part/10, 10)
	case part < 10:
		s += ".0" + strconv.FormatUint(part, 10)
	default:
		s += "." + strconv.FormatUint(part, 10)
	}
	return s + "%"
}

// LimitKind says how a Limit is to be read.
type LimitKind string

// Kinds of limits; the zero Limit is unset.
const (
	LimitUnset    LimitKind = ""
	LimitAbsolute LimitKind = "absolute"
	LimitShare    LimitKind = "share"
	LimitInfinity LimitKind = "infinity"
)

// Limit is a ceiling on memory or on tasks: a number, a share of what there
// is, or none.
type Limit struct {
	Kind     LimitKind `json:"kind,omitempty"`
	Absolute uint64    `json:"absolute,omitempty"` // bytes or tasks
	Share    Permyriad `json:"share,omitempty"`    // of physical memory, or of the kernel's maximum
}

// ParseMemoryLimit reads bytes with a suffix of base 1024, a percentage, or
// "infinity" (systemd.resource-control(5), MemoryMax=).
func ParseMemoryLimit(s string) (Limit, error) {
	if s == "infinity" {
		return Limit{Kind: LimitInfinity}, nil
	}
	if strings.HasSuffix(s, "%") || strings.HasSuffix(s, "‰") || strings.HasSuffix(s, "‱") {
		share, err := ParsePermyriad(s)
		if err != nil {
			return Limit{}, err
		}
		return Limit{Kind: LimitShare, Share: share}, nil
	}
	n, err := ParseSize(s, Base1024)
	if err != nil {
		return Limit{}, err
	}
	if n == math.MaxUint64 {
		return Limit{}, outOfRange("size", s)
	}
	return Limit{Kind: LimitAbsolute, Absolute: n}, nil
}

// ParseTasksLimit reads a number from 1, a percentage or "infinity"
// (TasksMax=).
func ParseTasksLimit(s string) (Limit, error) {
	if s == "infinity" {
		return Limit{Kind: LimitInfinity}, nil
	}
	if strings.HasSuffix(s, "%") || strings.HasSuffix(s, "‰") || strings.HasSuffix(s, "‱") {
		share, err := ParsePermyriad(s)
		if err != nil {
			return Limit{}, err
		}
		return Limit{Kind: LimitShare, Share: share}, nil
	}
	n, err := ParseUint(s, 64)
	if err != nil {
		return Limit{}, err
	}
	if n == 0 || n == math.MaxUint64 {
		return Limit{}, outOfRange("number of tasks", s)
	}
	return Limit{Kind: LimitAbsolute, Absolute: n}, nil
}

// Resolve is the limit in absolute terms, given what a share is of and the unit
// it is rounded down to: the page size for memory, 1 for tasks. The largest
// number stands for none; ok is false when the limit is unset.
func (l Limit) Resolve(total, unit uint64) (limit uint64, ok bool) {
	switch l.Kind {
	case LimitAbsolute:
		return l.Absolute, true
	case LimitShare:
		high, low := bits.Mul64(total/max(unit, 1), uint64(min(l.Share, 10000)))
		q, _ := bits.Div64(high, low, 10000)
		return q * max(unit, 1), true
	case LimitInfinity:
		return math.MaxUint64, true
	}
	return 0, false
}

// String writes the limit as a unit file takes it; empty when unset.
func (l Limit) String() string {
	switch l.Kind {
	case LimitAbsolute:
		return strconv.FormatUint(l.Absolute, 10)
	case LimitShare:
		return l.Share.String()
	case LimitInfinity:
		return "infinity"
	}
	return ""
}
