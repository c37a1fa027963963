package unit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// kWeight is a weight between lo and hi; empty text unsets, idle is 0 where
// it is allowed.
func kWeight(lo, hi uint64, idle bool) *kind[uint64] {
	text := func(v uint64) string {
		switch {
		case v == Infinity:
			return ""
		case v == 0 && idle:
			return "idle"
		}
		return strconv.FormatUint(v, 10)
	}
	name := "weight from " + strconv.FormatUint(lo, 10) + " to " + strconv.FormatUint(hi, 10)
	if idle {
		name += ", or idle"
	}
	return simple(name, func(_ *Context, s string) (uint64, error) {
		if s == "" {
			return Infinity, nil
		}
		if s == "idle" && idle {
			return 0, nil
		}
		v, err := value.ParseUint(s, 64)
		if err == nil && (v < lo || v > hi) {
			err = errText("weight ", quoted(s), " is out of range")
		}
		return v, err
	}, text, form[uint64]{sig: "t", write: busUint64.write,
		read: func(r BusReader, _ *uint64) ([]string, error) { return one(text(r.Uint64())) }})
}

// kCPUQuota is CPUQuota= in percent of one CPU, kept in µs per second.
var kCPUQuota = simple("percentage", func(_ *Context, s string) (uint64, error) {
	if s == "" {
		return Infinity, nil
	}
	p, err := value.ParsePermyriadUnbounded(s)
	if err == nil && p == 0 {
		err = errText("quota ", quoted(s), " is zero")
	}
	return uint64(p) * (usecPerSec / 10000), err
}, cpuQuotaText, form[uint64]{sig: "t", write: busUint64.write,
	read: func(r BusReader, _ *uint64) ([]string, error) {
		v := r.Uint64()
		if v == 0 {
			return nil, errText("quota is zero")
		}
		return one(cpuQuotaText(v))
	}})

func cpuQuotaText(v uint64) string {
	if v == Infinity {
		return ""
	}
	return value.Permyriad(min(v/(usecPerSec/10000), 1<<31-1)).String()
}

// limitForms are the properties of a limit: its value, and to set only, its
// share of the whole with suffix Scale.
func limitForms[T any](get func(v *T) Limit, unset func(v *T) uint64) []form[T] {
	return []form[T]{
		{sig: "t",
			write: func(w BusWriter, v *T) { w.Uint64(unset(v)) },
			read: func(r BusReader, _ *T) ([]string, error) {
				return one(limitText(Limit{Value: r.Uint64()}))
			}},
		{suffix: "Scale", setSig: "u",
			read: func(r BusReader, _ *T) ([]string, error) { return one(scaleText(r.Uint32())) }},
	}
}

func limitText(l Limit) string {
	switch {
	case l.Scale != 0:
		return scaleText(l.Scale)
	case l.Value == Infinity:
		return "infinity"
	}
	return strconv.FormatUint(l.Value, 10)
}

func toLimit(l value.Limit, total uint64) Limit {
	switch l.Kind {
	case value.LimitAbsolute:
		return Limit{Value: l.Absolute}
	case value.LimitShare:
		out := Limit{Scale: scaleOf(l.Share)}
		out.Value = out.Resolve(total)
		return out
	}
	return Limit{Value: Infinity}
}

func (c *Context) memoryTotal() uint64 {
	if c.Host == nil {
		return 0
	}
	return c.Host.MemoryTotal
}

func (c *Context) tasksTotal() uint64 {
	if c.Host == nil {
		return 0
	}
	return c.Host.TasksTotal
}

func parseMemory(c *Context, s string, zeroOK bool) (Limit, error) {
	l, err := value.ParseMemoryLimit(s)
	if err == nil && !zeroOK && l.Kind == value.LimitAbsolute && l.Absolute == 0 {
		err = errText("limit ", quoted(s), " is zero")
	}
	return toLimit(l, c.memoryTotal()), err
}

// kMemoryMax is an upper limit; empty text is infinity.
func kMemoryMax(zeroOK bool) *kind[Limit] {
	return simple("size, percentage or infinity", func(c *Context, s string) (Limit, error) {
		if s == "" {
			return Limit{Value: Infinity}, nil
		}
		return parseMemory(c, s, zeroOK)
	}, limitText, limitForms(func(v *Limit) Limit { return *v }, func(v *Limit) uint64 { return v.Value })...)
}

// kMemoryOpt is a limit that can be unset; def is shown then.
func kMemoryOpt(def uint64) *kind[Opt[Limit]] { return memoryOpt(def, true) }

// kMemoryOptAbove is kMemoryOpt of a limit that can't be zero.
func kMemoryOptAbove(def uint64) *kind[Opt[Limit]] { return memoryOpt(def, false) }

func memoryOpt(def uint64, zeroOK bool) *kind[Opt[Limit]] {
	return &kind[Opt[Limit]]{
		name: "size, percentage or infinity",
		parse: func(c *Context, cur *Opt[Limit], s string) error {
			if s == "" {
				*cur = Opt[Limit]{}
				return nil
			}
			l, err := parseMemory(c, s, zeroOK)
			if err == nil {
				*cur = Some(l)
			}
			return err
		},
		format: func(v *Opt[Limit]) []string {
			if !v.Set {
				return []string{""}
			}
			return []string{limitText(v.Value)}
		},
		bus: limitForms(func(v *Opt[Limit]) Limit { return v.Value },
			func(v *Opt[Limit]) uint64 { return v.Or(Limit{Value: def}).Value }),
	}
}

// kTasksMax is TasksMax=; empty text is the manager's default.
func kTasksMax(def func(t *Context) Limit) *kind[Limit] {
	return simple("number, percentage or infinity", func(c *Context, s string) (Limit, error) {
		if s == "" {
			return def(c), nil
		}
		l, err := value.ParseTasksLimit(s)
		return toLimit(l, c.tasksTotal()), err
	}, limitText, limitForms(func(v *Limit) Limit { return *v }, func(v *Limit) uint64 { return v.Value })...)
}

func defaultTasksMax(c *Context) Limit {
	if c.Unit == nil {
		return Limit{Value: Infinity}
	}
	return c.Unit.Defaults().cgroupOf(c.Unit.Type).TasksMax
}

// kDeviceValues is a list of "PATH VALUE"; a later value of a path replaces
// the earlier one.
func kDeviceValues(what string, parse func(s string) (uint64, error), format func(v uint64) string) *kind[[]DeviceValue] {
	text := func(path string, v uint64) string { return escaped(value.QuoteWord(path)) + " " + format(v) }
	k := listKind("PATH "+what, func(c *Context, s string) ([]DeviceValue, error) {
		path, rest, err := c.devicePath(s)
		if err != nil {
			return nil, err
		}
		v, err := parse(trimLeft(rest))
		if err != nil {
			return nil, err
		}
		return []DeviceValue{{Path: path, Value: v}}, nil
	}, func(list []DeviceValue) []string {
		var out []string
		for _, d := range list {
			out = append(out, text(d.Path, d.Value))
		}
		return out
	}, form[[]DeviceValue]{sig: "a(st)",
		write: func(w BusWriter, v *[]DeviceValue) {
			w.BeginArray("(st)")
			for _, d := range *v {
				w.BeginStruct()
				w.String(d.Path)
				w.Uint64(d.Value)
				w.EndStruct()
			}
			w.EndArray()
		},
		read: func(r BusReader, _ *[]DeviceValue) ([]string, error) {
			var out []string
			r.BeginArray("(st)")
			for r.More() {
				r.BeginStruct()
				path := r.String()
				out = append(out, text(path, r.Uint64()))
				r.EndStruct()
			}
			r.EndArray()
			if len(out) == 0 {
				return one("")
			}
			return out, nil
		},
	})
	base := k.parse
	k.parse = func(c *Context, cur *[]DeviceValue, s string) error {
		err := base(c, cur, s)
		*cur = lastByKey(*cur, func(v DeviceValue) string { return v.Path })
		return err
	}
	return k
}

func (c *Context) devicePath(s string) (path, rest string, err error) {
	word, rest, ok, err := value.ExtractWord(s, "", value.WordUnquote|value.WordCUnescape)
	if err == nil && !ok {
		err = errText("path is missing")
	}
	if err == nil {
		word, err = c.expand(word)
	}
	if err == nil {
		word, err = checkAbsolute(word)
	}
	return strings.Clone(word), rest, err
}

func weightParser(lo, hi uint64) func(s string) (uint64, error) {
	return func(s string) (uint64, error) {
		v, err := value.ParseUint(s, 64)
		if err == nil && (v < lo || v > hi) {
			err = errText("weight ", quoted(s), " is out of range")
		}
		return v, err
	}
}

func formatUint64(v uint64) string {
	if v == Infinity {
		return "infinity"
	}
	return strconv.FormatUint(v, 10)
}

func parseRate(s string) (uint64, error) {
	if s == "infinity" {
		return Infinity, nil
	}
	v, err := value.ParseSize(s, value.Base1000)
	if err == nil && v == 0 {
		err = errText("rate ", quoted(s), " is zero")
	}
	return v, err
}

func parseLatency(s string) (uint64, error) {
	v, err := value.ParseSec(s, value.USecPerSec)
	return uint64(v), err
}

var (
	kDeviceRates   = kDeviceValues("RATE", parseRate, formatUint64)
	kDeviceWeights = kDeviceValues("WEIGHT", weightParser(1, 10000), formatUint64)
	kBlockWeights  = kDeviceValues("WEIGHT", weightParser(10, 1000), formatUint64)
	kDeviceLatency = kDeviceValues("TIME", parseLatency, formatUSec)
)

// kDeviceAllow is DeviceAllow=. Clients see the last rule first.
var kDeviceAllow = lastFirst(listKind("device, then letters of rwm", func(c *Context, s string) ([]DeviceRule, error) {
	r, err := value.ParseDeviceRule(s, c.expand)
	if err != nil {
		return nil, err
	}
	return []DeviceRule{{Path: strings.Clone(r.Device), Access: strings.Clone(r.Access)}}, nil
}, func(list []DeviceRule) []string {
	var out []string
	for _, d := range slices.Backward(list) {
		out = append(out, deviceText(d.Path, d.Access))
	}
	return out
}, busPairs(func(d DeviceRule) (string, string) { return d.Path, d.Access }, deviceText)))

// lastFirst keeps a list with what an assignment adds in front of what was there.
func lastFirst[T any](k *kind[[]T]) *kind[[]T] {
	base := k.parse
	k.parse = func(c *Context, cur *[]T, text string) error {
		var added []T
		err := base(c, &added, text)
		if text == "" {
			*cur = nil
		}
		slices.Reverse(added)
		*cur = append(added, *cur...)
		return err
	}
	return k
}

func deviceText(path, access string) string {
	return strings.TrimRight(escaped(value.QuoteWord(path))+" "+access, " ")
}

// kPrefixes is IPAddressAllow= and IPAddressDeny=.
var kPrefixes = listKind("list of addresses, prefixes, any, localhost, link-local, multicast",
	func(_ *Context, s string) ([]netip.Prefix, error) { return value.ParseAddressPrefixes(s) },
	func(list []netip.Prefix) []string {
		if len(list) == 0 {
			return nil
		}
		return []string{value.FormatAddressPrefixes(list)}
	}, form[[]netip.Prefix]{sig: "a(iayu)", write: writePrefixes, read: readPrefixes})

// Address families of the bus (socket(2)).
const (
	familyINET  = 2
	familyINET6 = 10
)

func writePrefixes(w BusWriter, v *[]netip.Prefix) {
	w.BeginArray("(iayu)")
	for _, p := range *v {
		family := int32(familyINET)
		if p.Addr().Is6() {
			family = familyINET6
		}
		w.BeginStruct()
		w.Int32(family)
		w.Bytes(p.Addr().AsSlice())
		w.Uint32(uint32(p.Bits()))
		w.EndStruct()
	}
	w.EndArray()
}

func readPrefixes(r BusReader, _ *[]netip.Prefix) ([]string, error) {
	var out []string
	r.BeginArray("(iayu)")
	for r.More() {
		r.BeginStruct()
		family := r.Int32()
		addr, ok := netip.AddrFromSlice(r.Bytes())
		bits := r.Uint32()
		r.EndStruct()
		want := int32(familyINET)
		if addr.Is6() {
			want = familyINET6
		}
		if !ok || family != want || bits > uint32(addr.BitLen()) {
			return nil, errText("address prefix is not valid")
		}
		out = append(out, netip.PrefixFrom(addr, int(bits)).String())
	}
	r.EndArray()
	return one(strings.Join(out, " "))
}

// controllerNames are what Delegate= and DisableControllers= know.
var controllerNames = [...]string{"cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids",
	"bpf-firewall", "bpf-devices", "bpf-foreign", "bpf-socket-bind", "bpf-restrict-network-interfaces",
	"bpf-bind-network-interface"}

// unifiedControllers are those that Delegate=yes hands over.
var unifiedControllers = [...]string{"cpu", "cpuset", "io", "memory", "pids"}

func controllerCheck(s string) (string, error) {
	for _, n := range controllerNames {
		if n == s {
			return n, nil
		}
	}
	return "", errText("controller ", quoted(s), " isn't known")
}

// kControllers is DisableControllers=.
var kControllers = kWords("list of controllers", value.WordUnquote, controllerCheck)

// kDelegate is Delegate=: a boolean, or the controllers to hand over.
var kDelegate = &kind[Cgroup]{
	name: "boolean or list of controllers",
	parse: func(c *Context, g *Cgroup, text string) error {
		if text == "" {
			g.Delegate, g.DelegateAll, g.DelegateControllers = true, false, nil
			return nil
		}
		if b, err := value.ParseBool(text); err == nil {
			g.Delegate, g.DelegateAll, g.DelegateControllers = b, b, nil
			return nil
		}
		list, err := words(c, text, value.WordUnquote, controllerCheck)
		for _, n := range list {
			g.DelegateControllers = addName(g.DelegateControllers, n)
		}
		g.Delegate = true
		return partial(err)
	},
	format: func(g *Cgroup) []string {
		if g.Delegate && !g.DelegateAll {
			return []string{strings.Join(g.DelegateControllers, " ")}
		}
		return []string{value.FormatBool(g.Delegate)}
	},
	bus: []form[Cgroup]{
		{sig: "b", write: func(w BusWriter, g *Cgroup) { w.Bool(g.Delegate) },
			read: func(r BusReader, _ *Cgroup) ([]string, error) { return one(value.FormatBool(r.Bool())) }},
		{suffix: "Controllers", sig: "as",
			write: func(w BusWriter, g *Cgroup) { writeStrings(w, g.delegated()) },
			read: func(r BusReader, _ *Cgroup) ([]string, error) {
				return one(strings.Join(readStrings(r), " "))
			}},
	},
}

// delegated lists the controllers handed over.
func (g *Cgroup) delegated() []string {
	switch {
	case !g.Delegate:
		return nil
	case g.DelegateAll:
		return unifiedControllers[:]
	}
	return g.DelegateControllers
}

// kManagedOOMLimit is ManagedOOMMemoryPressureLimit=.
var kManagedOOMLimit = simple("percentage", func(_ *Context, s string) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	p, err := value.ParsePermyriad(s)
	return scaleOf(p), err
}, func(v uint32) string {
	if v == 0 {
		return ""
	}
	return scaleText(v)
}, form[uint32]{sig: "u", write: func(w BusWriter, v *uint32) { w.Uint32(*v) },
	read: func(r BusReader, _ *uint32) ([]string, error) {
		if v := r.Uint32(); v != 0 {
			return one(scaleText(v))
		}
		return one("")
	}})
