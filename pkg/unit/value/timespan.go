package value

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// USec is a number of microseconds: a time span, or a point in time since the
// epoch of its clock.
type USec uint64

// NSec is a number of nanoseconds.
type NSec uint64

// Infinity is the span without end, written "infinity".
const (
	Infinity     USec = math.MaxUint64
	NSecInfinity NSec = math.MaxUint64
)

// Lengths of the units of time spans; a month is 30.44 days and a year 365.25
// days (systemd.time(7)).
const (
	USecPerMSec  USec = 1000
	USecPerSec   USec = 1000 * USecPerMSec
	USecPerMin   USec = 60 * USecPerSec
	USecPerHour  USec = 60 * USecPerMin
	USecPerDay   USec = 24 * USecPerHour
	USecPerWeek  USec = 7 * USecPerDay
	USecPerMonth USec = 2629800 * USecPerSec
	USecPerYear  USec = 31557600 * USecPerSec
)

type spanUnit struct {
	name string
	nsec uint64
}

// The first name that starts the text wins, so longer names of a letter come
// before shorter ones.
var spanUnits = [...]spanUnit{
	{"seconds", 1e9}, {"second", 1e9}, {"sec", 1e9}, {"s", 1e9},
	{"minutes", 60e9}, {"minute", 60e9}, {"min", 60e9},
	{"months", uint64(USecPerMonth) * 1000}, {"month", uint64(USecPerMonth) * 1000}, {"M", uint64(USecPerMonth) * 1000},
	{"msec", 1e6}, {"ms", 1e6}, {"m", 60e9},
	{"hours", 3600e9}, {"hour", 3600e9}, {"hr", 3600e9}, {"h", 3600e9},
	{"days", 86400e9}, {"day", 86400e9}, {"d", 86400e9},
	{"weeks", 604800e9}, {"week", 604800e9}, {"w", 604800e9},
	{"years", uint64(USecPerYear) * 1000}, {"year", uint64(USecPerYear) * 1000}, {"y", uint64(USecPerYear) * 1000},
	{"usec", 1000}, {"us", 1000}, {"μs", 1000}, {"µs", 1000},
	{"nsec", 1}, {"ns", 1},
}

func matchSpanUnit(s string, withNSec bool) (nsec uint64, length int) {
	for _, u := range spanUnits {
		if strings.HasPrefix(s, u.name) && (withNSec || u.nsec >= 1000) {
			return u.nsec, len(u.name)
		}
	}
	return 0, 0
}

// ParseSec reads a time span such as "5min 20s", "1.5h" or "infinity". A
// number without a unit counts in defaultUnit.
func ParseSec(s string, defaultUnit USec) (USec, error) {
	v, err := parseSpan(s, uint64(defaultUnit), false)
	return USec(v), err
}

// ParseSecFixZero is ParseSec in seconds for settings where 0 means no limit.
func ParseSecFixZero(s string) (USec, error) {
	v, err := ParseSec(s, USecPerSec)
	if err == nil && v == 0 {
		v = Infinity
	}
	return v, err
}

// ParseSecDefaultInfinity is ParseSec in seconds for settings where the empty
// string means no limit.
func ParseSecDefaultInfinity(s string) (USec, error) {
	if strings.Trim(s, whitespace) == "" {
		return Infinity, nil
	}
	return ParseSec(s, USecPerSec)
}

// ParseNSec reads a time span that may also use ns and nsec. A number without
// a unit counts nanoseconds.
func ParseNSec(s string) (NSec, error) {
	v, err := parseSpan(s, 1, true)
	return NSec(v), err
}

// parseSpan sums the parts of a span. The result counts ns when withNSec, else
// µs; fractions are cut at that resolution.
func parseSpan(s string, defaultUnit uint64, withNSec bool) (uint64, error) {
	rest := strings.TrimLeft(s, whitespace)
	if after, ok := strings.CutPrefix(rest, "infinity"); ok {
		if strings.Trim(after, whitespace) != "" {
			return 0, invalid("time span", s)
		}
		return math.MaxUint64, nil
	}
	if rest == "" {
		return 0, invalid("time span", s)
	}
	var sum uint64
	for rest != "" {
		if rest[0] == '-' {
			return 0, outOfRange("time span", s)
		}
		p, err := cutSpanPart(s, rest)
		if err != nil {
			return 0, err
		}
		unit := defaultUnit
		if nsec, n := matchSpanUnit(p.rest, withNSec); n > 0 {
			unit, p.rest = nsec, p.rest[n:]
			if !withNSec {
				unit /= 1000
			}
		} else if p.glued {
			return 0, invalid("time span", s)
		}
		if sum, err = p.add(s, sum, unit); err != nil {
			return 0, err
		}
		rest = strings.TrimLeft(p.rest, whitespace)
	}
	return sum, nil
}

// spanPart is one "1.5" of a span and what follows, without white space; glued
// says that there was none.
type spanPart struct {
	whole    uint64
	fraction string
	rest     string
	glued    bool
}

func cutSpanPart(s, rest string) (spanPart, error) {
	var p spanPart
	digits := strings.TrimPrefix(rest, "+")
	n := countDigits(digits)
	if n == 0 && (digits == "" || digits[0] != '.' || len(digits) != len(rest)) {
		return p, invalid("time span", s)
	}
	if n > 0 {
		v, err := strconv.ParseUint(digits[:n], 10, 63)
		if err != nil {
			return p, outOfRange("time span", s)
		}
		p.whole = v
	}
	digits = digits[n:]
	if strings.HasPrefix(digits, ".") {
		n = countDigits(digits[1:])
		if n == 0 {
			return p, invalid("time span", s)
		}
		p.fraction, digits = digits[1:1+n], digits[1+n:]
	}
	p.rest = strings.TrimLeft(digits, whitespace)
	p.glued = p.rest != "" && len(p.rest) == len(digits)
	return p, nil
}

func countDigits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func (p spanPart) add(s string, sum, unit uint64) (uint64, error) {
	if unit > 0 && p.whole >= math.MaxUint64/unit {
		return 0, outOfRange("time span", s)
	}
	v := p.whole * unit
	for _, c := range []byte(p.fraction) {
		unit /= 10
		if unit == 0 {
			break
		}
		v += uint64(c-'0') * unit
	}
	total, carry := bits.Add64(sum, v, 0)
	if carry != 0 || total == math.MaxUint64 {
		return 0, outOfRange("time span", s)
	}
	return total, nil
}

type spanName struct {
	name string
	usec USec
}

var spanNames = [...]spanName{
	{"y", USecPerYear}, {"month", USecPerMonth}, {"w", USecPerWeek}, {"d", USecPerDay},
	{"h", USecPerHour}, {"min", USecPerMin}, {"s", USecPerSec}, {"ms", USecPerMSec}, {"us", 1},
}

// FormatSpan writes a span the way systemctl shows it: "1min 30s",
// "1.500ms", "infinity". What is below accuracyUSec is left out, unless nothing
// else is left; 0 counts as 1.
func FormatSpan(spanUSec, accuracyUSec USec) string {
	switch spanUSec {
	case Infinity:
		return "infinity"
	case 0:
		return "0"
	}
	var b []byte
	t := spanUSec
	for _, u := range spanNames {
		if t == 0 || t < accuracyUSec && len(b) > 0 {
			break
		}
		if t < u.usec {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		whole, part := t/u.usec, t%u.usec
		b = strconv.AppendUint(b, uint64(whole), 10)
		if t < USecPerMin && part > 0 {
			if d := spanDecimals(u.usec, part, accuracyUSec); d != "" {
				b = append(append(b, '.'), d...)
				part = 0
			}
		}
		b = append(b, u.name...)
		t = part
	}
	return string(b)
}

// spanDecimals are the digits of part/unit down to the accuracy.
func spanDecimals(unit, part, accuracyUSec USec) string {
	digits := 0
	for ; unit > 1; unit /= 10 {
		digits++
	}
	for ; accuracyUSec > 1; accuracyUSec /= 10 {
		part /= 10
		digits--
	}
	if digits <= 0 {
		return ""
	}
	s := strconv.FormatUint(uint64(part), 10)
	if len(s) < digits {
		s = strings.Repeat("0", digits-len(s)) + s
	}
	return s
}

// String writes the whole span, to the microsecond.
func (u USec) String() string { return FormatSpan(u, 1) }

// String writes the span in µs units, with a rest in ns; "infinity" for
// NSecInfinity.
func (n NSec) String() string {
	if n == NSecInfinity {
		return "infinity"
	}
	if n%1000 == 0 {
		return FormatSpan(USec(n/1000), 1)
	}
	s := strconv.FormatUint(uint64(n%1000), 10) + "ns"
	if n >= 1000 {
		s = FormatSpan(USec(n/1000), 1) + " " + s
	}
	return s
}
