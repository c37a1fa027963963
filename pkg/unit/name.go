package unit

import "strings"

// NameMax is the longest unit name, in bytes.
const NameMax = 255

const validChars = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\"

var (
	charTable [256]bool // what a unit name may hold besides one @

)

func init() {
	for i := range len(validChars) {
		charTable[validChars[i]] = true
	}
}

// NameForm is which of the three forms of unit names a name has, as bits.
type NameForm uint8

// The forms: foo.service, foo@bar.service, foo@.service.
const (
	NamePlain NameForm = 1 << iota
	NameInstance
	NameTemplate
	NameAny = NamePlain | NameInstance | NameTemplate
)

// Form gives the form of a valid name, 0 for an invalid one
// (systemd.unit(5), "valid unit names").
func Form(name string) NameForm {
	if len(name) > NameMax {
		return 0
	}
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || TypeFromString(name[dot+1:]) == TypeInvalid {
		return 0
	}
	at := strings.IndexByte(name[:dot], '@')
	for i := range dot {
		// The instance may hold further @, the prefix can't.
		if !charTable[name[i]] && name[i] != '@' {
			return 0
		}
	}
	switch {
	case at == 0:
		return 0
	case at < 0:
		return NamePlain
	case at == dot-1:
		return NameTemplate
	default:
		return NameInstance
	}
}

// ValidName says whether name is a unit name of one of the forms.
func ValidName(name string, forms NameForm) bool { return Form(name)&forms != 0 }

// ValidPrefix says whether s can stand before the @ or the suffix.
func ValidPrefix(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if !charTable[s[i]] {
			return false
		}
	}
	return true
}

// ValidInstance says whether s can stand between @ and the suffix.
func ValidInstance(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if !charTable[s[i]] && s[i] != '@' {
			return false
		}
	}
	return true
}

// TypeOf gives the type from the suffix, without checking the rest of the name.
func TypeOf(name string) Type {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return TypeInvalid
	}
	return TypeFromString(name[dot+1:])
}

// SplitName takes a name apart: "foo@bar.service" is prefix "foo", instance
// "bar", suffix ".service". hasInstance tells a template, whose instance is
// empty, from a plain name.
func SplitName(name string) (prefix, instance, suffix string, hasInstance bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		dot = len(name)
	}
	suffix = name[dot:]
	prefix, instance, hasInstance = strings.Cut(name[:dot], "@")
	return prefix, instance, suffix, hasInstance
}

// Instance gives what stands between @ and the suffix, "" if there is none.
func Instance(name string) string {
	_, instance, _, _ := SplitName(name)
	return instance
}

// TemplateOf gives the template of an instance: "foo@bar.service" is
// "foo@.service". It gives "" for names that aren't instances.
func TemplateOf(name string) string {
	if Form(name) != NameInstance {
		return ""
	}
	at := strings.IndexByte(name, '@')
	return name[:at+1] + name[strings.LastIndexByte(name, '.'):]
}

// InstanceOf puts an instance into a template name. It gives "" if the result
// isn't a valid name.
func InstanceOf(template, instance string) string {
	if Form(template) != NameTemplate || !ValidInstance(instance) {
		return ""
	}
	dot := strings.LastIndexByte(template, '.')
	name := template[:dot] + instance + template[dot:]
	if len(name) > NameMax {
		return ""
	}
	return name
}

// ChangeSuffix replaces the suffix, which is given with its dot.
func ChangeSuffix(name, suffix string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name + suffix
	}
	return name[:dot] + suffix
}

// SliceParent gives the slice a slice is in: "a-b.slice" is in "a.slice", that
// in "-.slice". It gives "" for the root slice and for names that aren't slices.
func SliceParent(slice string) string {
	if !ValidSlice(slice) || slice == RootSlice {
		return ""
	}
	base := strings.TrimSuffix(slice, ".slice")
	if dash := strings.LastIndexByte(base, '-'); dash >= 0 {
		return base[:dash] + ".slice"
	}
	return RootSlice
}

// RootSlice is the slice all others are in.
const RootSlice = "-.slice"

// ValidSlice says whether name is a slice whose dashes make sense as a path:
// none at the start or end and no two in a row, the root slice aside.
func ValidSlice(name string) bool {
	if Form(name) != NamePlain || TypeOf(name) != TypeSlice {
		return false
	}
	if name == RootSlice {
		return true
	}
	base := strings.TrimSuffix(name, ".slice")
	return base[0] != '-' && base[len(base)-1] != '-' && !strings.Contains(base, "--")
}
