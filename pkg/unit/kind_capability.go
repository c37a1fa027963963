package unit

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// capabilityNames is indexed by the number of the capability
// (capabilities(7)).
var capabilityNames = [...]string{
	"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid",
	"cap_setuid", "cap_setpcap", "cap_linux_immutable", "cap_net_bind_service", "cap_net_broadcast", "cap_net_admin",
	"cap_net_raw", "cap_ipc_lock", "cap_ipc_owner", "cap_sys_module", "cap_sys_rawio", "cap_sys_chroot",
	"cap_sys_ptrace", "cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice", "cap_sys_resource",
	"cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write", "cap_audit_control",
	"cap_setfcap", "cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm", "cap_block_suspend",
	"cap_audit_read", "cap_perfmon", "cap_bpf", "cap_checkpoint_restore",
}

// CapabilityName gives the name of a capability in lower case, or its number.
func CapabilityName(n int) string {
	if n >= 0 && n < len(capabilityNames) {
		return capabilityNames[n]
	}
	return strconv.Itoa(n)
}

// CapabilityCount is how many capabilities have a name.
const CapabilityCount = len(capabilityNames)

// ParseCapability reads a capability by name, in any case, or number up to 62.
func ParseCapability(s string) (int, error) {
	for i, n := range capabilityNames {
		if strings.EqualFold(n, s) {
			return i, nil
		}
	}
	const last = 62
	if n, err := value.ParseUint(s, 32); err == nil && n <= last {
		return int(n), nil
	}
	return 0, errText("capability ", quoted(s), " isn't known")
}

// kCapabilities is a set of capabilities. The first assignment replaces
// initial, later ones add, those with ~ take away.
func kCapabilities(initial uint64) *kind[uint64] {
	return &kind[uint64]{
		name: "list of capabilities, ~ in front inverts",
		parse: func(_ *Context, cur *uint64, text string) error {
			rest, invert := strings.CutPrefix(text, "~")
			names, err := value.SplitWords(rest, "", value.WordUnquote)
			if err != nil {
				return err
			}
			var sum uint64
			var faults []error
			for _, n := range names {
				c, err := ParseCapability(n)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				sum |= 1 << c
			}
			*cur = mergeBits(*cur, sum, initial, invert)
			return partial(joinErrors(faults))
		},
		format: func(v *uint64) []string { return []string{capabilityText(*v)} },
		bus: []form[uint64]{{sig: "t", write: busUint64.write,
			read: func(r BusReader, _ *uint64) ([]string, error) {
				text := capabilityText(r.Uint64())
				if strings.HasPrefix(text, "~") {
					return []string{text}, nil
				}
				return []string{"", text}, nil
			}}},
	}
}

// mergeBits is how systemd adds up sets given in several assignments.
func mergeBits(cur, sum, initial uint64, invert bool) uint64 {
	switch {
	case (sum == 0 || cur == initial) && invert:
		return ^sum
	case sum == 0 || cur == initial:
		return sum
	case invert:
		return cur &^ sum
	}
	return cur | sum
}

// capabilityText writes the shorter of the set and its complement.
func capabilityText(set uint64) string {
	const inverted = 32
	prefix, bits := "", set
	if set>>inverted == 1<<inverted-1 || set>>(CapabilityCount) != 0 {
		prefix, bits = "~", ^set
	}
	var names []string
	for i := range 63 {
		if bits>>i&1 != 0 {
			names = append(names, CapabilityName(i))
		}
	}
	return prefix + strings.Join(names, " ")
}

var secureBitNames = [...]string{
	"noroot", "noroot-locked", "no-setuid-fixup", "no-setuid-fixup-locked", "keep-caps", "keep-caps-locked",
	"no-cap-ambient-raise", "no-cap-ambient-raise-locked",
}

// kSecureBits is SecureBits=.
var kSecureBits = &kind[int32]{
	name: "list of secure bits",
	parse: func(_ *Context, cur *int32, text string) error {
		if text == "" {
			*cur = 0
			return nil
		}
		names, err := value.SplitWords(text, "", value.WordUnquote)
		if err != nil {
			return err
		}
		var faults []error
	next:
		for _, n := range names {
			for i, known := range secureBitNames {
				if n == known {
					*cur |= 1 << i
					continue next
				}
			}
			faults = append(faults, errText("secure bit ", quoted(n), " isn't known"))
		}
		return partial(joinErrors(faults))
	},
	format: func(v *int32) []string { return []string{secureBitsText(*v)} },
	bus: []form[int32]{{sig: "i", write: busInt32.write,
		read: func(r BusReader, _ *int32) ([]string, error) { return []string{"", secureBitsText(r.Int32())}, nil }}},
}

func secureBitsText(v int32) string {
	var names []string
	for i, n := range secureBitNames {
		if v>>i&1 != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, " ")
}
