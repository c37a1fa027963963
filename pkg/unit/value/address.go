package value

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// addressWords are the names of prefixes in IPAddressAllow=
// (systemd.resource-control(5)).
var addressWords = map[string][]netip.Prefix{
	"any":        {netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	"localhost":  {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	"link-local": {netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/64")},
	"multicast":  {netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8")},
}

// ParseAddressPrefix reads an address, or a prefix "10.0.0.0/8"; bits behind
// the prefix are cleared.
func ParseAddressPrefix(s string) (netip.Prefix, error) {
	host, length, hasLength := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, invalid("address prefix", s)
	}
	n := addr.BitLen()
	if hasLength {
		v, err := ParseUint(length, 32)
		if err != nil {
			return netip.Prefix{}, invalid("address prefix", s)
		}
		if v > uint64(n) {
			return netip.Prefix{}, outOfRange("address prefix", s)
		}
		n = int(v)
	}
	return netip.PrefixFrom(addr, n).Masked(), nil
}

// ParseAddressPrefixes reads a list of addresses, prefixes and the words any,
// localhost, link-local and multicast. The good ones are returned even when
// err tells of others.
func ParseAddressPrefixes(s string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	var errs []error
	r := WordReader{Rest: s}
	for {
		word, ok, err := r.Next()
		if err != nil {
			return list, errors.Join(append(errs, err)...)
		}
		if !ok {
			return list, errors.Join(errs...)
		}
		if prefixes, ok := addressWords[word]; ok {
			list = append(list, prefixes...)
			continue
		}
		prefix, err := ParseAddressPrefix(word)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, prefix)
	}
}

// ReduceAddressPrefixes sorts and leaves out what another prefix covers.
func ReduceAddressPrefixes(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen()), a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	out := list[:0]
	for _, p := range list {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue
		}
		out = append(out, p)
	}
	return out
}

// FormatAddressPrefixes writes the list as IPAddressAllow= takes it.
func FormatAddressPrefixes(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}

// SocketBindRule is one rule of SocketBindAllow= and SocketBindDeny=. The zero
// rule matches any bind.
type SocketBindRule struct {
	Family   string `json:"family,omitempty"`   // ipv4, ipv6, empty for both
	Protocol string `json:"protocol,omitempty"` // tcp, udp, empty for both
	PortMin  uint16 `json:"port_min,omitempty"`
	Ports    uint32 `json:"ports,omitempty"` // how many from PortMin, 0 for all there are
}

// ParseSocketBindRule reads "any" or [family:][protocol:][ports], "ipv4:tcp:80-90".
func ParseSocketBindRule(s string) (SocketBindRule, error) {
	var rule SocketBindRule
	if s == "" {
		return rule, invalid("socket bind rule", s)
	}
	parts := strings.Split(s, ":")
	if parts[0] == "ipv4" || parts[0] == "ipv6" {
		rule.Family, parts = parts[0], parts[1:]
	}
	if len(parts) > 0 && (parts[0] == "tcp" || parts[0] == "udp") {
		rule.Protocol, parts = parts[0], parts[1:]
	}
	if len(parts) == 0 {
		return rule, nil
	}
	if len(parts) > 1 {
		return SocketBindRule{}, invalid("socket bind rule", s)
	}
	if parts[0] == "any" {
		return rule, nil
	}
	low, high, isRange := strings.Cut(parts[0], "-")
	if !isRange {
		high = low
	}
	a, errA := ParseUintRange(low, 0, 65535) // 0 since 257
	b, errB := ParseUintRange(high, 0, 65535)
	if errA != nil || errB != nil || a > b {
		return SocketBindRule{}, invalid("socket bind rule", s)
	}
	rule.PortMin, rule.Ports = uint16(a), uint32(b-a)+1
	return rule, nil
}

// String writes the rule as ParseSocketBindRule reads it.
func (r SocketBindRule) String() string {
	var parts []string
	if r.Family != "" {
		parts = append(parts, r.Family)
	}
	if r.Protocol != "" {
		parts = append(parts, r.Protocol)
	}
	switch {
	case r.Ports == 1:
		parts = append(parts, strconv.Itoa(int(r.PortMin)))
	case r.Ports > 1:
		parts = append(parts, strconv.Itoa(int(r.PortMin))+"-"+strconv.FormatUint(uint64(r.PortMin)+uint64(r.Ports)-1, 10))
	default:
		parts = append(parts, "any")
	}
	return strings.Join(parts, ":")
}

// ParsePort reads a port from 1 to 65535.
func ParsePort(s string) (uint16, error) {
	v, err := ParseUint(s, 32)
	if err != nil {
		return 0, invalid("port", s)
	}
	if v < 1 || v > 65535 {
		return 0, outOfRange("port", s)
	}
	return uint16(v), nil
}
