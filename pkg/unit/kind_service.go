package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// serviceTime is a time of Service that also sets flags.
func serviceTime(resetsOnEmpty bool, parse func(s string) (value.USec, error), get func(b *Service) uint64, set func(b *Service, v uint64, empty bool)) *kind[Service] {
	return &kind[Service]{
		name: "time span",
		parse: func(_ *Context, b *Service, text string) error {
			if text == "" && resetsOnEmpty {
				set(b, 0, true)
				return nil
			}
			v, err := parse(text)
			if err == nil {
				set(b, uint64(v), false)
			}
			return err
		},
		format: func(b *Service) []string { return []string{formatUSec(get(b))} },
		bus: []form[Service]{{sig: "t",
			write: func(w BusWriter, b *Service) { w.Uint64(get(b)) },
			read:  func(r BusReader, _ *Service) ([]string, error) { return one(formatUSec(r.Uint64())) }}},
	}
}

func parseSecPlain(s string) (value.USec, error) { return value.ParseSec(s, value.USecPerSec) }

var kTimeoutStart = serviceTime(false, value.ParseSecFixZero, func(b *Service) uint64 { return b.TimeoutStartUSec },
	func(b *Service, v uint64, _ bool) { b.TimeoutStartUSec, b.TimeoutStartSet = v, true })

var kTimeoutBoth = noBus(serviceTime(false, value.ParseSecFixZero, func(b *Service) uint64 { return b.TimeoutStartUSec },
	func(b *Service, v uint64, _ bool) {
		b.TimeoutStartUSec, b.TimeoutStopUSec, b.TimeoutStartSet = v, v, true
	}))

// AbortTimeoutUSec is the timeout that holds after a watchdog abort.
func (b *Service) AbortTimeoutUSec() uint64 {
	if b.TimeoutAbortSet {
		return b.TimeoutAbortUSec
	}
	return b.TimeoutStopUSec
}

var kTimeoutAbort = serviceTime(true, parseSecPlain, (*Service).AbortTimeoutUSec, func(b *Service, v uint64, empty bool) {
	b.TimeoutAbortUSec, b.TimeoutAbortSet = v, !empty
})

// kNotifyAccess is NotifyAccess=.
var kNotifyAccess = func() *kind[Service] {
	word := kEnum("none", "main", "exec", "all")
	return &kind[Service]{
		name: word.name,
		parse: func(c *Context, b *Service, text string) error {
			err := word.parse(c, &b.NotifyAccess, text)
			b.NotifyAccessSet = b.NotifyAccessSet || err == nil
			return err
		},
		format: func(b *Service) []string { return []string{b.NotifyAccess} },
		bus: []form[Service]{{sig: "s",
			write: func(w BusWriter, b *Service) { w.String(b.NotifyAccess) },
			read:  func(r BusReader, _ *Service) ([]string, error) { return one(r.String()) }}},
	}
}()

// kRestartKillSignal is RestartKillSignal=, which falls back to KillSignal=.
var kRestartKillSignal = &kind[Kill]{
	name: kSignalOptional.name,
	parse: func(c *Context, k *Kill, text string) error {
		return kSignal.parse(c, &k.RestartKillSignal, text)
	},
	format: func(k *Kill) []string { return []string{formatSignal(k.RestartKillSignal)} },
	bus: []form[Kill]{{sig: "i",
		write: func(w BusWriter, k *Kill) { w.Int32(k.RestartSignal()) },
		read:  func(r BusReader, _ *Kill) ([]string, error) { return one(formatSignal(r.Int32())) }}},
}

// RestartSignal is the first signal of a stop that is part of a restart.
func (k *Kill) RestartSignal() int32 {
	if k.RestartKillSignal != 0 {
		return k.RestartKillSignal
	}
	return k.KillSignal
}

// patchVarRun moves paths below the old /var/run/ to /run/.
func (c *Context) patchVarRun(path string) string {
	rest, ok := strings.CutPrefix(path, "/var/run/")
	if !ok {
		return path
	}
	c.say(LevelNotice, c.row.Name+"= path "+quoted(path)+" is below the old directory /var/run/, /run/"+rest+" is used")
	return "/run/" + rest
}

// kPIDFile is PIDFile=; relative paths are below the runtime directory.
var kPIDFile = simple("path", func(c *Context, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	s, err := c.expand(s)
	if err != nil {
		return "", err
	}
	if !value.PathIsAbsolute(s) {
		root := "/run"
		if c.Host != nil && c.Host.Specifiers != nil && c.Host.Specifiers.RuntimeRoot != "" {
			root = c.Host.Specifiers.RuntimeRoot
		}
		s = root + "/" + s
	}
	s, err = value.ParsePath(s, value.PathAbsolute|value.PathKeepDots)
	if err != nil {
		return "", err
	}
	if onAPIFileSystem(s) {
		return "", errText("path ", quoted(s), " is on a file system of the kernel")
	}
	return strings.Clone(c.patchVarRun(s)), nil
}, plainString, busString)

// onAPIFileSystem says whether a path is below /dev, /proc or /sys, where no
// service makes files.
func onAPIFileSystem(path string) bool {
	for _, dir := range [...]string{"/dev/", "/proc/", "/sys/"} {
		if strings.HasPrefix(path, dir) {
			return true
		}
	}
	return false
}

// busNameValid is the rule for well-known names of the D-Bus specification.
func busNameValid(s string) bool {
	const longest = 255
	if s == "" || len(s) > longest || s[0] == '.' || s[0] == ':' || strings.IndexByte(s, '.') < 0 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] >= '0' && label[0] <= '9' ||
			!onlyChars(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") {
			return false
		}
	}
	return true
}

// kRefreshOnReload is a boolean or a list of what is refreshed.
var kRefreshOnReload = &kind[[]string]{
	name: "boolean or list of extensions, credentials",
	parse: func(c *Context, cur *[]string, text string) error {
		all := []string{"extensions", "credentials"}
		if b, err := value.ParseBool(text); err == nil || text == "" {
			*cur = nil
			if b {
				*cur = all
			}
			return nil
		}
		rest, invert := strings.CutPrefix(text, "~")
		list, err := words(c, rest, value.WordUnquote, enumCheck(all))
		if invert && *cur == nil {
			*cur = all
		}
		for _, w := range list {
			if invert {
				*cur = dropName(*cur, w)
			} else {
				*cur = addName(*cur, w)
			}
		}
		return partial(err)
	},
	format: func(v *[]string) []string {
		if len(*v) == 0 {
			return []string{"no"}
		}
		return []string{strings.Join(*v, " ")}
	},
	bus: []form[[]string]{{sig: "as", write: busStrings.write,
		read: func(r BusReader, _ *[]string) ([]string, error) {
			return []string{"", strings.Join(readStrings(r), " ")}, nil
		}}},
}

func enumCheck(known []string) func(s string) (string, error) {
	return func(s string) (string, error) {
		for _, k := range known {
			if k == s {
				return k, nil
			}
		}
		return "", errText("value ", quoted(s), " is none of ", strings.Join(known, ", "))
	}
}

// kOOMPolicy is OOMPolicy=, for services and for scopes.
func kOOMPolicy[T any](policy func(b *T) *string, set func(b *T) *bool) *kind[T] {
	word := kEnum("continue", "stop", "kill")
	return &kind[T]{
		name: word.name,
		parse: func(c *Context, b *T, text string) error {
			err := word.parse(c, policy(b), text)
			*set(b) = *set(b) || err == nil
			return err
		},
		format: func(b *T) []string { return []string{*policy(b)} },
		bus: []form[T]{{sig: "s",
			write: func(w BusWriter, b *T) { w.String(*policy(b)) },
			read:  func(r BusReader, _ *T) ([]string, error) { return one(r.String()) }}},
	}
}

var (
	kServiceOOMPolicy = kOOMPolicy(func(b *Service) *string { return &b.OOMPolicy }, func(b *Service) *bool { return &b.OOMPolicySet })
	kScopeOOMPolicy   = kOOMPolicy(func(b *Scope) *string { return &b.OOMPolicy }, func(b *Scope) *bool { return &b.OOMPolicySet })
)
