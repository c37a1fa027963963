package unit

import (
	"strconv"
	"strings"
)

// SpecifierContext has what specifiers need to know about the host and the
// manager's user; the caller collects it once and again on reload
// (systemd.unit(5), Specifiers). An empty field means the value isn't known,
// which makes its specifier fail where IDs are concerned and empty where an
// os-release field is.
type SpecifierContext struct {
	User bool // user manager: changes the roots below only through their values

	MachineID      string // 32 hexadecimal digits
	BootID         string
	HostName       string
	PrettyHostName string
	KernelRelease  string
	Architecture   string // as in ConditionArchitecture=

	OSID           string // ID=
	OSVersionID    string // VERSION_ID=
	OSBuildID      string
	OSVariantID    string
	OSImageID      string
	OSImageVersion string

	UserName  string
	GroupName string
	UID       uint32
	GID       uint32
	Home      string
	Shell     string

	TmpDir      string // /tmp or from the environment
	VarTmpDir   string
	RuntimeRoot string // /run
	StateRoot   string // /var/lib
	CacheRoot   string
	LogRoot     string
	ConfigRoot  string
	SharedRoot  string // /usr/share

	CgroupRoot string // path of the manager's root control group, "" or /user.slice/…
}

// specSet is a set of specifiers that is allowed somewhere.
type specSet uint8

const (
	specSettings specSet = 1 << iota // in values of settings
	specNames                        // in names of other units, and [Install]
)

// ErrSpecifier is what a specifier fails with whose value isn't known.
var ErrSpecifier = errText("value of the specifier isn't known")

// expandMax bounds the result of expansion; "%n" repeated must not blow up a
// 1 MiB line into 255 MiB.
const expandMax = 2 << 20

type specFunc func(s *SpecifierContext, name, fragment string) (string, error)

type specRow struct {
	letter byte
	sets   specSet
	f      specFunc
}

func known(s string) (string, error) {
	if s == "" {
		return "", ErrSpecifier
	}
	return s, nil
}

// specKnown makes a specifier from a field that must be known.
func specKnown(f func(s *SpecifierContext) string) specFunc {
	return func(s *SpecifierContext, _, _ string) (string, error) {
		if s == nil {
			return "", ErrSpecifier
		}
		return known(f(s))
	}
}

// specOptional makes a specifier from a field that may be empty.
func specOptional(f func(s *SpecifierContext) string) specFunc {
	return func(s *SpecifierContext, _, _ string) (string, error) {
		if s == nil {
			return "", ErrSpecifier
		}
		return f(s), nil
	}
}

// named makes a specifier from the name of the unit.
func named(f func(name string) string) specFunc {
	return func(_ *SpecifierContext, name, _ string) (string, error) { return f(name), nil }
}

// unescaped makes a specifier from a part of the name, unescaped.
func unescaped(f func(name string) string) specFunc {
	return func(_ *SpecifierContext, name, _ string) (string, error) { return Unescape(f(name)) }
}

func prefixOf(name string) string {
	p, _, _, _ := SplitName(name)
	return p
}

func lastComponent(name string) string {
	p := prefixOf(name)
	return p[strings.LastIndexByte(p, '-')+1:]
}

const specBoth = specSettings | specNames

// Sorted by letter.
var specRows = [...]specRow{
	{'A', specBoth, specOptional(func(s *SpecifierContext) string { return s.OSImageVersion })},
	{'B', specBoth, specOptional(func(s *SpecifierContext) string { return s.OSBuildID })},
	{'C', specSettings, specKnown(func(s *SpecifierContext) string { return s.CacheRoot })},
	{'D', specSettings, specKnown(func(s *SpecifierContext) string { return s.SharedRoot })},
	{'E', specSettings, specKnown(func(s *SpecifierContext) string { return s.ConfigRoot })},
	{'G', specBoth, specKnown(func(s *SpecifierContext) string { return strconv.FormatUint(uint64(s.GID), 10) })},
	{'H', specBoth, specKnown(func(s *SpecifierContext) string { return s.HostName })},
	{'I', specSettings, unescaped(Instance)},
	{'J', specSettings, unescaped(lastComponent)},
	{'L', specSettings, specKnown(func(s *SpecifierContext) string { return s.LogRoot })},
	{'M', specBoth, specOptional(func(s *SpecifierContext) string { return s.OSImageID })},
	{'N', specBoth, named(func(name string) string { return ChangeSuffix(name, "") })},
	{'P', specSettings, unescaped(prefixOf)},
	{'R', specSettings, specOptional(func(s *SpecifierContext) string { return s.CgroupRoot })},
	{'S', specSettings, specKnown(func(s *SpecifierContext) string { return s.StateRoot })},
	{'T', specSettings, specKnown(func(s *SpecifierContext) string { return s.TmpDir })},
	{'U', specBoth, specKnown(func(s *SpecifierContext) string { return strconv.FormatUint(uint64(s.UID), 10) })},
	{'V', specSettings, specKnown(func(s *SpecifierContext) string { return s.VarTmpDir })},
	{'W', specBoth, specOptional(func(s *SpecifierContext) string { return s.OSVariantID })},
	{'Y', specSettings, specFragmentDir},
	{'a', specBoth, specKnown(func(s *SpecifierContext) string { return s.Architecture })},
	{'b', specBoth, specKnown(func(s *SpecifierContext) string { return s.BootID })},
	{'c', specSettings, specCgroup},
	{'d', specSettings, specCredentials},
	{'f', specSettings, specPath},
	{'g', specBoth, specKnown(func(s *SpecifierContext) string { return s.GroupName })},
	{'h', specSettings, specKnown(func(s *SpecifierContext) string { return s.Home })},
	{'i', specBoth, named(Instance)},
	{'j', specBoth, named(lastComponent)},
	{'l', specBoth, specKnown(func(s *SpecifierContext) string { short, _, _ := strings.Cut(s.HostName, "."); return short })},
	{'m', specBoth, specKnown(func(s *SpecifierContext) string { return s.MachineID })},
	{'n', specBoth, named(func(name string) string { return name })},
	{'o', specBoth, specOptional(func(s *SpecifierContext) string { return s.OSID })},
	{'p', specBoth, named(prefixOf)},
	{'q', specBoth, specKnown(func(s *SpecifierContext) string {
		if s.PrettyHostName != "" {
			return s.PrettyHostName
		}
		return s.HostName
	})},
	{'r', specSettings, specSliceCgroup},
	{'s', specSettings, specKnown(func(s *SpecifierContext) string { return s.Shell })},
	{'t', specSettings, specKnown(func(s *SpecifierContext) string { return s.RuntimeRoot })},
	{'u', specBoth, specKnown(func(s *SpecifierContext) string { return s.UserName })},
	{'v', specBoth, specKnown(func(s *SpecifierContext) string { return s.KernelRelease })},
	{'w', specBoth, specOptional(func(s *SpecifierContext) string { return s.OSVersionID })},
	{'y', specSettings, func(_ *SpecifierContext, _, fragment string) (string, error) { return known(fragment) }},
}

// SpecifierLetters lists the letters that are expanded in settings, and which
// of them also are in names of units.
func SpecifierLetters() (settings, names string) {
	for _, r := range specRows {
		settings += string(rune(r.letter))
		if r.sets&specNames != 0 {
			names += string(rune(r.letter))
		}
	}
	return settings, names
}

func specFragmentDir(_ *SpecifierContext, _, fragment string) (string, error) {
	i := strings.LastIndexByte(fragment, '/')
	if i <= 0 {
		return "", ErrSpecifier
	}
	return fragment[:i], nil
}

func specPath(_ *SpecifierContext, name, _ string) (string, error) {
	if i := Instance(name); i != "" {
		return PathUnescape(i)
	}
	return PathUnescape(prefixOf(name))
}

func specCredentials(s *SpecifierContext, name, _ string) (string, error) {
	if s == nil || s.RuntimeRoot == "" {
		return "", ErrSpecifier
	}
	return s.RuntimeRoot + "/credentials/" + name, nil
}

// specSliceCgroup gives the control group of the default slice: which slice a
// unit is in may be set further down in the file, and the specifier is
// deprecated since 239.
func specSliceCgroup(s *SpecifierContext, name, _ string) (string, error) {
	if s == nil {
		return "", ErrSpecifier
	}
	switch {
	case TypeOf(name) == TypeSlice:
		return s.CgroupRoot, nil
	case s.User:
		return s.CgroupRoot + "/app.slice", nil
	}
	return s.CgroupRoot + "/system.slice", nil
}

func specCgroup(s *SpecifierContext, name, fragment string) (string, error) {
	parent, err := specSliceCgroup(s, name, fragment)
	return parent + "/" + name, err
}

func findSpecifier(letter byte) *specRow {
	for i := range specRows {
		if specRows[i].letter == letter {
			return &specRows[i]
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// expandSpecifiers replaces specifiers in text. "%%" is a percent sign. As
// observed on systemd 257, letters and digits that aren't specifiers of the
// set are an error, while a percent sign at the end or before anything else
// stays as it is.
func expandSpecifiers(text string, u *Unit, ctx *SpecifierContext, set specSet) (string, error) {
	name, fragment := "", ""
	if u != nil {
		name, fragment = u.Name, u.FragmentPath
	}
	return expandFor(text, name, fragment, ctx, set)
}

func expandFor(text, name, fragment string, ctx *SpecifierContext, set specSet) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i == len(text)-1 {
			b.WriteByte(text[i])
			continue
		}
		i++
		row := findSpecifier(text[i])
		switch {
		case text[i] == '%':
			b.WriteByte('%')
		case row == nil && !alphanumeric(text[i]):
			b.WriteByte('%')
			b.WriteByte(text[i])
		case row == nil || row.sets&set == 0:
			return "", errText("specifier %", string(rune(text[i])), " isn't known here")
		default:
			s, err := row.f(ctx, name, fragment)
			if err != nil {
				return "", errText("%", string(rune(text[i])), ": ", err.Error())
			}
			b.WriteString(s)
		}
		if b.Len() > expandMax {
			return "", errText("text is too long once specifiers are expanded")
		}
	}
	return b.String(), nil
}

// Expand replaces the specifiers of a setting of the unit called name, whose
// fragment is at path fragment.
func (s *SpecifierContext) Expand(text, name, fragment string) (string, error) {
	return expandFor(text, name, fragment, s, specSettings)
}

// ExpandName replaces those specifiers that may stand in names of units, e.g.
// in [Install].
func (s *SpecifierContext) ExpandName(text, name string) (string, error) {
	return expandFor(text, name, "", s, specNames)
}

// EscapeSpecifiers doubles percent signs, so that text survives being read
// from a unit file.
func EscapeSpecifiers(text string) string { return strings.ReplaceAll(text, "%", "%%") }
