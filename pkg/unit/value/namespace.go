package value

import (
	"slices"
	"strings"
)

// NamespaceFlags are kinds of namespaces by their CLONE_NEW flags.
type NamespaceFlags uint64

type namespaceName struct {
	name string
	flag NamespaceFlags
}

// In the order systemd writes them.
var namespaceNames = [...]namespaceName{
	{"cgroup", 0x02000000}, {"ipc", 0x08000000}, {"net", 0x40000000}, {"mnt", 0x00020000},
	{"pid", 0x20000000}, {"user", 0x10000000}, {"uts", 0x04000000}, {"time", 0x00000080},
}

// NamespaceAll has all kinds of namespaces.
const NamespaceAll NamespaceFlags = 0x7e020080

// ParseNamespaces reads a list of kinds: cgroup ipc net mnt pid user uts time. One that
// is wrong spoils the list.
func ParseNamespaces(s string) (NamespaceFlags, error) {
	var set NamespaceFlags
	words, err := SplitWords(s, whitespace, WordUnquote)
	if err != nil {
		return 0, err
	}
next:
	for _, word := range words {
		for _, n := range namespaceNames {
			if n.name == word {
				set |= n.flag
				continue next
			}
		}
		return 0, invalid("namespace", word)
	}
	return set, nil
}

// String writes the kinds divided by blanks.
func (f NamespaceFlags) String() string {
	var words []string
	for _, n := range namespaceNames {
		if f&n.flag != 0 {
			words = append(words, n.name)
		}
	}
	return strings.Join(words, " ")
}

// AddressFamily is a socket address family by its Linux number.
type AddressFamily int

var addressFamilies = []namedNumber{
	{"AF_UNSPEC", 0}, {"AF_UNIX", 1}, {"AF_INET", 2}, {"AF_AX25", 3}, {"AF_IPX", 4}, {"AF_APPLETALK", 5},
	{"AF_NETROM", 6}, {"AF_BRIDGE", 7}, {"AF_ATMPVC", 8}, {"AF_X25", 9}, {"AF_INET6", 10}, {"AF_ROSE", 11},
	{"AF_DECnet", 12}, {"AF_NETBEUI", 13}, {"AF_SECURITY", 14}, {"AF_KEY", 15}, {"AF_NETLINK", 16}, {"AF_PACKET", 17},
	{"AF_ASH", 18}, {"AF_ECONET", 19}, {"AF_ATMSVC", 20}, {"AF_RDS", 21}, {"AF_SNA", 22}, {"AF_IRDA", 23},
	{"AF_PPPOX", 24}, {"AF_WANPIPE", 25}, {"AF_LLC", 26}, {"AF_IB", 27}, {"AF_MPLS", 28}, {"AF_CAN", 29},
	{"AF_TIPC", 30}, {"AF_BLUETOOTH", 31}, {"AF_IUCV", 32}, {"AF_RXRPC", 33}, {"AF_ISDN", 34}, {"AF_PHONET", 35},
	{"AF_IEEE802154", 36}, {"AF_CAIF", 37}, {"AF_ALG", 38}, {"AF_NFC", 39}, {"AF_VSOCK", 40}, {"AF_KCM", 41},
	{"AF_QIPCRTR", 42}, {"AF_SMC", 43}, {"AF_XDP", 44}, {"AF_MCTP", 45},
}

// Other names of the same numbers.
var addressFamilyAliases = map[string]AddressFamily{"AF_LOCAL": 1, "AF_FILE": 1, "AF_ROUTE": 16}

// ParseAddressFamily reads a family such as "AF_INET6".
func ParseAddressFamily(s string) (AddressFamily, error) {
	for _, f := range addressFamilies {
		if f.name == s {
			return AddressFamily(f.number), nil
		}
	}
	if f, ok := addressFamilyAliases[s]; ok {
		return f, nil
	}
	return 0, invalid("address family", s)
}

// String is the name.
func (f AddressFamily) String() string { return formatNamed(int(f), addressFamilies) }

// Architecture names a kind of CPU as ConditionArchitecture= and
// SystemCallArchitectures= do.
type Architecture string

var architectures = []Architecture{
	"x86-64", "x86", "ppc64", "ppc64-le", "ppc", "ppc-le", "ia64", "parisc64", "parisc", "s390x", "s390", "sparc64", "sparc",
	"mips64", "mips64-le", "mips", "mips-le", "alpha", "arm64", "arm64-be", "arm", "arm-be", "sh", "sh64", "loongarch64",
	"m68k", "tilegx", "cris", "arc", "arc-be", "nios2", "riscv32", "riscv64",
}

// ParseArchitecture reads the name of an architecture.
func ParseArchitecture(s string) (Architecture, error) {
	if a := Architecture(s); slices.Contains(architectures, a) {
		return a, nil
	}
	return "", invalid("architecture", s)
}

// Execution domains of personality(2).
const (
	PersonalityLinux   uint64 = 0
	PersonalityLinux32 uint64 = 8
)

// narrow is the 32-bit architecture that runs on a 64-bit one.
var narrow = map[Architecture]Architecture{
	"x86-64": "x86", "arm64": "arm", "arm64-be": "arm-be", "ppc64": "ppc", "ppc64-le": "ppc-le", "s390x": "s390",
	"mips64": "mips", "mips64-le": "mips-le", "parisc64": "parisc", "sparc64": "sparc",
}

// ParsePersonality reads the value of Personality= on a machine of the native
// architecture: that itself, or its 32-bit kin.
func ParsePersonality(s string, native Architecture) (uint64, error) {
	a, err := ParseArchitecture(s)
	switch {
	case err != nil:
		return 0, err
	case a == native:
		return PersonalityLinux, nil
	case narrow[native] == a:
		return PersonalityLinux32, nil
	}
	return 0, invalidf("personality", s, "not supported on "+string(native))
}
