package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// listenImpl is one of the Listen…= directives, which share one list in the
// order of the file. Empty text drops all listeners. Only the first row of
// them has the property Listen.
func listenImpl(kindWord string, check func(s string) (string, error), first bool) *custom {
	add := inSocket(func(s *Socket) *[]Listen { return &s.Listen })
	c := &custom{
		name: "address",
		parseFn: func(c *Context, t target, text string) error {
			list := add(t, true)
			if text == "" {
				*list = nil
				return nil
			}
			addr, err := c.expand(text)
			if err == nil {
				addr, err = check(addr)
			}
			if err != nil {
				return err
			}
			*list = append(*list, Listen{Kind: kindWord, Address: strings.Clone(addr)})
			return nil
		},
		formatFn: func(t target) []string {
			var out []string
			for _, l := range *add(t, false) {
				if l.Kind == kindWord {
					out = append(out, escaped(l.Address))
				}
			}
			return out
		},
	}
	if first {
		c.bus = []formInfo{{sig: "a(ss)"}}
		c.writeFn = func(w BusWriter, t target, _ int) {
			list := *add(t, false)
			writePairs(w, len(list), func(i int) (string, string) { return list[i].Kind, listenText(list[i]) })
		}
	}
	return c
}

// timerImpl is one of the On…Sec= directives and OnCalendar=. Empty text
// drops all of them.
func timerImpl(base string) *custom {
	list := inTimer(func(b *Timer) *[]TimerSpec { return &b.Timers })
	name := "time span"
	if base == "Calendar" {
		name = "calendar expression"
	}
	return &custom{
		name: name,
		parseFn: func(c *Context, t target, text string) error {
			l := list(t, true)
			if text == "" {
				*l = nil
				return nil
			}
			text, err := c.expand(text)
			if err != nil {
				return err
			}
			spec := TimerSpec{Base: base}
			if base == "Calendar" {
				cal, err := value.ParseCalendar(text)
				if err != nil {
					return err
				}
				spec.Calendar = cal.String()
			} else {
				v, err := value.ParseSec(text, value.USecPerSec)
				if err != nil {
					return err
				}
				spec.USec = uint64(v)
			}
			*l = append(*l, spec)
			return nil
		},
		formatFn: func(t target) []string {
			var out []string
			for _, s := range *list(t, false) {
				if s.Base == base && base == "Calendar" {
					out = append(out, escaped(s.Calendar))
				} else if s.Base == base {
					out = append(out, formatUSec(s.USec))
				}
			}
			return out
		},
		bus: timerForms(base),
		textFn: func(r BusReader, _ target, _ int) ([]string, error) {
			if base == "Calendar" {
				return one(escaped(r.String()))
			}
			return one(formatUSec(r.Uint64()))
		},
	}
}

// timerForms: each directive can be set by its own name; what was set reads
// back from TimersMonotonic and TimersCalendar, which the timer machine
// gives since they have the next elapse in them.
func timerForms(base string) []formInfo {
	if base == "Calendar" {
		return []formInfo{{setSig: "s"}}
	}
	return []formInfo{{setSig: "t"}}
}

// WriteTimers writes the configured timers as TimersMonotonic, or with
// calendar as TimersCalendar, the latest first, with next giving the next
// elapse of each in µs.
func WriteTimers(w BusWriter, list []TimerSpec, calendar bool, next func(i int) uint64) {
	elem := "(stt)"
	if calendar {
		elem = "(sst)"
	}
	w.BeginArray(elem)
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		if (s.Base == "Calendar") != calendar {
			continue
		}
		w.BeginStruct()
		if calendar {
			w.String("OnCalendar")
			w.String(s.Calendar)
		} else {
			w.String("On" + s.Base + "USec")
			w.Uint64(s.USec)
		}
		w.Uint64(next(i))
		w.EndStruct()
	}
	w.EndArray()
}

// pathImpl is one of the watches of a path unit. Empty text drops all.
func pathImpl(typ string, first bool) *custom {
	list := inPath(func(b *Path) *[]PathSpec { return &b.Paths })
	c := &custom{
		name: "path",
		parseFn: func(c *Context, t target, text string) error {
			l := list(t, true)
			if text == "" {
				*l = nil
				return nil
			}
			p, err := c.expand(text)
			if err == nil {
				p, err = checkAbsolute(p)
			}
			if err != nil {
				return err
			}
			*l = append(*l, PathSpec{Type: typ, Path: strings.Clone(p)})
			return nil
		},
		formatFn: func(t target) []string {
			var out []string
			for _, p := range *list(t, false) {
				if p.Type == typ {
					out = append(out, escaped(p.Path))
				}
			}
			return out
		},
	}
	if first {
		c.bus = []formInfo{{sig: "a(ss)"}}
		c.writeFn = func(w BusWriter, t target, _ int) {
			l := *list(t, false)
			last := len(l) - 1 // systemd shows the latest first
			writePairs(w, len(l), func(i int) (string, string) { return l[last-i].Type, l[last-i].Path })
		}
	}
	return c
}

// streamAddress checks what ListenStream= and the like take. A path below the
// old /var/run/ is moved.
func streamAddress(s string) (string, error) {
	if rest, ok := strings.CutPrefix(s, "/var/run/"); ok {
		s = "/run/" + rest
	}
	_, err := value.ParseListen(s)
	return s, err
}

// packetAddress is streamAddress for sequential packets, which only local
// sockets have.
func packetAddress(s string) (string, error) {
	a, err := value.ParseListen(s)
	if err == nil && (a.Family == value.ListenIPv4 || a.Family == value.ListenIPv6) {
		err = errText("socket address ", quoted(s), " is of a family without sequential packets")
	}
	if err != nil {
		return "", err
	}
	return streamAddress(s)
}

// nodeAddress is the path of a FIFO and the like.
func nodeAddress(s string) (string, error) {
	p, err := checkAbsolute(s)
	if err == nil && onAPIFileSystem(p) {
		err = errText("path ", quoted(p), " is on a file system of the kernel")
	}
	return p, err
}

// listenText is how the bus shows an address: a port alone gets the address
// it is bound to.
func listenText(l Listen) string {
	switch l.Kind {
	case "Stream", "Datagram", "SequentialPacket":
		if a, err := value.ParseListen(l.Address); err == nil {
			return a.String()
		}
	case "Netlink":
		if a, err := value.ParseListenNetlink(l.Address); err == nil {
			return a.String()
		}
	}
	return l.Address
}

// messageQueueName is the rule of mq_overview(7).
func messageQueueName(s string) (string, error) {
	const longest = 255
	if len(s) < 2 || len(s) > longest || s[0] != '/' || strings.Contains(s[1:], "/") {
		return "", errText("message queue ", quoted(s), " is not valid")
	}
	return s, nil
}

func netlinkAddress(s string) (string, error) {
	_, err := value.ParseListenNetlink(s)
	return s, err
}

// Transport protocols (ip(7)).
const (
	protocolTCP = 6
	protocolUDP = 17
)

var (
	socketProtocols  = map[string]int32{"udplite": 136, "sctp": 132, "mptcp": 262}
	kSocketProtocol  = kCodeEnum("socket protocol", socketProtocols, true, 0)
	ipTOS            = map[string]int32{"low-delay": 0x10, "throughput": 0x08, "reliability": 0x04, "low-cost": 0x02}
	bindFamilies     = map[string]int32{"ipv4": familyINET, "ipv6": familyINET6}
	bindProtocols    = map[string]int32{"tcp": protocolTCP, "udp": protocolUDP}
	netfilterFamily  = map[string]int32{"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
	netfilterSources = map[string]int32{"cgroup": 3, "user": 4, "group": 5}
)

// kIPTOS is IPTOS=: a word or a number; empty text unsets.
var kIPTOS = simple("one of low-delay, throughput, reliability, low-cost, or a number", func(_ *Context, s string) (int32, error) {
	if s == "" {
		return -1, nil
	}
	if v, ok := ipTOS[s]; ok {
		return v, nil
	}
	v, err := value.ParseIntRange(s, 0, 255)
	return int32(v), err
}, unsetInt32Text, form[int32]{sig: "i", write: busInt32.write,
	read: func(r BusReader, _ *int32) ([]string, error) { return one(unsetInt32Text(r.Int32())) }})

func unsetInt32Text(v int32) string {
	if v < 0 {
		return ""
	}
	return formatInt32(v)
}

// kIntUnset is a number of which -1, or empty text, means unset.
var kIntUnset = simple("number", func(_ *Context, s string) (int32, error) {
	if s == "" {
		return -1, nil
	}
	v, err := value.ParseInt(s, 32)
	return int32(v), err
}, unsetInt32Text, form[int32]{sig: "i", write: busInt32.write,
	read: func(r BusReader, _ *int32) ([]string, error) { return one(unsetInt32Text(r.Int32())) }})

func codeName(words map[string]int32, v int32) string {
	for w, n := range words {
		if n == v {
			return w
		}
	}
	return ""
}

// kSocketBind is SocketBindAllow= and SocketBindDeny=:
// [FAMILY:][TRANSPORT:]PORTS, or any.
var kSocketBind = listKind("[FAMILY:][TRANSPORT:]PORTS, or any", func(_ *Context, s string) ([]SocketBindRule, error) {
	r, err := parseSocketBind(s)
	if err != nil {
		return nil, err
	}
	return []SocketBindRule{r}, nil
}, func(list []SocketBindRule) []string {
	var out []string
	for _, r := range list {
		out = append(out, socketBindText(r))
	}
	return out
}, form[[]SocketBindRule]{sig: "a(iiqq)",
	write: func(w BusWriter, v *[]SocketBindRule) {
		w.BeginArray("(iiqq)")
		for _, r := range *v {
			w.BeginStruct()
			w.Int32(r.Family)
			w.Int32(r.Protocol)
			w.Uint16(r.Count)
			w.Uint16(r.Port)
			w.EndStruct()
		}
		w.EndArray()
	},
	read: func(r BusReader, _ *[]SocketBindRule) ([]string, error) {
		var out []string
		r.BeginArray("(iiqq)")
		for r.More() {
			r.BeginStruct()
			rule := SocketBindRule{Family: r.Int32(), Protocol: r.Int32(), Count: r.Uint16(), Port: r.Uint16()}
			r.EndStruct()
			if rule.Family != 0 && codeName(bindFamilies, rule.Family) == "" ||
				rule.Protocol != 0 && codeName(bindProtocols, rule.Protocol) == "" {
				return nil, errText("family or protocol of the bind rule isn't known")
			}
			out = append(out, socketBindText(rule))
		}
		r.EndArray()
		if len(out) == 0 {
			return one("")
		}
		return out, nil
	},
})

func parseSocketBind(s string) (SocketBindRule, error) {
	r, err := value.ParseSocketBindRule(s)
	return SocketBindRule{Family: bindFamilies[r.Family], Protocol: bindProtocols[r.Protocol],
		Count: uint16(r.Ports), Port: r.PortMin}, err
}

func socketBindText(r SocketBindRule) string {
	return value.SocketBindRule{Family: codeName(bindFamilies, r.Family), Protocol: codeName(bindProtocols, r.Protocol),
		PortMin: r.Port, Ports: uint32(r.Count)}.String()
}

// kNFTSet is NFTSet=SOURCE:FAMILY:TABLE:SET.
var kNFTSet = listKind("list of SOURCE:FAMILY:TABLE:SET", func(c *Context, s string) ([]NFTSet, error) {
	list, err := words(c, s, value.WordUnquote, nil)
	faults := oneFault(err)
	var out []NFTSet
	for _, w := range list {
		parts := strings.Split(w, ":")
		var n NFTSet
		if len(parts) == 4 {
			source, ok1 := netfilterSources[parts[0]]
			family, ok2 := netfilterFamily[parts[1]]
			n = NFTSet{Source: source, Family: family, Table: parts[2], Set: parts[3]}
			if ok1 && ok2 && netfilterName(n.Table) && netfilterName(n.Set) {
				out = append(out, n)
				continue
			}
		}
		faults = append(faults, errText("set ", quoted(w), " is not valid"))
	}
	return out, joinErrors(faults)
}, func(list []NFTSet) []string {
	var out []string
	for _, n := range list {
		out = append(out, nftSetText(n))
	}
	if len(out) == 0 {
		return nil
	}
	return []string{strings.Join(out, " ")}
}, form[[]NFTSet]{sig: "a(iiss)",
	write: func(w BusWriter, v *[]NFTSet) {
		w.BeginArray("(iiss)")
		for _, n := range *v {
			w.BeginStruct()
			w.Int32(n.Source)
			w.Int32(n.Family)
			w.String(n.Table)
			w.String(n.Set)
			w.EndStruct()
		}
		w.EndArray()
	},
	read: func(r BusReader, _ *[]NFTSet) ([]string, error) {
		var out []string
		r.BeginArray("(iiss)")
		for r.More() {
			r.BeginStruct()
			out = append(out, nftSetText(NFTSet{Source: r.Int32(), Family: r.Int32(), Table: r.String(), Set: r.String()}))
			r.EndStruct()
		}
		r.EndArray()
		return one(strings.Join(out, " "))
	},
})

func nftSetText(n NFTSet) string {
	return codeName(netfilterSources, n.Source) + ":" + codeName(netfilterFamily, n.Family) + ":" + n.Table + ":" + n.Set
}

func netfilterName(s string) bool {
	const longest = 31
	return s != "" && len(s) <= longest && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z') &&
		onlyChars(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/\\_.")
}

var bpfAttachTypes = [...]string{"ingress", "egress", "sock_create", "sock_ops", "device", "bind4", "bind6", "connect4",
	"connect6", "post_bind4", "post_bind6", "sendmsg4", "sendmsg6", "sysctl", "recvmsg4", "recvmsg6", "getsockopt",
	"setsockopt"}

// kBPFProgram is BPFProgram=TYPE:PATH.
var kBPFProgram = pairKind("TYPE:PATH", func(parts []string) (BPFProgram, error) {
	for _, n := range bpfAttachTypes {
		if n == parts[0] {
			path, err := checkAbsolute(part(parts, 1))
			return BPFProgram{AttachType: n, Path: path}, err
		}
	}
	return BPFProgram{}, errText("attach type ", quoted(parts[0]), " isn't known")
}, func(v BPFProgram) (string, string) { return v.AttachType, v.Path })

// openFileFlags are the words of OpenFile= in order of their bits.
var openFileFlags = [...]string{"read-only", "append", "truncate", "graceful"}

// kOpenFile is OpenFile=PATH:NAME:OPTIONS.
var kOpenFile = listKind("PATH:NAME:OPTIONS", func(c *Context, s string) ([]OpenFile, error) {
	s, err := c.expand(s)
	if err != nil {
		return nil, err
	}
	parts, err := value.SplitWords(s, ":", value.WordDontCoalesce|value.WordCUnescape|value.WordUnescapeSeparators)
	if err != nil || len(parts) == 0 || len(parts) > 3 {
		return nil, errText("file ", quoted(s), " is not valid")
	}
	f := OpenFile{FDName: part(parts, 1)}
	if f.Path, err = value.ParsePath(parts[0], value.PathAbsolute|value.PathKeepDots); err != nil {
		return nil, err
	}
	if f.FDName == "" {
		f.FDName = f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	}
	if !fdNameValid(f.FDName) {
		return nil, errText("file descriptor name ", quoted(f.FDName), " is not valid")
	}
	for _, o := range strings.FieldsFunc(part(parts, 2), func(r rune) bool { return r == ',' }) {
		flag, err := openFileFlag(o)
		if err != nil {
			return nil, err
		}
		f.Flags |= flag
	}
	return []OpenFile{f}, checkOpenFlags(f.Flags)
}, func(list []OpenFile) []string {
	var out []string
	for _, f := range list {
		out = append(out, openFileText(f))
	}
	return out
}, form[[]OpenFile]{sig: "a(sst)",
	write: func(w BusWriter, v *[]OpenFile) {
		w.BeginArray("(sst)")
		for _, f := range *v {
			w.BeginStruct()
			w.String(f.Path)
			w.String(f.FDName)
			w.Uint64(f.Flags)
			w.EndStruct()
		}
		w.EndArray()
	},
	read: func(r BusReader, _ *[]OpenFile) ([]string, error) {
		var out []string
		r.BeginArray("(sst)")
		for r.More() {
			r.BeginStruct()
			f := OpenFile{Path: r.String(), FDName: r.String(), Flags: r.Uint64()}
			r.EndStruct()
			if err := checkOpenFlags(f.Flags); err != nil {
				return nil, err
			}
			out = append(out, openFileText(f))
		}
		r.EndArray()
		if len(out) == 0 {
			return one("")
		}
		return out, nil
	},
})

func openFileFlag(word string) (uint64, error) {
	for i, n := range openFileFlags {
		if n == word {
			return 1 << i, nil
		}
	}
	return 0, errText("option ", quoted(word), " isn't known")
}

func checkOpenFlags(f uint64) error {
	modes := 0
	for i := range 3 {
		modes += int(f >> i & 1)
	}
	if modes > 1 || f>>len(openFileFlags) != 0 {
		return errText("options read-only, append, truncate exclude each other")
	}
	return nil
}

func openFileText(f OpenFile) string {
	var opts []string
	for i, n := range openFileFlags {
		if f.Flags>>i&1 != 0 {
			opts = append(opts, n)
		}
	}
	path := strings.ReplaceAll(strings.ReplaceAll(f.Path, `\`, `\\`), ":", `\:`)
	return strings.TrimRight(escaped(path)+":"+escaped(f.FDName)+":"+strings.Join(opts, ","), ":")
}

// kXAttr is a list of user.NAME=VALUE.
var kXAttr = func() *kind[[]string] {
	k := kWords("list of user.NAME=VALUE", value.WordUnquote|value.WordCUnescape, func(s string) (string, error) {
		name, _, ok := strings.Cut(s, "=")
		if !ok || !strings.HasPrefix(name, "user.") || len(name) <= len("user.") {
			return "", errText("extended attribute ", quoted(s), " is not valid")
		}
		return s, nil
	})
	k.bus = []form[[]string]{{sig: "a(ss)", write: func(w BusWriter, v *[]string) {
		writePairs(w, len(*v), func(i int) (string, string) {
			name, val, _ := strings.Cut((*v)[i], "=")
			return name, val
		})
	}}}
	return k
}()
