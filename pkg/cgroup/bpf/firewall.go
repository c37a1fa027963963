package bpf

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Traffic is what was counted for a group.
type Traffic struct {
	IngressPackets, IngressBytes, EgressPackets, EgressBytes uint64
}

const trafficBytes = 32

// Offsets in __sk_buff and in the headers.
const (
	skbLen, skbProtocol      = 0, 16
	etherIP4, etherIP6       = 0x0800, 0x86dd
	ip4Source, ip4Target     = 12, 16
	ip6Source, ip6Target     = 8, 24
	keyPrefix, keyAddress    = -24, -20 // on the frame: the key of a lookup
	ip4Bytes, ip6Bytes       = 4, 16
	verdictDeny, verdictPass = 0, 1
)

// firewallProgram looks the other end's address up and counts what passes. A map of -1 is left out.
func firewallProgram(egress bool, v4, v6, counters int) []instruction {
	const skb, verdict = r6, r7
	var a assembler
	a.copy(skb, r1)
	a.mov(verdict, verdictPass)
	if v4 >= 0 || v6 >= 0 {
		a.load(r8, skb, skbProtocol)
	}
	for _, f := range []struct {
		table                  int
		ether                  uint16
		source, target, length int32
	}{{v4, etherIP4, ip4Source, ip4Target, ip4Bytes}, {v6, etherIP6, ip6Source, ip6Target, ip6Bytes}} {
		if f.table < 0 {
			continue
		}
		other := a.onlyIf(r8, bigEndian16(f.ether))
		offset := f.source
		if egress {
			offset = f.target
		}
		a.copy(r1, skb)
		a.mov(r2, offset)
		a.copy(r3, r10)
		a.add(opAddImm, r3, 0, 0, keyAddress)
		a.mov(r4, f.length)
		a.call(helperLoadBytes)
		readable := a.branch(jumpEqual, r0, 0)
		a.verdict(verdictDeny) // no whole header
		a.land(readable)
		a.add(opStoreImm, r10, 0, keyPrefix, f.length*8)
		a.mapRef(r1, f.table, pseudoMap)
		a.copy(r2, r10)
		a.add(opAddImm, r2, 0, 0, keyPrefix)
		a.call(helperLookup)
		unknown := a.branch(jumpEqual, r0, 0)
		a.load(verdict, r0, 0)
		a.add(opAndImm, verdict, 0, 0, 1) // the verifier has to see that it is one of two
		a.land(unknown, other)
	}
	if counters >= 0 {
		denied := a.branch(jumpEqual, verdict, verdictDeny)
		offset := int16(0)
		if egress {
			offset = 16
		}
		a.mapRef(r1, counters, pseudoMapValue)
		a.mov(r2, 1)
		a.add(opAdd64, r1, r2, offset, 0)
		a.load(r2, skb, skbLen)
		a.add(opAdd64, r1, r2, offset+8, 0)
		a.land(denied)
	}
	a.copy(r0, verdict)
	a.add(opExit, 0, 0, 0, 0)
	return a.code
}

// tables merges the two lists: for every prefix named in one of them, what holds for addresses whose longest prefix it is. An address passes if any
// allowed prefix covers it, else it is denied if any denied one does.
func tables(allow, deny []netip.Prefix) map[netip.Prefix]bool {
	allowed, denied := map[netip.Prefix]bool{}, map[netip.Prefix]bool{}
	for _, p := range allow {
		allowed[p.Masked()] = true
	}
	for _, p := range deny {
		denied[p.Masked()] = true
	}
	out := make(map[netip.Prefix]bool, len(allowed)+len(denied))
	decide := func(p netip.Prefix) {
		for bits := p.Bits(); bits >= 0; bits-- {
			if wider, err := p.Addr().Prefix(bits); err == nil && allowed[wider] {
				out[p] = true
				return
			}
		}
		out[p] = false
	}
	for p := range allowed { // order-free: fills a map
		decide(p)
	}
	for p := range denied { // order-free: fills a map
		decide(p)
	}
	return out
}

// prefixMap makes the table of one address family; -1 if it would be empty.
func prefixMap(verdicts map[netip.Prefix]bool, six bool) (int, error) {
	length, count := ip4Bytes, 0
	if six {
		length = ip6Bytes
	}
	for p := range verdicts { // order-free: counts
		if p.Addr().Is6() == six {
			count++
		}
	}
	if count == 0 {
		return -1, nil
	}
	fd, err := createMap("mu_addresses", unix.BPF_MAP_TYPE_LPM_TRIE, 4+length, 4, count, unix.BPF_F_NO_PREALLOC)
	if err != nil {
		return -1, err
	}
	for p, pass := range verdicts { // order-free: fills a map
		if p.Addr().Is6() != six {
			continue
		}
		key := binary.NativeEndian.AppendUint32(nil, uint32(p.Bits()))
		key = append(key, p.Addr().AsSlice()...)
		value := uint32(verdictDeny)
		if pass {
			value = verdictPass
		}
		if err := element(unix.BPF_MAP_UPDATE_ELEM, fd, key, binary.NativeEndian.AppendUint32(nil, value)); err != nil {
			_ = unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// newCounters makes the map that traffic is counted in.
func newCounters() (int, error) {
	return createMap(nameCounters, unix.BPF_MAP_TYPE_ARRAY, 4, trafficBytes, 1, 0)
}

var firstKey = []byte{0, 0, 0, 0}

func readCounters(fd int) (Traffic, error) {
	b := make([]byte, trafficBytes)
	if err := element(unix.BPF_MAP_LOOKUP_ELEM, fd, firstKey, b); err != nil {
		return Traffic{}, err
	}
	n := func(i int) uint64 { return binary.NativeEndian.Uint64(b[8*i:]) }
	return Traffic{n(0), n(1), n(2), n(3)}, nil
}
