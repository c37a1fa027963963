package value

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// ListenFamily is the address family of a socket to listen on.
type ListenFamily string

// Families of ListenStream= and its like.
const (
	ListenUnix    ListenFamily = "unix"
	ListenIPv4    ListenFamily = "ipv4"
	ListenIPv6    ListenFamily = "ipv6"
	ListenVsock   ListenFamily = "vsock"
	ListenNetlink ListenFamily = "netlink"
)

// VsockCIDAny is the vsock address for all.
const VsockCIDAny uint32 = math.MaxUint32

// ListenAddress is an address to listen on (systemd.socket(5)).
type ListenAddress struct {
	Family ListenFamily `json:"family"`
	Path   string       `json:"path,omitempty"` // of unix; abstract ones start with "@"

	Addr  netip.Addr `json:"addr,omitzero"`   // of ipv4 and ipv6, without zone
	Port  uint32     `json:"port,omitempty"`  // of ipv4, ipv6 and vsock
	Scope string     `json:"scope,omitempty"` // interface by name or number
	// PortOnly is a port without address: the IPv6 wildcard, or the IPv4 one on
	// kernels without IPv6.
	PortOnly bool `json:"port_only,omitempty"`

	CID  uint32 `json:"cid,omitempty"`  // of vsock
	Type string `json:"type,omitempty"` // of vsock-stream: and its like: stream, dgram or seqpacket

	NetlinkProtocol int    `json:"netlink_protocol,omitempty"`
	NetlinkGroup    uint32 `json:"netlink_group,omitempty"`
}

const unixPathMax = 108 // of sockaddr_un, with the NUL

// ParseListen reads the address of ListenStream=, ListenDatagram= or
// ListenSequentialPacket=: a path, "@abstract", "port", "v4:port", "[v6]:port",
// "[v6]:port%interface" or "vsock:cid:port".
func ParseListen(s string) (ListenAddress, error) {
	switch {
	case strings.HasPrefix(s, "/"):
		if len(s) >= unixPathMax {
			return ListenAddress{}, invalidf("listen address", s, "path is too long")
		}
		return ListenAddress{Family: ListenUnix, Path: s}, nil
	case strings.HasPrefix(s, "@"):
		if len(s) < 2 || len(s) >= unixPathMax {
			return ListenAddress{}, invalid("listen address", s)
		}
		return ListenAddress{Family: ListenUnix, Path: s}, nil
	case strings.HasPrefix(s, "vsock"):
		return parseVsock(s)
	case strings.HasPrefix(s, "["):
		return parseListenIPv6(s)
	}
	host, port, ok := cutLast(s, ':')
	if !ok {
		p, err := ParsePort(s)
		if err != nil {
			return ListenAddress{}, invalid("listen address", s)
		}
		return ListenAddress{Family: ListenIPv6, Addr: netip.IPv6Unspecified(), Port: uint32(p), PortOnly: true}, nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.Is4() {
		return ListenAddress{}, invalid("listen address", s)
	}
	// An interface is read, but means nothing to IPv4.
	port, scope, hasScope := strings.Cut(port, "%")
	if hasScope && !InterfaceNameIsValid(scope) {
		return ListenAddress{}, invalidf("listen address", s, "not an interface")
	}
	p, err := ParsePort(port)
	if err != nil {
		return ListenAddress{}, err
	}
	return ListenAddress{Family: ListenIPv4, Addr: addr, Port: uint32(p)}, nil
}

func cutLast(s string, c byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func parseListenIPv6(s string) (ListenAddress, error) {
	end := strings.Index(s, "]:")
	if end < 0 {
		return ListenAddress{}, invalid("listen address", s)
	}
	addr, err := netip.ParseAddr(s[1:end])
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return ListenAddress{}, invalid("listen address", s)
	}
	port, scope, hasScope := strings.Cut(s[end+2:], "%")
	if hasScope && !InterfaceNameIsValid(scope) {
		return ListenAddress{}, invalidf("listen address", s, "not an interface")
	}
	p, err := ParsePort(port)
	if err != nil {
		return ListenAddress{}, err
	}
	return ListenAddress{Family: ListenIPv6, Addr: addr, Port: uint32(p), Scope: scope}, nil
}

func parseVsock(s string) (ListenAddress, error) {
	a := ListenAddress{Family: ListenVsock, CID: VsockCIDAny}
	kind, rest, ok := strings.Cut(s, ":")
	cid, port, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		return ListenAddress{}, invalid("listen address", s)
	}
	switch kind {
	case "vsock":
	case "vsock-stream", "vsock-dgram", "vsock-seqpacket":
		a.Type = kind[len("vsock-"):]
	default:
		return ListenAddress{}, invalid("listen address", s)
	}
	if cid != "" {
		v, err := ParseUint(cid, 32)
		if err != nil {
			return ListenAddress{}, invalid("listen address", s)
		}
		a.CID = uint32(v)
	}
	v, err := ParseUint(port, 32)
	if err != nil {
		return ListenAddress{}, invalid("listen address", s)
	}
	a.Port = uint32(v)
	return a, nil
}

// netlinkProtocols are the names of ListenNetlink=, with the kernel's numbers.
var netlinkProtocols = map[string]int{
	"route": 0, "firewall": 3, "inet-diag": 4, "nflog": 5, "xfrm": 6, "selinux": 7, "iscsi": 8, "audit": 9,
	"fib-lookup": 10, "connector": 11, "netfilter": 12, "ip6-fw": 13, "dnrtmsg": 14, "kobject-uevent": 15,
	"generic": 16, "scsitransport": 18, "ecryptfs": 19, "rdma": 20,
}

// ParseListenNetlink reads "protocol" or "protocol group", by name or number.
func ParseListenNetlink(s string) (ListenAddress, error) {
	words, err := SplitWords(s, whitespace, 0)
	if err != nil || len(words) < 1 || len(words) > 2 {
		return ListenAddress{}, invalid("netlink address", s)
	}
	a := ListenAddress{Family: ListenNetlink}
	protocol, ok := netlinkProtocols[words[0]]
	if !ok {
		v, err := ParseUint(words[0], 31)
		if err != nil {
			return ListenAddress{}, invalid("netlink address", s)
		}
		protocol = int(v)
	}
	a.NetlinkProtocol = protocol
	if len(words) == 2 {
		v, err := ParseUint(words[1], 32)
		if err != nil {
			return ListenAddress{}, invalid("netlink address", s)
		}
		a.NetlinkGroup = uint32(v)
	}
	return a, nil
}

// String writes the address as systemctl shows it: a port alone is "[::]:port",
// and the socket type of vsock is left out.
func (a ListenAddress) String() string {
	switch a.Family {
	case ListenUnix:
		return a.Path
	case ListenIPv4:
		return a.Addr.String() + ":" + strconv.FormatUint(uint64(a.Port), 10)
	case ListenIPv6:
		s := "[" + a.Addr.String() + "]:" + strconv.FormatUint(uint64(a.Port), 10)
		if a.Scope != "" {
			s += "%" + a.Scope
		}
		return s
	case ListenVsock:
		s := "vsock:"
		if a.CID != VsockCIDAny {
			s += strconv.FormatUint(uint64(a.CID), 10)
		}
		return s + ":" + strconv.FormatUint(uint64(a.Port), 10)
	case ListenNetlink:
		return netlinkName(a.NetlinkProtocol) + " " + strconv.FormatUint(uint64(a.NetlinkGroup), 10)
	}
	return ""
}

// Format writes the address so that it is read back exactly.
func (a ListenAddress) Format() string {
	if a.PortOnly {
		return strconv.FormatUint(uint64(a.Port), 10)
	}
	if a.Type != "" {
		return "vsock-" + a.Type + strings.TrimPrefix(a.String(), "vsock")
	}
	return a.String()
}

func netlinkName(protocol int) string {
	for name, n := range netlinkProtocols {
		if n == protocol {
			return name
		}
	}
	return strconv.Itoa(protocol)
}

const interfaceNameMax = 15

// InterfaceNameIsValid says whether s may name a network interface, or is the number
// of one.
func InterfaceNameIsValid(s string) bool {
	if s == "" || s == "." || s == ".." || s == "all" || s == "default" || len(s) > interfaceNameMax {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 127 || strings.IndexByte(":/%", s[i]) >= 0 {
			return false
		}
	}
	return true
}
