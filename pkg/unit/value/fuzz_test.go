package value

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fuzz gives any text to a parser: it must not panic, and what it reads must be
// read again the same after it was formatted.
func fuzz[T any](f *testing.F, parse func(string) (T, error), format func(T) string, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parse(s)
		if err != nil || format == nil {
			return
		}
		text := format(v)
		again, err := parse(text)
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%q is read %+v, written %q and read %+v, %v", s, v, text, again, err)
		}
	})
}

func FuzzBool(f *testing.F)     { fuzz(f, ParseBool, FormatBool, "yes", "0", "oN") }
func FuzzTristate(f *testing.F) { fuzz(f, ParseTristate, nil, "", "on") }
func FuzzUint(f *testing.F) {
	fuzz(f, func(s string) (uint64, error) { return ParseUint(s, 64) }, nil, "0x10", "010", "+5")
}
func FuzzInt(f *testing.F) {
	fuzz(f, func(s string) (int64, error) { return ParseInt(s, 32) }, nil, "-0x10", " -5")
}
func FuzzMode(f *testing.F) { fuzz(f, ParseMode, Mode.String, "0755", "7777") }
func FuzzSec(f *testing.F) {
	fuzz(f, func(s string) (USec, error) { return ParseSec(s, USecPerSec) }, USec.String, "1min 30s", "infinity", "1.5h", "3µs")
}
func FuzzNSec(f *testing.F) { fuzz(f, ParseNSec, NSec.String, "5ns", "1us 3ns", "infinity") }
func FuzzSize(f *testing.F) {
	fuzz(f, func(s string) (uint64, error) {
		n, err := ParseSize(s, Base1024)
		if err == nil && n == 1<<64-1 {
			err = ErrRange // written as infinity, which is for others to read
		}
		return n, err
	}, FormatSize, "1.5G 3K", "5B")
}
func FuzzPermyriad(f *testing.F) {
	fuzz(f, ParsePermyriadUnbounded, Permyriad.String, "50.5%", "5‰", "5.5‱")
}
func FuzzMemoryLimit(f *testing.F) {
	fuzz(f, ParseMemoryLimit, Limit.String, "50%", "1.5G", "infinity")
}
func FuzzTasksLimit(f *testing.F) { fuzz(f, ParseTasksLimit, Limit.String, "50%", "10", "infinity") }
func FuzzSignal(f *testing.F)     { fuzz(f, ParseSignal, Signal.Name, "SIGTERM", "RTMIN+3", "9") }
func FuzzErrno(f *testing.F)      { fuzz(f, ParseErrno, Errno.String, "EPERM", "5") }
func FuzzExitStatusSet(f *testing.F) {
	fuzz(f, ParseExitStatusSet, ExitStatusSet.String, "1 EXEC SIGTERM", "RTMAX-1")
}
func FuzzRlimit(f *testing.F) {
	for _, r := range resources {
		f.Add(string(r), "1:infinity")
		f.Add(string(r), "-5")
	}
	f.Fuzz(func(t *testing.T, resource, s string) {
		r := Resource(resource)
		v, err := ParseRlimit(r, s)
		if err != nil {
			return
		}
		if again, err := ParseRlimit(r, v.Format(r)); err != nil || again != v {
			t.Fatalf("%s %q is read %+v, written %q and read %+v, %v", r, s, v, v.Format(r), again, err)
		}
	})
}

func FuzzSplitWords(f *testing.F) {
	f.Add(`a "b c" \x41`, uint16(WordUnquote|WordCUnescape))
	f.Add(`a::b\:`, uint16(WordDontCoalesce|WordUnescapeSeparators))
	f.Fuzz(func(t *testing.T, s string, flags uint16) {
		words, err := SplitWords(s, "", WordFlags(flags))
		total := 0
		for _, w := range words {
			total += len(w) + 1
		}
		// A code point in an escape of six characters takes at most four bytes.
		if total > len(s)+1 {
			t.Fatalf("%q: %d bytes of words", s, total)
		}
		if err != nil && WordFlags(flags)&WordRelax != 0 && WordFlags(flags)&(WordCUnescape|WordUnescapeSeparators) == 0 {
			t.Fatalf("%q: relaxed, but %v", s, err)
		}
		if !noNUL(words) {
			return
		}
		again, err := SplitWords(QuoteWords(words), "", WordUnquote|WordCUnescape)
		if err != nil || !slices.Equal(words, again) {
			t.Fatalf("%q is written %q and read %q, %v", words, QuoteWords(words), again, err)
		}
	})
}

func noNUL(words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return strings.IndexByte(w, 0) >= 0 })
}

func FuzzCUnescape(f *testing.F) {
	fuzz(f, func(s string) (string, error) { return CUnescape(strings.ReplaceAll(s, "\x00", "")) }, CEscape, `\x41\n`, `\u00e9`, `\101`)
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{`-@/bin/a b "c d" \; ; e`, `!!a $X ${Y}`, `|echo a`, `/bin/a \q 'x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		commands, err := ParseCommand(s, nil)
		if err != nil {
			return
		}
		for _, c := range commands {
			if len(c.Argv) == 0 || c.Path == "" {
				t.Fatalf("%q: %+v", s, c)
			}
			if c.Flags&CommandViaShell != 0 {
				continue // the shell's text has rules of its own
			}
			again, err := ParseCommand(c.Format(), nil)
			if err != nil || len(again) != 1 || again[0].Path != c.Path || !reflect.DeepEqual(again[0].Argv, c.Argv) {
				t.Fatalf("%q is read %+v, written %q and read %+v, %v", s, c, c.Format(), again, err)
			}
		}
	})
}

func FuzzExpandEnv(f *testing.F) {
	f.Add("$A", "x y")
	f.Add("a${A}$$", `"`)
	f.Fuzz(func(t *testing.T, word, val string) {
		words, _, _ := ExpandEnv([]string{word}, func(string) (string, bool) { return val, true })
		if len(words) > len(val)+1 {
			t.Fatalf("%q with %q: %d words", word, val, len(words))
		}
	})
}

func FuzzEnvAssignments(f *testing.F) {
	fuzz(f, func(s string) ([]Pair, error) { return ParseEnvAssignments(s, nil) }, FormatEnvAssignments, `A=b "C=d e"`, `A=\x41`)
}

func FuzzEnvFile(f *testing.F) {
	f.Add([]byte("A=b\nC=\"d\\\ne\" f # g\n#h\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pairs, _ := ParseEnvFile(data)
		for _, p := range pairs {
			if !EnvNameIsValid(p.Name) || !utf8.ValidString(p.Value) {
				t.Fatalf("%q: %+v", data, p)
			}
		}
	})
}

func FuzzIndexSet(f *testing.F) { fuzz(f, ParseIndexSet, IndexSet.String, "0-3,5 7", "8191") }
func FuzzAddressPrefixes(f *testing.F) {
	fuzz(f, ParseAddressPrefixes, FormatAddressPrefixes, "10.0.0.0/8 any", "::ffff:1.2.3.4")
}
func FuzzSocketBindRule(f *testing.F) {
	fuzz(f, ParseSocketBindRule, SocketBindRule.String, "ipv4:tcp:80-90", "any")
}
func FuzzListen(f *testing.F) {
	fuzz(f, ParseListen, ListenAddress.Format, "80", "[::1]:80%lo", "vsock::1", "@a", "1.2.3.4:5")
}
func FuzzListenNetlink(f *testing.F) { fuzz(f, ParseListenNetlink, ListenAddress.String, "route 5") }
func FuzzCapabilitySet(f *testing.F) {
	fuzz(f, func(s string) (CapabilitySet, error) { return MergeCapabilitySet(0, 0, s) }, CapabilitySet.String, "~CAP_KILL 5", "cap_bpf")
}
func FuzzSecureBits(f *testing.F) { fuzz(f, ParseSecureBits, SecureBits.String, "noroot keep-caps") }
func FuzzImagePolicy(f *testing.F) {
	fuzz(f, ParseImagePolicy, func(p ImagePolicy) string { return p.String() }, "root=verity+signed:usr=ignore:=absent")
}
func FuzzNamespaces(f *testing.F)    { fuzz(f, ParseNamespaces, NamespaceFlags.String, "net uts") }
func FuzzIOClass(f *testing.F)       { fuzz(f, ParseIOClass, IOClass.String, "idle", "5") }
func FuzzCPUPolicy(f *testing.F)     { fuzz(f, ParseCPUPolicy, CPUPolicy.String, "rr", "6") }
func FuzzNUMAPolicy(f *testing.F)    { fuzz(f, ParseNUMAPolicy, NUMAPolicy.String, "bind") }
func FuzzLogLevel(f *testing.F)      { fuzz(f, ParseLogLevel, LogLevel.String, "err", "7") }
func FuzzLogFacility(f *testing.F)   { fuzz(f, ParseLogFacility, LogFacility.String, "local0", "100") }
func FuzzAddressFamily(f *testing.F) { fuzz(f, ParseAddressFamily, AddressFamily.String, "AF_INET") }
func FuzzPersonality(f *testing.F) {
	fuzz(f, func(s string) (uint64, error) { return ParsePersonality(s, "x86-64") }, nil, "x86")
}
func FuzzWeight(f *testing.F) { fuzz(f, ParseCPUWeight, Weight.String, "idle", "100") }
func FuzzDeviceRule(f *testing.F) {
	fuzz(f, func(s string) (DeviceRule, error) { return ParseDeviceRule(s, nil) }, DeviceRule.String, "/dev/null rw", "char-*")
}
func FuzzDeviceLines(f *testing.F) {
	f.Add("/dev/vda 5M")
	f.Fuzz(func(t *testing.T, s string) {
		w, errW := ParseDeviceWeight(s, nil)
		l, errL := ParseDeviceLimit(s, nil)
		u, errU := ParseDeviceLatency(s, nil)
		if errW == nil && w.Path == "" || errL == nil && l.Path == "" || errU == nil && u.Path == "" {
			t.Fatalf("%q: no path", s)
		}
	})
}
func FuzzPathEntry(f *testing.F) { fuzz(f, ParsePathEntry, PathEntry.String, "-+/a//b/.", "/") }
func FuzzID128(f *testing.F)     { fuzz(f, ParseID128, ID128.String, "00112233445566778899aabbccddeeff") }
func FuzzHex(f *testing.F)       { fuzz(f, ParseHex, FormatHex, "00 ff") }
func FuzzBase64(f *testing.F)    { fuzz(f, ParseBase64, FormatBase64, "YQ==", "Y W I=") }

func FuzzCalendar(f *testing.F) {
	for _, s := range []string{"Mon..Fri *-*~1..3 0/2:30:15.5 UTC", "@5", "hourly", "2020-2-3 1:2 Europe/Berlin", "*-*-31 *:*:*"} {
		f.Add(s, uint64(1767225600000000))
	}
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string, after uint64) {
		c, err := ParseCalendar(s)
		if err != nil {
			return
		}
		again, err := ParseCalendar(c.String())
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("%q is read %+v, written %q and read %+v, %v", s, c, c, again, err)
		}
		next, ok := c.Next(USec(after), loc)
		if ok && (next <= USec(after) || !c.matches(next, loc)) {
			t.Fatalf("%q after %d: %d", s, after, next)
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"Wed 2020-01-01 10:00:00.5 UTC", "+3h", "2h ago", "@5", "today", "2020-1-1T1:2+05:30", "10:00 CET"} {
		f.Add(s, uint64(1767225600000000))
	}
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string, now uint64) {
		v, err := ParseTimestamp(s, USec(now), loc, nil)
		if err != nil || v == 0 || v >= maxTimestampSec*USecPerSec {
			return
		}
		again, err := ParseTimestamp(FormatTimestamp(v, TimestampUSUTC, loc), USec(now), loc, nil)
		if err != nil || again != v {
			t.Fatalf("%q is read %d, then %d, %v", s, v, again, err)
		}
		FormatRelative(v, USec(now))
	})
}
