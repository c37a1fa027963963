package value

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"
)

// CapabilitySet is a set of capabilities, a bit per number.
type CapabilitySet uint64

// capabilityMax is the highest number a set can hold.
const capabilityMax = 62

// CapabilityAll has all capabilities there are and could be.
const CapabilityAll CapabilitySet = 1<<(capabilityMax+1) - 1

var capabilityNames = [...]string{
	"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid", "cap_setuid",
	"cap_setpcap", "cap_linux_immutable", "cap_net_bind_service", "cap_net_broadcast", "cap_net_admin", "cap_net_raw", "cap_ipc_lock", "cap_ipc_owner",
	"cap_sys_module", "cap_sys_rawio", "cap_sys_chroot", "cap_sys_ptrace", "cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice",
	"cap_sys_resource", "cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write", "cap_audit_control", "cap_setfcap",
	"cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm", "cap_block_suspend", "cap_audit_read", "cap_perfmon", "cap_bpf",
	"cap_checkpoint_restore",
}

// CapabilityNames are the capabilities by number.
func CapabilityNames() []string { return append([]string(nil), capabilityNames[:]...) }

// ParseCapability reads a capability by name, in any case, or by number up to
// 62.
func ParseCapability(s string) (int, error) {
	for i, name := range capabilityNames {
		if strings.EqualFold(name, s) {
			return i, nil
		}
	}
	v, err := ParseUint(s, 32)
	if err != nil {
		return 0, invalid("capability", s)
	}
	if v > capabilityMax {
		return 0, outOfRange("capability", s)
	}
	return int(v), nil
}

// CapabilityName is the name of a capability, or its number where it has none.
func CapabilityName(n int) string {
	if n >= 0 && n < len(capabilityNames) {
		return capabilityNames[n]
	}
	return strconv.Itoa(n)
}

// ParseCapabilitySet reads a list of capabilities. The known ones are in the
// set even when err tells of others.
func ParseCapabilitySet(s string) (CapabilitySet, error) {
	var set CapabilitySet
	var errs []error
	r := WordReader{Rest: s, Flags: WordUnquote}
	for {
		word, ok, err := r.Next()
		if err != nil {
			return set, errors.Join(append(errs, err)...)
		}
		if !ok {
			return set, errors.Join(errs...)
		}
		n, err := ParseCapability(word)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		set |= 1 << n
	}
}

// MergeCapabilitySet is what an assignment of s makes of current: "~" before the
// list takes capabilities away, repeated assignments add up, and an empty list
// starts over. initial is the value before any assignment: CapabilityAll for
// CapabilityBoundingSet=, 0 for AmbientCapabilities=.
func MergeCapabilitySet(current, initial CapabilitySet, s string) (CapabilitySet, error) {
	rest, invert := strings.CutPrefix(s, "~")
	set, err := ParseCapabilitySet(rest)
	switch {
	case set == 0 || current == initial:
		if invert {
			return CapabilityAll &^ set, err
		}
		return set, err
	case invert:
		return current &^ set, err
	}
	return current | set, err
}

// Has says whether capability n is in the set.
func (c CapabilitySet) Has(n int) bool { return n >= 0 && n <= capabilityMax && c>>n&1 != 0 }

// Limit leaves out what the kernel, whose last capability is last, does not know.
func (c CapabilitySet) Limit(last int) CapabilitySet {
	if last < 0 || last >= capabilityMax {
		return c
	}
	return c & (1<<(last+1) - 1)
}

// Names are the members by name in order of number.
func (c CapabilitySet) Names() []string {
	var names []string
	for rest := uint64(c & CapabilityAll); rest != 0; rest &= rest - 1 {
		names = append(names, CapabilityName(bits.TrailingZeros64(rest)))
	}
	return names
}

// String writes the names divided by blanks; sets with more unknown members
// than missing ones are written with "~".
func (c CapabilitySet) String() string {
	known := CapabilitySet(1)<<len(capabilityNames) - 1
	if c&^known == CapabilityAll&^known {
		return "~" + strings.Join((CapabilityAll&^c).Names(), " ")
	}
	return strings.Join(c.Names(), " ")
}

// SecureBits are the flags of SecureBits= with the kernel's numbers.
type SecureBits uint32

var secureBitNames = [...]string{
	"noroot", "noroot-locked", "no-setuid-fixup", "no-setuid-fixup-locked",
	"keep-caps", "keep-caps-locked", "no-cap-ambient-raise", "no-cap-ambient-raise-locked",
}

// ParseSecureBits reads a list of flags. The known ones count even when err
// tells of others.
func ParseSecureBits(s string) (SecureBits, error) {
	set, err := parseFlagList("secure bit", s, secureBitNames[:])
	return SecureBits(set), err
}

// String writes the flags divided by blanks.
func (b SecureBits) String() string { return formatFlagList(uint64(b), secureBitNames[:]) }

// parseFlagList reads words; the index of a word in names is its bit.
func parseFlagList(noun, s string, names []string) (uint64, error) {
	var set uint64
	var errs []error
	r := WordReader{Rest: s, Flags: WordUnquote}
next:
	for {
		word, ok, err := r.Next()
		if err != nil {
			return set, errors.Join(append(errs, err)...)
		}
		if !ok {
			return set, errors.Join(errs...)
		}
		for i, name := range names {
			if name == word {
				set |= 1 << i
				continue next
			}
		}
		errs = append(errs, invalid(noun, word))
	}
}

func formatFlagList(set uint64, names []string) string {
	var words []string
	for i, name := range names {
		if set>>i&1 != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}
