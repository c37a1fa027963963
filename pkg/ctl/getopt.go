package ctl

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// option is one row of a tool's options.
type option struct {
	long   string
	short  byte
	arg    argument
	name   string // of the argument, for help
	doc    string // for help and completion; "" hides the option
	set    func(value string) error
	values func() []string // of the argument, for completion
}

type argument uint8

const (
	noArgument argument = iota
	needsArgument
	mayHaveArgument
)

// errDone ends a tool with status 0 after an option that only prints.
var errDone = errors.New("done")

// errHelp asks a small tool for its help.
var errHelp = errors.New("help")

// errQuiet ends a tool with status 1 and no word.
var errQuiet = errors.New("failed")

// usageError is printed as it is; the tool ends with status 1.
type usageError string

func (e usageError) Error() string { return string(e) }

// getopt reads arguments as getopt_long(3) does: options anywhere (unless stopAtWord), long ones may be cut to what is unambiguous, `--` ends them.
func getopt(name string, options []option, args []string, stopAtWord bool) (words []string, err error) {
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case a == "--":
			return append(words, args...), nil
		case len(a) > 2 && a[:2] == "--":
			args, err = longOption(name, options, a[2:], args)
		case len(a) > 1 && a[0] == '-':
			args, err = shortOptions(name, options, a[1:], args)
		case stopAtWord:
			return append(append(words, a), args...), nil
		default:
			words = append(words, a)
		}
		if err != nil {
			return words, err
		}
	}
	return words, nil
}

func longOption(name string, options []option, text string, rest []string) ([]string, error) {
	key, val, has := strings.Cut(text, "=")
	o, err := findLong(name, options, key)
	if err != nil {
		return rest, err
	}
	switch {
	case o.arg == noArgument && has:
		return rest, usageError(fmt.Sprintf("%s: option '--%s' doesn't allow an argument", name, o.long))
	case o.arg == needsArgument && !has:
		if len(rest) == 0 {
			return rest, usageError(fmt.Sprintf("%s: option '--%s' requires an argument", name, o.long))
		}
		val, rest = rest[0], rest[1:]
	}
	return rest, o.set(val)
}

func findLong(name string, options []option, key string) (*option, error) {
	var found []*option
	for i := range options {
		o := &options[i]
		if o.long == key {
			return o, nil
		}
		if o.long != "" && strings.HasPrefix(o.long, key) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return nil, usageError(fmt.Sprintf("%s: unrecognized option '--%s'", name, key))
	case 1:
		return found[0], nil
	}
	text := fmt.Sprintf("%s: option '--%s' is ambiguous; possibilities:", name, key)
	for _, o := range found {
		text += " '--" + o.long + "'"
	}
	return nil, usageError(text)
}

func shortOptions(name string, options []option, text string, rest []string) ([]string, error) {
	for text != "" {
		c := text[0]
		text = text[1:]
		o := findShort(options, c)
		if o == nil {
			return rest, usageError(fmt.Sprintf("%s: invalid option -- '%c'", name, c))
		}
		val := ""
		switch {
		case o.arg == needsArgument && text == "":
			if len(rest) == 0 {
				return rest, usageError(fmt.Sprintf("%s: option requires an argument -- '%c'", name, c))
			}
			val, rest = rest[0], rest[1:]
		case o.arg != noArgument:
			val, text = text, ""
		}
		if err := o.set(val); err != nil {
			return rest, err
		}
	}
	return rest, nil
}

func findShort(options []option, c byte) *option {
	for i := range options {
		if options[i].short == c {
			return &options[i]
		}
	}
	return nil
}

// setBool, setString and the like make the setters of plain options.
func setBool(p *bool, v bool) func(string) error {
	return func(string) error { *p = v; return nil }
}

func setString(p *string) func(string) error {
	return func(s string) error { *p = s; return nil }
}

func appendString(p *[]string) func(string) error {
	return func(s string) error { *p = append(*p, s); return nil }
}

// optionHelp is the list of options as help shows it.
func optionHelp(options []option) string {
	var b strings.Builder
	for _, o := range options {
		if o.doc == "" {
			continue
		}
		left := "     "
		if o.short != 0 {
			left = fmt.Sprintf("  -%c ", o.short)
		}
		if o.long != "" {
			left += " --" + o.long
			if o.arg == needsArgument {
				left += "=" + o.name
			} else if o.arg == mayHaveArgument {
				left += "[=" + o.name + "]"
			}
		} else if o.arg == needsArgument {
			left += " " + o.name
		}
		if len(left) > 27 {
			fmt.Fprintf(&b, "%s\n%28s%s\n", left, "", o.doc)
			continue
		}
		fmt.Fprintf(&b, "%-28s%s\n", left, o.doc)
	}
	return b.String()
}

// optionNames are the long options, for completion.
func optionNames(options []option) []string {
	var out []string
	for _, o := range options {
		if o.long != "" && o.doc != "" {
			if o.arg == needsArgument {
				out = append(out, "--"+o.long+"=")
			} else {
				out = append(out, "--"+o.long)
			}
		}
	}
	sort.Strings(out)
	return out
}
