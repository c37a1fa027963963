package value

import (
	"math"
	"strconv"
	"strings"
)

// Weight is a share in the distribution of CPU time or IO, 1 to 10000.
type Weight uint64

// Weights with a meaning of their own.
const (
	WeightIdle  Weight = 0 // gets only what nobody else wants
	WeightUnset Weight = math.MaxUint64
	weightMax          = 10000
)

// ParseWeight reads a weight from 1 to 10000; empty is WeightUnset.
func ParseWeight(s string) (Weight, error) {
	if s == "" {
		return WeightUnset, nil
	}
	v, err := ParseUint(s, 64)
	if err != nil {
		return 0, invalid("weight", s)
	}
	if v < 1 || v > weightMax {
		return 0, outOfRange("weight", s)
	}
	return Weight(v), nil
}

// ParseCPUWeight is ParseWeight that also takes "idle".
func ParseCPUWeight(s string) (Weight, error) {
	if s == "idle" {
		return WeightIdle, nil
	}
	return ParseWeight(s)
}

// String writes the weight as a unit file takes it; empty when unset.
func (w Weight) String() string {
	switch w {
	case WeightIdle:
		return "idle"
	case WeightUnset:
		return ""
	}
	return strconv.FormatUint(uint64(w), 10)
}

// DeviceRule is one line of DeviceAllow=.
type DeviceRule struct {
	Device string `json:"device"` // a path in /dev/, "char-GROUP" or "block-GROUP"
	Access string `json:"access"` // of r, w and m, in this order
}

// ParseDeviceRule reads a device and what is allowed, all if nothing is said.
// expand, if not nil, replaces specifiers in the device.
func ParseDeviceRule(s string, expand Expander) (DeviceRule, error) {
	device, rest, ok, err := ExtractWord(s, whitespace, WordUnquote)
	if err != nil {
		return DeviceRule{}, err
	}
	if !ok {
		return DeviceRule{}, invalid("device rule", s)
	}
	if device, err = expand.expand(device); err != nil {
		return DeviceRule{}, err
	}
	if !strings.HasPrefix(device, "char-") && !strings.HasPrefix(device, "block-") {
		if device, err = ParsePath(device, PathAbsolute); err != nil {
			return DeviceRule{}, err
		}
		if device != "/dev" && !strings.HasPrefix(device, "/dev/") && !strings.HasPrefix(device, "/run/systemd/inaccessible/") {
			return DeviceRule{}, invalidf("device", device, "not a device node path")
		}
	}
	access, err := parseDeviceAccess(strings.Trim(rest, whitespace))
	if err != nil {
		return DeviceRule{}, err
	}
	return DeviceRule{Device: device, Access: access}, nil
}

func parseDeviceAccess(s string) (string, error) {
	if s == "" {
		return "rwm", nil
	}
	if strings.Trim(s, "rwm") != "" {
		return "", invalid("device access", s)
	}
	var b strings.Builder
	for _, c := range "rwm" {
		if strings.ContainsRune(s, c) {
			b.WriteRune(c)
		}
	}
	return b.String(), nil
}

// String writes the rule as DeviceAllow= takes it.
func (r DeviceRule) String() string { return QuoteWordPlain(r.Device) + " " + r.Access }

// DeviceWeight is one line of IODeviceWeight=.
type DeviceWeight struct {
	Path   string `json:"path"`
	Weight Weight `json:"weight"`
}

// DeviceLimit is one line of IOReadBandwidthMax= and its like: bytes per second, or
// operations per second. The largest number is no limit.
type DeviceLimit struct {
	Path  string `json:"path"`
	Limit uint64 `json:"limit"`
}

// DeviceLatency is one line of IODeviceLatencyTargetSec=.
type DeviceLatency struct {
	Path       string `json:"path"`
	TargetUSec USec   `json:"target_usec"`
}

// cutDevice reads the path of a node or file, and what follows it.
func cutDevice(s string, expand Expander) (path, rest string, err error) {
	path, rest, ok, err := ExtractWord(s, whitespace, WordUnquote)
	if err != nil {
		return "", "", err
	}
	if rest = strings.Trim(rest, whitespace); !ok || rest == "" {
		return "", "", invalidf("device", s, "path and value expected")
	}
	if path, err = expand.expand(path); err != nil {
		return "", "", err
	}
	path, err = ParsePath(path, 0)
	return path, rest, err
}

// ParseDeviceWeight reads a path and a weight.
func ParseDeviceWeight(s string, expand Expander) (DeviceWeight, error) {
	path, rest, err := cutDevice(s, expand)
	if err != nil {
		return DeviceWeight{}, err
	}
	w, err := ParseWeight(rest)
	return DeviceWeight{path, w}, err
}

// ParseDeviceLimit reads a path and a limit with suffixes of base 1000, or
// "infinity".
func ParseDeviceLimit(s string, expand Expander) (DeviceLimit, error) {
	path, rest, err := cutDevice(s, expand)
	if err != nil {
		return DeviceLimit{}, err
	}
	if rest == "infinity" {
		return DeviceLimit{path, math.MaxUint64}, nil
	}
	n, err := ParseSize(rest, Base1000)
	if err == nil && n == 0 {
		err = outOfRange("device limit", s)
	}
	return DeviceLimit{path, n}, err
}

// ParseDeviceLatency reads a path and a time span, in seconds by default.
func ParseDeviceLatency(s string, expand Expander) (DeviceLatency, error) {
	path, rest, err := cutDevice(s, expand)
	if err != nil {
		return DeviceLatency{}, err
	}
	t, err := ParseSec(rest, USecPerSec)
	return DeviceLatency{path, t}, err
}

// String writes the line as the directive takes it.
func (d DeviceWeight) String() string { return QuoteWordPlain(d.Path) + " " + d.Weight.String() }

// String writes the line as the directive takes it.
func (d DeviceLimit) String() string {
	if d.Limit == math.MaxUint64 {
		return QuoteWordPlain(d.Path) + " infinity"
	}
	return QuoteWordPlain(d.Path) + " " + strconv.FormatUint(d.Limit, 10)
}

// String writes the line as the directive takes it.
func (d DeviceLatency) String() string { return QuoteWordPlain(d.Path) + " " + d.TargetUSec.String() }
