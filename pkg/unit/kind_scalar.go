package unit

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// simple makes a kind for a value that one text sets and one bus type shows.
func simple[T any](name string, parse func(c *Context, text string) (T, error), format func(v T) string, bus ...form[T]) *kind[T] {
	return &kind[T]{
		name: name,
		parse: func(c *Context, cur *T, text string) error {
			v, err := parse(c, text)
			if err == nil {
				*cur = v
			}
			return err
		},
		format: func(v *T) []string { return []string{format(*v)} },
		bus:    bus,
	}
}

// one gives a single text to assign.
func one(s string) ([]string, error) { return []string{s}, nil }

var busBool = form[bool]{sig: "b",
	write: func(w BusWriter, v *bool) { w.Bool(*v) },
	read:  func(r BusReader, _ *bool) ([]string, error) { return one(value.FormatBool(r.Bool())) },
}

var kBool = simple("boolean", func(_ *Context, s string) (bool, error) { return value.ParseBool(s) }, value.FormatBool, busBool)

// kBoolSet is for booleans that clients can set but not read.
var kBoolSet = simple("boolean", func(_ *Context, s string) (bool, error) { return value.ParseBool(s) }, value.FormatBool,
	form[bool]{setSig: "b", read: busBool.read})

// kBoolNoBus is for booleans that have no property.
var kBoolNoBus = simple("boolean", func(_ *Context, s string) (bool, error) { return value.ParseBool(s) }, value.FormatBool)

// kTristate makes the kind of a boolean that may be left open; def is what
// the bus shows then.
func kTristate(def bool) *kind[Tristate] {
	return &kind[Tristate]{
		name: "boolean or empty",
		parse: func(_ *Context, cur *Tristate, text string) error {
			if text == "" {
				*cur = Unset
				return nil
			}
			b, err := value.ParseBool(text)
			if err == nil {
				*cur = TristateOf(b)
			}
			return err
		},
		format: func(v *Tristate) []string {
			switch *v {
			case Yes:
				return []string{"yes"}
			case No:
				return []string{"no"}
			}
			return []string{""}
		},
		bus: []form[Tristate]{{sig: "b",
			write: func(w BusWriter, v *Tristate) { w.Bool(v.Or(def)) },
			read:  func(r BusReader, _ *Tristate) ([]string, error) { return one(value.FormatBool(r.Bool())) },
		}},
	}
}

// escaped protects text a client sent from specifier expansion.
func escaped(s string) string { return EscapeSpecifiers(s) }

var busString = form[string]{sig: "s",
	write: func(w BusWriter, v *string) { w.String(*v) },
	read:  func(r BusReader, _ *string) ([]string, error) { return one(escaped(r.String())) },
}

// plainString formats text so that it reads back the same.
func plainString(s string) string { return escaped(s) }

// kString is free text with specifiers; empty text resets.
var kString = simple("text", func(c *Context, s string) (string, error) {
	s, err := c.expand(s)
	if err == nil && !value.TextIsValid(s) {
		err = errText("text ", quoted(s), " has control characters")
	}
	return strings.Clone(s), err
}, plainString, busString)

// kStringNoBus is text that can't be seen on the bus.
var kStringNoBus = simple("text", func(c *Context, s string) (string, error) { return c.expand(s) }, plainString)

// kRawString is text without specifiers.
var kRawString = simple("text", func(_ *Context, s string) (string, error) {
	if !value.TextIsValid(s) {
		return "", errText("text ", quoted(s), " has control characters")
	}
	return strings.Clone(s), nil
}, func(s string) string { return s }, form[string]{sig: "s", write: busString.write,
	read: func(r BusReader, _ *string) ([]string, error) { return one(r.String()) }})

// kChecked is text with specifiers that must satisfy valid, called what in
// messages; hard faults make the unit bad-setting.
func kChecked(what string, valid func(s string) bool, hard bool) *kind[string] {
	return simple(what, func(c *Context, s string) (string, error) {
		if s == "" {
			return "", nil
		}
		s, err := c.expand(s)
		if err == nil && !valid(s) {
			err = errText(what, " ", quoted(s), " is not valid")
		}
		if err != nil && hard {
			err = fatal(err)
		}
		return strings.Clone(s), err
	}, plainString, busString)
}

// kPath is an absolute path with specifiers; empty text resets.
var kPath = simple("path", func(c *Context, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	s, err := c.expand(s)
	if err != nil {
		return "", err
	}
	s, err = value.ParsePath(s, value.PathAbsolute)
	return strings.Clone(s), err
}, plainString, busString)

// kPathFatal is kPath where a wrong path makes the unit bad-setting: running
// without it could do harm.
var kPathFatal = &kind[string]{name: kPath.name, format: kPath.format, bus: kPath.bus,
	parse: func(c *Context, cur *string, text string) error { return fatal(kPath.parse(c, cur, text)) }}

// kBoolFatal is kBool where a wrong value makes the unit bad-setting.
var kBoolFatal = &kind[bool]{name: kBool.name, format: kBool.format, bus: kBool.bus,
	parse: func(c *Context, cur *bool, text string) error { return fatal(kBool.parse(c, cur, text)) }}

// required is a kind that doesn't take empty text.
func required[T any](k *kind[T]) *kind[T] {
	return &kind[T]{name: k.name, format: k.format, bus: k.bus, parse: func(c *Context, cur *T, text string) error {
		if text == "" {
			return errText("value is empty")
		}
		return k.parse(c, cur, text)
	}}
}

// resets is a kind of which empty text gives a default.
func resets[T any](k *kind[T], def T) *kind[T] {
	return &kind[T]{name: k.name, format: k.format, bus: k.bus, parse: func(c *Context, cur *T, text string) error {
		if text == "" {
			*cur = def
			return nil
		}
		return k.parse(c, cur, text)
	}}
}

// kEnum is one of given words; the first spelling of a word is stored. An
// alias is written "alias>word".
func kEnum(words ...string) *kind[string] {
	return simple("one of "+enumDoc(words), enumParser(words), same, busString)
}

// kRawChecked is text without specifiers that must satisfy valid.
func kRawChecked(what string, valid func(s string) bool) *kind[string] {
	return simple(what, func(_ *Context, s string) (string, error) {
		if s != "" && !valid(s) {
			return "", errText(what, " ", quoted(s), " is not valid")
		}
		return strings.Clone(s), nil
	}, same, busEnum)
}

// kBPFNames is a list of names of an enumeration of bpf(2), or any.
func kBPFNames(kind value.BPFKind) *kind[string] {
	return kRawChecked("list of BPF names", func(s string) bool {
		_, err := value.ParseBPF(kind, s)
		return err == nil
	})
}

// kEnumNoBus is kEnum without a property.
func kEnumNoBus(words ...string) *kind[string] {
	return simple("one of "+enumDoc(words), enumParser(words), same)
}

func same(s string) string { return s }

func enumDoc(words []string) string {
	var shown []string
	for _, w := range words {
		if !strings.Contains(w, ">") {
			shown = append(shown, w)
		}
	}
	return strings.Join(shown, ", ")
}

func enumParser(words []string) func(c *Context, s string) (string, error) {
	return func(_ *Context, s string) (string, error) {
		for _, w := range words {
			if alias, word, is := strings.Cut(w, ">"); is {
				if s == alias {
					return word, nil
				}
			} else if s == w {
				return w, nil
			}
		}
		return "", errText("value ", quoted(s), " is none of ", enumDoc(words))
	}
}

// kBoolEnum is kEnum that also takes booleans, yes and no being two of the
// words.
func kBoolEnum(bus []form[string], words ...string) *kind[string] {
	parse := enumParser(words)
	return simple("boolean or one of "+enumDoc(words), func(c *Context, s string) (string, error) {
		if b, err := value.ParseBool(s); err == nil {
			return value.FormatBool(b), nil
		}
		return parse(c, s)
	}, same, bus...)
}

// busBoolEx are the two properties of directives that grew from a boolean:
// the old b, and the new s with suffix Ex.
var busBoolEx = []form[string]{
	{sig: "b",
		write: func(w BusWriter, v *string) { w.Bool(*v != "no") },
		read:  func(r BusReader, _ *string) ([]string, error) { return one(value.FormatBool(r.Bool())) }},
	{suffix: "Ex", sig: "s", write: busString.write,
		read: func(r BusReader, _ *string) ([]string, error) { return one(r.String()) }},
}

var busUint64 = form[uint64]{sig: "t",
	write: func(w BusWriter, v *uint64) { w.Uint64(*v) },
	read:  func(r BusReader, _ *uint64) ([]string, error) { return one(strconv.FormatUint(r.Uint64(), 10)) },
}

// busUSec is a time in µs; what a client sent becomes a span with unit.
var busUSec = form[uint64]{sig: "t",
	write: func(w BusWriter, v *uint64) { w.Uint64(*v) },
	read:  func(r BusReader, _ *uint64) ([]string, error) { return one(formatUSec(r.Uint64())) },
}

func formatUSec(v uint64) string {
	if v == Infinity {
		return "infinity"
	}
	return value.USec(v).String()
}

func usecKind(name string, parse func(s string) (value.USec, error)) *kind[uint64] {
	return simple(name, func(_ *Context, s string) (uint64, error) {
		v, err := parse(s)
		return uint64(v), err
	}, formatUSec, busUSec)
}

var (
	kSec = usecKind("time span", func(s string) (value.USec, error) { return value.ParseSec(s, value.USecPerSec) })
	// kSecFixZero reads 0 as infinity.
	kSecFixZero = usecKind("time span, 0 for none", value.ParseSecFixZero)
	// kSecInfinity reads empty text as infinity.
	kSecInfinity = usecKind("time span", value.ParseSecDefaultInfinity)
)

var kNSec = simple("time span in nanoseconds", func(_ *Context, s string) (uint64, error) {
	v, err := value.ParseNSec(s)
	return uint64(v), err
}, func(v uint64) string {
	if v == Infinity {
		return "infinity"
	}
	return strconv.FormatUint(v, 10) + "ns"
}, form[uint64]{sig: "t", write: busUint64.write,
	read: func(r BusReader, _ *uint64) ([]string, error) { return one(strconv.FormatUint(r.Uint64(), 10) + "ns") }})

var kUint32 = simple("unsigned number", func(_ *Context, s string) (uint32, error) {
	v, err := value.ParseUint(s, 32)
	return uint32(v), err
}, formatUint32, form[uint32]{sig: "u",
	write: func(w BusWriter, v *uint32) { w.Uint32(*v) },
	read:  func(r BusReader, _ *uint32) ([]string, error) { return one(formatUint32(r.Uint32())) }})

func formatUint32(v uint32) string { return strconv.FormatUint(uint64(v), 10) }
func formatInt32(v int32) string   { return strconv.FormatInt(int64(v), 10) }

var busInt32 = form[int32]{sig: "i",
	write: func(w BusWriter, v *int32) { w.Int32(*v) },
	read:  func(r BusReader, _ *int32) ([]string, error) { return one(formatInt32(r.Int32())) },
}

var kInt32 = simple("number", func(_ *Context, s string) (int32, error) {
	v, err := value.ParseInt(s, 32)
	return int32(v), err
}, formatInt32, busInt32)

// kInt32Range is a number between lo and hi.
func kInt32Range(lo, hi int64) *kind[int32] {
	return simple("number from "+strconv.FormatInt(lo, 10)+" to "+strconv.FormatInt(hi, 10),
		func(_ *Context, s string) (int32, error) {
			v, err := value.ParseIntRange(s, lo, hi)
			return int32(v), err
		}, formatInt32, busInt32)
}

// kOptInt32 is a number between lo and hi that can be unset; def is shown
// on the bus then.
func kOptInt32(lo, hi int64, def int32) *kind[Opt[int32]] {
	k := kInt32Range(lo, hi)
	return optional(k, func(w BusWriter, v *Opt[int32]) { w.Int32(v.Or(def)) })
}

// optional makes the kind of an Opt from that of its value: empty text
// unsets it.
func optional[T any](k *kind[T], write func(w BusWriter, v *Opt[T])) *kind[Opt[T]] {
	o := &kind[Opt[T]]{
		name: k.name,
		parse: func(c *Context, cur *Opt[T], text string) error {
			if text == "" {
				*cur = Opt[T]{}
				return nil
			}
			v := Opt[T]{Set: true}
			err := k.parse(c, &v.Value, text)
			if err == nil {
				*cur = v
			}
			return err
		},
		format: func(v *Opt[T]) []string {
			if !v.Set {
				return []string{""}
			}
			return k.format(&v.Value)
		},
	}
	if len(k.bus) > 0 {
		b := k.bus[0]
		o.bus = []form[Opt[T]]{{sig: b.sig, write: write, setSig: b.setSig,
			read: func(r BusReader, v *Opt[T]) ([]string, error) { return b.read(r, &v.Value) }}}
	}
	return o
}

var kInt64 = simple("number", func(_ *Context, s string) (int64, error) { return value.ParseInt(s, 64) },
	func(v int64) string { return strconv.FormatInt(v, 10) },
	form[int64]{sig: "x", write: func(w BusWriter, v *int64) { w.Int64(*v) },
		read: func(r BusReader, _ *int64) ([]string, error) { return one(strconv.FormatInt(r.Int64(), 10)) }})

// kSize is a size in bytes with suffixes of base 1024.
var kSize = simple("size", func(_ *Context, s string) (uint64, error) { return value.ParseSize(s, value.Base1024) },
	func(v uint64) string { return strconv.FormatUint(v, 10) }, busUint64)

// kMode is an octal access mode.
var kMode = simple("access mode", func(_ *Context, s string) (uint32, error) {
	m, err := value.ParseMode(s)
	return uint32(m), err
}, formatMode, form[uint32]{sig: "u",
	write: func(w BusWriter, v *uint32) { w.Uint32(*v) },
	read:  func(r BusReader, _ *uint32) ([]string, error) { return one(formatMode(r.Uint32())) }})

func formatMode(m uint32) string { return value.Mode(m).String() }

// kSignal is a signal by name or number.
var kSignal = signalKind(false)

// kSignalOptional also takes empty text, which is 0.
var kSignalOptional = signalKind(true)

func signalKind(optional bool) *kind[int32] {
	return simple("signal", func(_ *Context, s string) (int32, error) {
		if s == "" && optional {
			return 0, nil
		}
		sig, err := value.ParseSignal(s)
		return int32(sig), err
	}, formatSignal, form[int32]{sig: "i", write: busInt32.write,
		read: func(r BusReader, _ *int32) ([]string, error) { return one(formatSignal(r.Int32())) }})
}

func formatSignal(n int32) string {
	if n == 0 {
		return ""
	}
	return value.Signal(n).String()
}

// kExitSet is a list of exit statuses and signals; empty text resets.
var kExitSet = &kind[value.ExitStatusSet]{
	name: "exit statuses and signals",
	parse: func(_ *Context, cur *value.ExitStatusSet, text string) error {
		if text == "" {
			*cur = value.ExitStatusSet{}
			return nil
		}
		set, err := value.ParseExitStatusSet(text)
		cur.Merge(set)
		return partial(err)
	},
	format: func(v *value.ExitStatusSet) []string { return []string{v.String()} },
	bus: []form[value.ExitStatusSet]{{sig: "(aiai)",
		write: func(w BusWriter, v *value.ExitStatusSet) {
			w.BeginStruct()
			w.BeginArray("i")
			for _, code := range v.Codes() {
				w.Int32(int32(code))
			}
			w.EndArray()
			w.BeginArray("i")
			for _, sig := range v.Signals() {
				w.Int32(int32(sig))
			}
			w.EndArray()
			w.EndStruct()
		},
		read: readExitSet,
	}},
}

func readExitSet(r BusReader, _ *value.ExitStatusSet) ([]string, error) {
	var words []string
	r.BeginStruct()
	r.BeginArray("i")
	for r.More() {
		n := r.Int32()
		if n < 0 || n > 255 {
			return nil, errText("exit status ", formatInt32(n), " is out of range")
		}
		words = append(words, formatInt32(n))
	}
	r.EndArray()
	r.BeginArray("i")
	for r.More() {
		sig := value.Signal(r.Int32())
		if !sig.Valid() {
			return nil, errText("signal ", formatInt32(int32(sig)), " is out of range")
		}
		words = append(words, sig.String())
	}
	r.EndArray()
	r.EndStruct()
	return one(strings.Join(words, " "))
}

// kCodeEnum is a word that stands for a number; numbers are taken too. The
// bus shows the number. def is what empty text resets to, if resets is set.
func kCodeEnum(what string, words map[string]int32, resets bool, def int32) *kind[int32] {
	name := func(v int32) string {
		for w, n := range words {
			if n == v {
				return w
			}
		}
		return formatInt32(v)
	}
	return simple(what, func(_ *Context, s string) (int32, error) {
		if s == "" && resets {
			return def, nil
		}
		if n, ok := words[s]; ok {
			return n, nil
		}
		n, err := value.ParseInt(s, 32)
		if err == nil {
			for _, known := range words {
				if known == int32(n) {
					return known, nil
				}
			}
		}
		return 0, errText(what, " ", quoted(s), " isn't known")
	}, func(v int32) string {
		if resets && v == def {
			return ""
		}
		return name(v)
	}, form[int32]{sig: "i", write: busInt32.write,
		read: func(r BusReader, _ *int32) ([]string, error) {
			v := r.Int32()
			if resets && v == def {
				return one("")
			}
			return one(name(v))
		}})
}
