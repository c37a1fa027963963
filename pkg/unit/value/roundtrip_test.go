package value

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// same checks that what was formatted is read back as it was.
func same[T any](t *rapid.T, v T, text string, parse func(string) (T, error)) {
	got, err := parse(text)
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Fatalf("%+v is written %q and read %+v, %v", v, text, got, err)
	}
}

func roundTrip(t *testing.T, name string, check func(t *rapid.T)) {
	t.Run(name, func(t *testing.T) { rapid.Check(t, check) })
}

func bitSet(t *rapid.T, names int) uint64 {
	return rapid.Uint64().Draw(t, "bits") & (1<<names - 1)
}

// text is any string without NUL, often with characters that need quoting.
func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringOf(rapid.SampledFrom([]rune(" \t\n\"'\\;$%{}abcé\x7f\x01#:=,/"))),
		rapid.StringMatching(`[^\x00]{0,12}`),
		rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 8), func(b []byte) string { return string(b) }),
	)
}

func TestRoundTripNumbers(t *testing.T) {
	roundTrip(t, "span", func(t *rapid.T) {
		v := USec(rapid.Uint64().Draw(t, "usec") >> rapid.IntRange(0, 63).Draw(t, "shift"))
		same(t, v, v.String(), func(s string) (USec, error) { return ParseSec(s, USecPerSec) })
	})
	roundTrip(t, "nsec", func(t *rapid.T) {
		v := NSec(rapid.Uint64Range(0, 1<<62).Draw(t, "nsec"))
		same(t, v, v.String(), ParseNSec)
	})
	roundTrip(t, "size", func(t *rapid.T) {
		v := rapid.Uint64Range(0, 1<<63).Draw(t, "bytes") >> rapid.IntRange(0, 63).Draw(t, "shift") << rapid.IntRange(0, 20).Draw(t, "factor")
		same(t, v, FormatSize(v), func(s string) (uint64, error) { return ParseSize(s, Base1024) })
	})
	roundTrip(t, "permyriad", func(t *rapid.T) {
		v := Permyriad(rapid.Uint32Range(0, 10000).Draw(t, "share"))
		same(t, v, v.String(), ParsePermyriad)
		same(t, v*7, (v * 7).String(), ParsePermyriadUnbounded)
	})
	roundTrip(t, "limit", func(t *rapid.T) {
		limit := rapid.SampledFrom([]Limit{
			{Kind: LimitInfinity}, {Kind: LimitShare, Share: 1234}, {Kind: LimitAbsolute, Absolute: 1}, {Kind: LimitAbsolute, Absolute: rapid.Uint64Range(1, 1<<63).Draw(t, "n")},
		}).Draw(t, "limit")
		same(t, limit, limit.String(), ParseMemoryLimit)
		same(t, limit, limit.String(), ParseTasksLimit)
	})
	roundTrip(t, "mode", func(t *rapid.T) {
		v := Mode(rapid.Uint32Range(0, 0o7777).Draw(t, "mode"))
		same(t, v, v.String(), ParseMode)
	})
	roundTrip(t, "weight", func(t *rapid.T) {
		v := rapid.SampledFrom([]Weight{WeightIdle, WeightUnset, 1, 100, 10000}).Draw(t, "weight")
		same(t, v, v.String(), ParseCPUWeight)
	})
	roundTrip(t, "rlimit", func(t *rapid.T) {
		r := rapid.SampledFrom(Resources()).Draw(t, "resource")
		bound := uint64(1 << 40)
		if r == ResourceNICE {
			bound = 40
		}
		v := Rlimit{Hard: rapid.Uint64Range(0, bound).Draw(t, "hard")}
		v.Soft = rapid.Uint64Range(0, v.Hard).Draw(t, "soft")
		if r != ResourceNICE && rapid.Bool().Draw(t, "infinite") {
			v.Hard = RlimitInfinity
		}
		same(t, v, v.Format(r), func(s string) (Rlimit, error) { return ParseRlimit(r, s) })
	})
}

func TestRoundTripNames(t *testing.T) {
	roundTrip(t, "signal", func(t *rapid.T) {
		v := rapid.SampledFrom(Signals()).Draw(t, "signal")
		same(t, v, v.Name(), ParseSignal)
		if v != 32 && v != 33 {
			same(t, v, v.String(), ParseSignal)
		}
	})
	roundTrip(t, "errno", func(t *rapid.T) {
		v := Errno(rapid.IntRange(0, errnoMax).Draw(t, "errno"))
		same(t, v, v.String(), ParseErrno)
	})
	roundTrip(t, "exit status", func(t *rapid.T) {
		v := ExitStatus(rapid.Byte().Draw(t, "status"))
		same(t, v, v.String(), ParseExitStatus)
	})
	roundTrip(t, "exit status set", func(t *rapid.T) {
		var v ExitStatusSet
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			v.Add(ExitStatus(rapid.Byte().Draw(t, "status")))
			v.AddSignal(Signal(rapid.IntRange(34, 64).Draw(t, "signal")))
		}
		same(t, v, v.String(), ParseExitStatusSet)
	})
	roundTrip(t, "capability set", func(t *rapid.T) {
		v := CapabilitySet(bitSet(t, 41))
		if rapid.Bool().Draw(t, "inverted") {
			v = CapabilityAll &^ v
		}
		for _, initial := range []CapabilitySet{0, CapabilityAll} {
			same(t, v, v.String(), func(s string) (CapabilitySet, error) { return MergeCapabilitySet(initial, initial, s) })
		}
	})
	roundTrip(t, "secure bits", func(t *rapid.T) {
		v := SecureBits(bitSet(t, 8))
		same(t, v, v.String(), ParseSecureBits)
	})
	roundTrip(t, "namespaces", func(t *rapid.T) {
		v := NamespaceFlags(rapid.Uint64().Draw(t, "bits")) & NamespaceAll
		same(t, v, v.String(), ParseNamespaces)
	})
	roundTrip(t, "kernel numbers", func(t *rapid.T) {
		same(t, IOClass(1), IOClass(1).String(), ParseIOClass)
		policy := CPUPolicy(rapid.IntRange(0, 8).Draw(t, "policy"))
		same(t, policy, policy.String(), ParseCPUPolicy)
		numa := NUMAPolicy(rapid.IntRange(0, 4).Draw(t, "numa"))
		same(t, numa, numa.String(), ParseNUMAPolicy)
		level := LogLevel(rapid.IntRange(0, 7).Draw(t, "level"))
		same(t, level, level.String(), ParseLogLevel)
		facility := LogFacility(rapid.IntRange(0, 127).Draw(t, "facility"))
		same(t, facility, facility.String(), ParseLogFacility)
		family := AddressFamily(rapid.IntRange(0, 45).Draw(t, "family"))
		same(t, family, family.String(), ParseAddressFamily)
		architecture := rapid.SampledFrom(architectures).Draw(t, "architecture")
		same(t, architecture, string(architecture), ParseArchitecture)
	})
	roundTrip(t, "id", func(t *rapid.T) {
		var v ID128
		copy(v[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		same(t, v, v.String(), ParseID128)
		same(t, v, v.UUID(), ParseID128)
	})
	roundTrip(t, "bytes", func(t *rapid.T) {
		v := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		same(t, v, FormatHex(v), ParseHex)
		same(t, v, FormatBase64(v), ParseBase64)
	})
}

func TestRoundTripWords(t *testing.T) {
	roundTrip(t, "word", func(t *rapid.T) {
		words := rapid.SliceOfN(text(), 1, 4).Draw(t, "words")
		same(t, words, QuoteWords(words), func(s string) ([]string, error) { return SplitWords(s, "", WordUnquote|WordCUnescape) })
	})
	roundTrip(t, "escape", func(t *rapid.T) {
		v := text().Draw(t, "text")
		same(t, v, CEscape(v), CUnescape)
		same(t, v, XEscape(v, " '"), CUnescape)
	})
	roundTrip(t, "command", func(t *rapid.T) {
		argv := append([]string{"/bin/a"}, rapid.SliceOfN(text(), 0, 4).Draw(t, "argv")...)
		v := []Command{{Path: "/bin/a", Argv: argv, Flags: CommandFlags(rapid.Byte().Draw(t, "flags")) & (CommandIgnoreFailure | CommandNoEnvExpand | CommandPrivileged)}}
		if rapid.Bool().Draw(t, "argv0") {
			v[0].Flags |= CommandArgv0
			v[0].Argv[0] = text().Draw(t, "name")
		}
		v = append(v, Command{Path: "b", Argv: []string{"b", ";"}, Flags: CommandAmbient})
		same(t, v, FormatCommands(v), func(s string) ([]Command, error) { return ParseCommand(s, nil) })
	})
	roundTrip(t, "environment", func(t *rapid.T) {
		v := []Pair{{"A", rapid.StringMatching(`[^\x00]{0,10}`).Draw(t, "value")}, {"_b1", " '\"\\"}}
		same(t, v, FormatEnvAssignments(v), func(s string) ([]Pair, error) { return ParseEnvAssignments(s, nil) })
	})
	roundTrip(t, "path", func(t *rapid.T) {
		v := PathEntry{IgnoreMissing: rapid.Bool().Draw(t, "ignore"), RootPrefixed: rapid.Bool().Draw(t, "root")}
		v.Path = PathSimplify("/" + rapid.StringMatching(`[a-z./]{0,10}`).Filter(func(s string) bool { return !hasDotDot(s) }).Draw(t, "path"))
		same(t, v, v.String(), ParsePathEntry)
		list := []PathEntry{v, {Path: "/a \"b"}}
		same(t, list, FormatPathEntries(list), func(s string) ([]PathEntry, error) { return ParsePathEntries(s, nil) })
		if !PathIsNormalized(v.Path) {
			t.Fatalf("%s is not normal", v.Path)
		}
	})
}

func TestRoundTripSets(t *testing.T) {
	roundTrip(t, "indexes", func(t *rapid.T) {
		v := IndexSet{}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, 200)).Draw(t, "members") {
			v.Add(i)
		}
		same(t, v, v.String(), ParseIndexSet)
		same(t, v, v.FormatKernel(), ParseIndexSet)
		back, err := IndexSetFromBytes(v.Bytes())
		if err != nil || back.String() != v.String() {
			t.Fatalf("%s as bytes is %s, %v", v, back, err)
		}
	})
	roundTrip(t, "prefixes", func(t *rapid.T) {
		var v []netip.Prefix
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
			addr := netip.AddrFrom16([16]byte(b))
			if rapid.Bool().Draw(t, "v4") {
				addr = netip.AddrFrom4([4]byte(b[:4]))
			}
			v = append(v, netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "length")).Masked())
		}
		same(t, v, FormatAddressPrefixes(v), ParseAddressPrefixes)
		reduced := ReduceAddressPrefixes(v)
		for _, p := range v {
			if !slices.ContainsFunc(reduced, func(r netip.Prefix) bool { return r.Contains(p.Addr()) && r.Bits() <= p.Bits() }) {
				t.Fatalf("%s is not covered by %s", p, reduced)
			}
		}
		for i, p := range reduced {
			for j, q := range reduced {
				if i != j && p.Overlaps(q) {
					t.Fatalf("%s overlaps %s", p, q)
				}
			}
		}
	})
	roundTrip(t, "bind rule", func(t *rapid.T) {
		v := SocketBindRule{Family: rapid.SampledFrom([]string{"", "ipv4", "ipv6"}).Draw(t, "family"), Protocol: rapid.SampledFrom([]string{"", "tcp", "udp"}).Draw(t, "protocol")}
		if rapid.Bool().Draw(t, "ports") {
			v.PortMin = rapid.Uint16Range(1, 65535).Draw(t, "port")
			v.Ports = rapid.Uint32Range(1, 65536-uint32(v.PortMin)).Draw(t, "n")
		}
		same(t, v, v.String(), ParseSocketBindRule)
	})
	roundTrip(t, "device", func(t *rapid.T) {
		rule := DeviceRule{Device: rapid.SampledFrom([]string{"/dev/null", "/dev/a b", "char-pts", "block-*"}).Draw(t, "device"), Access: rapid.SampledFrom([]string{"r", "w", "rm", "rwm"}).Draw(t, "access")}
		same(t, rule, rule.String(), func(s string) (DeviceRule, error) { return ParseDeviceRule(s, nil) })
		weight := DeviceWeight{"/dev/a b", Weight(rapid.Uint64Range(1, 10000).Draw(t, "weight"))}
		same(t, weight, weight.String(), func(s string) (DeviceWeight, error) { return ParseDeviceWeight(s, nil) })
		limit := DeviceLimit{"/dev/a", rapid.Uint64Min(1).Draw(t, "limit")}
		same(t, limit, limit.String(), func(s string) (DeviceLimit, error) { return ParseDeviceLimit(s, nil) })
		latency := DeviceLatency{"/dev/a", USec(rapid.Uint64Range(0, 1<<50).Draw(t, "latency"))}
		same(t, latency, latency.String(), func(s string) (DeviceLatency, error) { return ParseDeviceLatency(s, nil) })
	})
}

func TestRoundTripTimestamp(t *testing.T) {
	zones := []*time.Location{time.UTC, location(t, "Europe/Berlin"), location(t, "America/New_York")}
	roundTrip(t, "timestamp", func(t *rapid.T) {
		// The first hour of 1970 in New York is still 1969.
		v := USec(rapid.Uint64Range(1, 4102444800*1000000).Draw(t, "usec"))
		loc := rapid.SampledFrom(zones).Draw(t, "zone")
		parse := func(s string) (USec, error) { return ParseTimestamp(s, v, loc, zoneByName) }
		same(t, v, FormatTimestamp(v, TimestampUSUTC, loc), parse)
		same(t, v, FormatTimestamp(v, TimestampUSec, loc), parse)
		sec := v / USecPerSec * USecPerSec
		if sec > 0 {
			same(t, sec, FormatTimestamp(v, TimestampPretty, loc), parse)
			same(t, sec, FormatTimestamp(v, TimestampUnix, loc), parse)
		}
	})
}
