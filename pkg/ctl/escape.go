package ctl

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// escapeOptions are the options of systemd-escape(1).
type escapeOptions struct {
	suffix, template                 string
	unescape, mangle, path, instance bool
}

// escapeTool is systemd-escape.
func escapeTool(e *Env, args []string) int {
	var o escapeOptions
	usage := "systemd-escape [OPTIONS...] [NAME...]\n\nEscape text for unit names.\n\nOptions:\n"
	table := []option{
		{long: "suffix", arg: needsArgument, name: "SUFFIX", doc: "unit type to append", set: setString(&o.suffix)},
		{long: "template", arg: needsArgument, name: "TEMPLATE", doc: "put the text into this template as its instance", set: setString(&o.template)},
		{long: "instance", doc: "with --unescape: only the instance", set: setBool(&o.instance, true)},
		{long: "unescape", short: 'u', doc: "undo the escaping", set: setBool(&o.unescape, true)},
		{long: "mangle", short: 'm', doc: "make unit names as systemctl does of what people type", set: setBool(&o.mangle, true)},
		{long: "path", short: 'p', doc: "the text is a path", set: setBool(&o.path, true)},
	}
	words, status, done := e.parseTool(usage, table, args, false)
	if done {
		return status
	}
	if message := o.check(len(words)); message != "" {
		e.errorf("%s", message)
		return exitFailure
	}
	var out []string
	for _, w := range words {
		text, message := o.convert(e, w)
		if message != "" {
			e.errorf("%s", message)
			return exitFailure
		}
		out = append(out, text)
	}
	e.printf("%s\n", strings.Join(out, " "))
	return 0
}

// check says which options don't go together.
func (o *escapeOptions) check(n int) string {
	switch {
	case n == 0:
		return "Not enough arguments."
	case o.template != "" && o.suffix != "":
		return "--suffix= and --template= may not be combined."
	case (o.template != "" || o.suffix != "") && o.mangle:
		return "--suffix= and --template= are not compatible with --mangle."
	case o.suffix != "" && o.unescape:
		return "--suffix is not compatible with --unescape."
	case o.path && o.mangle:
		return "--path may not be combined with --mangle."
	case o.instance && !o.unescape:
		return "--instance must be used in conjunction with --unescape."
	case o.instance && o.template != "":
		return "--instance may not be combined with --template."
	case o.suffix != "" && !unit.ValidSuffix("."+o.suffix):
		return "Invalid unit suffix type \"" + o.suffix + "\"."
	case o.template != "" && unit.Form(o.template) != unit.NameTemplate:
		return "Template name " + o.template + " is not valid."
	}
	return ""
}

// convert gives the text for one argument, or why there is none.
func (o *escapeOptions) convert(e *Env, s string) (text, message string) {
	switch {
	case o.unescape:
		return o.undo(s)
	case o.mangle:
		name, _, err := unit.Mangle(s, ".service", 0)
		if err != nil {
			return "", "Failed to mangle name: Invalid argument"
		}
		return name, ""
	}
	text = unit.Escape(s)
	if o.path {
		if !strings.HasPrefix(s, "/") {
			if s != "" {
				return "", "Input '" + s + "' is not an absolute file system path, failed to escape."
			}
			e.notef("Input '%s' is not a valid file system path, escaping is likely not going to be reversible.", s)
			s = "/"
		}
		var err error
		if text, err = unit.PathEscape(s); err != nil {
			return "", "Failed to escape path: Invalid argument"
		}
	}
	if o.template != "" {
		name := unit.InstanceOf(o.template, text)
		if name == "" {
			return "", "Failed to replace instance: Invalid argument"
		}
		return name, ""
	}
	if o.suffix != "" {
		text += "." + o.suffix
	}
	return text, ""
}

// undo is --unescape.
func (o *escapeOptions) undo(s string) (text, message string) {
	if o.template != "" || o.instance {
		_, instance, _, has := unit.SplitName(s)
		switch template := unit.TemplateOf(s); {
		case unit.Form(s) == 0:
			return "", "Failed to extract template: Invalid argument"
		case !has || instance == "":
			return "", "Unit " + s + " is missing the instance name."
		case o.template != "" && template != o.template:
			return "", "Unit " + s + " template " + template + " does not match specified template " + o.template + "."
		}
		s = instance
	}
	var err error
	if o.path {
		text, err = unit.PathUnescape(s)
	} else {
		text, err = unit.Unescape(s)
	}
	if err != nil {
		if o.path {
			return "", "Failed to unescape path: Invalid argument"
		}
		return "", "Failed to unescape string: Invalid argument"
	}
	return text, ""
}
