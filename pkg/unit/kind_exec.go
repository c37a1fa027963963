package unit

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// kCommands is a list of command lines; plainOnly leaves out the Ex form on
// the bus, as sockets have it.
func kCommands(plainOnly bool) *kind[[]value.Command] {
	k := &kind[[]value.Command]{
		name: "command line",
		parse: func(c *Context, cur *[]value.Command, text string) error {
			if text == "" {
				*cur = nil
				return nil
			}
			list, err := value.ParseCommand(text, c.expand)
			if len(list) > 0 {
				*cur = append((*cur)[:len(*cur):len(*cur)], list...)
			}
			var ce *value.CommandError
			if errors.As(err, &ce) && ce.Fatal {
				return fatal(err)
			}
			return partial(err)
		},
		format: func(v *[]value.Command) []string {
			var out []string
			for _, c := range *v {
				out = append(out, escaped(c.Format()))
			}
			return out
		},
		bus: []form[[]value.Command]{{sig: "a(sasbttttuii)", setSig: "a(sasb)",
			write: func(w BusWriter, v *[]value.Command) { writeCommands(w, *v, false) },
			read:  func(r BusReader, _ *[]value.Command) ([]string, error) { return readCommands(r, false) },
		}},
	}
	if !plainOnly {
		k.bus = append(k.bus, form[[]value.Command]{suffix: "Ex", sig: "a(sasasttttuii)", setSig: "a(sasas)",
			write: func(w BusWriter, v *[]value.Command) { writeCommands(w, *v, true) },
			read:  func(r BusReader, _ *[]value.Command) ([]string, error) { return readCommands(r, true) },
		})
	}
	return k
}

// writeCommands writes the commands without the results of their last run,
// which the configuration doesn't know.
func writeCommands(w BusWriter, list []value.Command, ex bool) {
	elem := "(sasbttttuii)"
	if ex {
		elem = "(sasasttttuii)"
	}
	w.BeginArray(elem)
	for _, c := range list {
		w.BeginStruct()
		WriteCommandHead(w, c, ex)
		for range 4 {
			w.Uint64(0)
		}
		w.Uint32(0)
		w.Int32(0)
		w.Int32(0)
		w.EndStruct()
	}
	w.EndArray()
}

// WriteCommandHead writes the part of a command's bus form that comes from
// the configuration: path, arguments, and whether a failure is ignored or,
// with ex, all flags. Four times, a pid and an exit code and status follow.
func WriteCommandHead(w BusWriter, c value.Command, ex bool) {
	w.String(c.Path)
	writeStrings(w, c.Argv)
	if ex {
		writeStrings(w, c.Flags.Names())
		return
	}
	w.Bool(c.Flags&value.CommandIgnoreFailure != 0)
}

func readCommands(r BusReader, ex bool) ([]string, error) {
	var out []string
	elem := "(sasb)"
	if ex {
		elem = "(sasas)"
	}
	r.BeginArray(elem)
	for r.More() {
		r.BeginStruct()
		c := value.Command{Path: r.String(), Argv: readStrings(r)}
		if ex {
			flags, err := value.ParseCommandFlags(readStrings(r))
			if err != nil {
				return nil, err
			}
			c.Flags = flags
		} else if r.Bool() {
			c.Flags = value.CommandIgnoreFailure
		}
		r.EndStruct()
		if len(c.Argv) == 0 {
			return nil, errText("command ", quoted(c.Path), " has no arguments, not even its name")
		}
		out = append(out, escaped(c.Format()))
	}
	r.EndArray()
	if len(out) == 0 {
		return one("")
	}
	return out, nil
}

// kEnvironment is Environment=. The variables are kept as NAME=value.
var kEnvironment = lastValues(listKind("list of variable assignments", func(c *Context, text string) ([]string, error) {
	pairs, err := value.ParseEnvAssignments(text, c.expand)
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = p.String()
	}
	return out, err
}, formatWords, busStrings))

// lastValues keeps the last value of each variable, where its first was.
func lastValues(k *kind[[]string]) *kind[[]string] {
	base := k.parse
	k.parse = func(c *Context, cur *[]string, text string) error {
		var added []string
		err := base(c, &added, text)
		if text == "" {
			*cur = nil
		}
		out := (*cur)[:len(*cur):len(*cur)]
		own := false // as long as it isn't, it may be another unit's too
		for _, v := range added {
			name := v[:strings.IndexByte(v, '=')+1]
			i := slices.IndexFunc(out, func(o string) bool { return strings.HasPrefix(o, name) })
			if i < 0 {
				out = append(out, v)
				continue
			}
			if !own {
				out, own = slices.Clone(out), true
			}
			out[i] = v
		}
		*cur = out
		return err
	}
	return k
}

var kEnvNames = listKind("list of variable names", func(c *Context, text string) ([]string, error) {
	return value.ParseEnvNames(text, c.expand)
}, formatWords, busStrings)

var kEnvUnset = listKind("list of variable names or assignments", func(c *Context, text string) ([]string, error) {
	return value.ParseEnvNamesOrAssignments(text, c.expand)
}, formatWords, busStrings)

// kEnvFiles is EnvironmentFile=.
var kEnvFiles = listKind("path, - in front", func(c *Context, text string) ([]EnvironmentFile, error) {
	path, err := c.expand(text)
	if err != nil {
		return nil, err
	}
	rest, optional := strings.CutPrefix(path, "-")
	// Wildcards are fine, so only the form of the path is checked.
	rest, err = value.ParsePath(rest, value.PathAbsolute)
	if err != nil {
		return nil, err
	}
	return []EnvironmentFile{{Path: strings.Clone(rest), Optional: optional}}, nil
}, func(list []EnvironmentFile) []string {
	var out []string
	for _, f := range list {
		out = append(out, envFileText(f.Path, f.Optional))
	}
	return out
}, form[[]EnvironmentFile]{sig: "a(sb)",
	write: func(w BusWriter, v *[]EnvironmentFile) {
		w.BeginArray("(sb)")
		for _, f := range *v {
			w.BeginStruct()
			w.String(f.Path)
			w.Bool(f.Optional)
			w.EndStruct()
		}
		w.EndArray()
	},
	read: func(r BusReader, _ *[]EnvironmentFile) ([]string, error) {
		var out []string
		r.BeginArray("(sb)")
		for r.More() {
			r.BeginStruct()
			path := r.String()
			out = append(out, envFileText(path, r.Bool()))
			r.EndStruct()
		}
		r.EndArray()
		if len(out) == 0 {
			return one("")
		}
		return out, nil
	},
})

func envFileText(path string, optional bool) string {
	if optional {
		return "-" + escaped(path)
	}
	return escaped(path)
}

// stdioKind is StandardInput=, or with output StandardOutput=/StandardError=.
func stdioKind(output bool) *kind[Stdio] {
	kinds := []string{"null", "tty", "tty-force", "tty-fail", "socket", "data"}
	if output {
		kinds = []string{"inherit", "null", "tty", "kmsg", "kmsg+console", "journal", "journal+console", "socket"}
	}
	k := &kind[Stdio]{
		name: "one of " + strings.Join(kinds, ", ") + ", fd:NAME, file:PATH",
		parse: func(c *Context, cur *Stdio, text string) error {
			s, err := parseStdio(c, text, kinds, output)
			if err == nil {
				*cur = s
			}
			return err
		},
		format: func(v *Stdio) []string { return []string{v.text()} },
	}
	k.bus = []form[Stdio]{
		{sig: "s", write: func(w BusWriter, v *Stdio) { w.String(v.Kind) },
			read: func(r BusReader, cur *Stdio) ([]string, error) {
				word := r.String()
				if word == cur.Kind {
					return one(cur.text()) // keeps the path a property before this set
				}
				return one(word)
			}},
		{suffix: "FileDescriptorName", sig: "s",
			write: func(w BusWriter, v *Stdio) {
				if v.Kind == "fd" {
					w.String(v.Arg)
				} else {
					w.String("")
				}
			},
			read: func(r BusReader, cur *Stdio) ([]string, error) {
				if name := r.String(); name != "" {
					return one("fd:" + escaped(name))
				}
				if cur.Kind == "fd" {
					return one("fd")
				}
				return one(cur.text())
			}},
		stdioFile("File", "file:"),
	}
	if output {
		k.bus = append(k.bus, stdioFile("FileToAppend", "append:"), stdioFile("FileToTruncate", "truncate:"))
	}
	return k
}

func stdioFile(suffix, prefix string) form[Stdio] {
	return form[Stdio]{suffix: suffix, setSig: "s",
		read: func(r BusReader, _ *Stdio) ([]string, error) { return one(prefix + escaped(r.String())) }}
}

func (s Stdio) text() string {
	switch s.Kind {
	case "fd":
		if s.Arg == "" {
			return "fd"
		}
		return "fd:" + escaped(s.Arg)
	case "file", "append", "truncate":
		return s.Kind + ":" + escaped(s.Arg)
	}
	return s.Kind
}

func parseStdio(c *Context, text string, kinds []string, output bool) (Stdio, error) {
	for _, k := range kinds {
		if text == k {
			return Stdio{Kind: k}, nil
		}
	}
	// The syslog words are what they were before the journal.
	if output && (text == "syslog" || text == "syslog+console") {
		c.warn(c.row.Name, "= ", text, " is obsolete, journal is used instead")
		return Stdio{Kind: strings.Replace(text, "syslog", "journal", 1)}, nil
	}
	if text == "fd" {
		return Stdio{Kind: "fd"}, nil
	}
	kindWord, arg, ok := strings.Cut(text, ":")
	if !ok {
		return Stdio{}, errText("value ", quoted(text), " isn't known")
	}
	arg, err := c.expand(arg)
	if err != nil {
		return Stdio{}, err
	}
	switch {
	case kindWord == "fd":
		if !fdNameValid(arg) {
			return Stdio{}, errText("file descriptor name ", quoted(arg), " is not valid")
		}
		return Stdio{Kind: "fd", Arg: strings.Clone(arg)}, nil
	case kindWord == "file", output && kindWord == "append", output && kindWord == "truncate":
		path, err := value.ParsePath(arg, value.PathAbsolute)
		return Stdio{Kind: strings.Clone(kindWord), Arg: strings.Clone(path)}, err
	}
	return Stdio{}, errText("value ", quoted(text), " isn't known")
}

// fdNameValid is the rule of sd_listen_fds_with_names(3).
func fdNameValid(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 127 || s[i] == ':' {
			return false
		}
	}
	return true
}

var kFDName = kChecked("file descriptor name", fdNameValid, false)

// inputText is StandardInputText=, which adds a line; inputData is
// StandardInputData=, which adds bytes.
var kInputText = &kind[[]byte]{
	name: "text",
	parse: func(c *Context, cur *[]byte, text string) error {
		if text == "" {
			*cur = nil
			return nil
		}
		s, err := value.CUnescape(text)
		if err == nil {
			s, err = c.expand(s)
		}
		if err != nil {
			return err
		}
		return addInput(cur, []byte(s+"\n"))
	},
	format: func(*[]byte) []string { return nil },
}

var kInputData = &kind[[]byte]{
	name: "base64 data",
	parse: func(_ *Context, cur *[]byte, text string) error {
		if text == "" {
			*cur = nil
			return nil
		}
		b, err := value.ParseBase64(text)
		if err != nil {
			return err
		}
		return addInput(cur, b)
	},
	format: func(v *[]byte) []string {
		if len(*v) == 0 {
			return nil
		}
		return []string{value.FormatBase64(*v)}
	},
	bus: []form[[]byte]{{sig: "ay",
		write: func(w BusWriter, v *[]byte) { w.Bytes(*v) },
		read:  func(r BusReader, _ *[]byte) ([]string, error) { return one(value.FormatBase64(r.Bytes())) }}},
}

// inputMax bounds the data of StandardInputData=, as systemd does.
const inputMax = 64 << 20

func addInput(cur *[]byte, more []byte) error {
	if len(*cur)+len(more) > inputMax {
		return errText("data is larger than 64 MiB")
	}
	*cur = append((*cur)[:len(*cur):len(*cur)], more...)
	return nil
}

// kWorkingDirectory sets three fields of Exec at once.
var kWorkingDirectory = &kind[Exec]{
	name: "path or ~, - in front",
	parse: func(c *Context, e *Exec, text string) error {
		rest, missing := strings.CutPrefix(text, "-")
		if text == "" {
			e.WorkingDirectory, e.WorkingDirectoryHome, e.WorkingDirectoryMissingOK = "", false, false
			return nil
		}
		if rest == "~" {
			e.WorkingDirectory, e.WorkingDirectoryHome, e.WorkingDirectoryMissingOK = "", true, missing
			return nil
		}
		path, err := c.expand(rest)
		if err == nil {
			path, err = value.ParsePath(path, value.PathAbsolute)
		}
		if err != nil {
			if !missing {
				return fatal(err)
			}
			return err
		}
		e.WorkingDirectory, e.WorkingDirectoryHome, e.WorkingDirectoryMissingOK = strings.Clone(path), false, missing
		return nil
	},
	format: func(e *Exec) []string { return []string{escaped(workingDirectory(e))} },
	bus: []form[Exec]{{sig: "s",
		write: func(w BusWriter, e *Exec) {
			s := workingDirectory(e)
			if strings.HasPrefix(s, "-") {
				s = "!" + s[1:] // the bus uses another prefix than files
			}
			w.String(s)
		},
		read: func(r BusReader, _ *Exec) ([]string, error) {
			s := r.String()
			if rest, ok := strings.CutPrefix(s, "!"); ok {
				s = "-" + rest
			}
			return one(escaped(s))
		}}},
}

func workingDirectory(e *Exec) string {
	s := e.WorkingDirectory
	if e.WorkingDirectoryHome {
		s = "~"
	}
	if e.WorkingDirectoryMissingOK && s != "" {
		s = "-" + s
	}
	return s
}

// userNameValid accepts numeric ids and names by the relaxed rules of
// systemd: printable, no colon or slash, not only digits.
func userNameValid(s string) bool {
	if s == "" || len(s) > 256 || s == "." || s == ".." || s[0] == '-' || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return n != 1<<32-1 && n != 1<<16-1
	}
	if strings.Trim(s, "0123456789") == "" || !value.TextIsValid(s) {
		return false
	}
	return !strings.ContainsAny(s, ":/\t\n\\\"'")
}

// kUser is User= and Group=; empty text resets, a bad name is fatal.
var kUser = kChecked("user or group", userNameValid, true)

// kGroups is SupplementaryGroups=.
var kGroups = kWords("list of groups", value.WordUnquote, func(s string) (string, error) {
	if !userNameValid(s) {
		return "", fatal(errText("group ", quoted(s), " is not valid"))
	}
	return strings.Clone(s), nil
})

// kRlimit is one limit of Exec.Limits, with the properties of hard and soft.
func kRlimit(resource int) *kind[*value.Rlimit] {
	res := value.Resources()[resource]
	return &kind[*value.Rlimit]{
		name: "limit, or soft:hard",
		parse: func(_ *Context, cur **value.Rlimit, text string) error {
			l, err := value.ParseRlimit(res, text)
			if err == nil {
				*cur = &l
			}
			return err
		},
		format: func(v **value.Rlimit) []string {
			if *v == nil {
				return []string{""}
			}
			return []string{rlimitText((*v).Soft, (*v).Hard)}
		},
		bus: []form[*value.Rlimit]{
			{sig: "t", write: func(w BusWriter, v **value.Rlimit) {
				if *v == nil {
					w.Uint64(Infinity)
					return
				}
				w.Uint64((*v).Hard)
			}, read: func(r BusReader, cur **value.Rlimit) ([]string, error) {
				hard := r.Uint64()
				soft := hard
				if *cur != nil && (*cur).Soft < hard {
					soft = (*cur).Soft
				}
				return one(rlimitText(soft, hard))
			}},
			{suffix: "Soft", sig: "t", write: func(w BusWriter, v **value.Rlimit) {
				if *v == nil {
					w.Uint64(Infinity)
					return
				}
				w.Uint64((*v).Soft)
			}, read: func(r BusReader, cur **value.Rlimit) ([]string, error) {
				soft := r.Uint64()
				hard := soft
				if *cur != nil && (*cur).Hard > soft {
					hard = (*cur).Hard
				}
				return one(rlimitText(soft, hard))
			}},
		},
	}
}

// kExecLimit is kRlimit for Exec.Limits, where the bus shows what processes
// inherit if nothing is set.
func kExecLimit(resource int) *kind[Exec] {
	k := kRlimit(resource)
	out := &kind[Exec]{
		name:   k.name,
		parse:  func(c *Context, e *Exec, text string) error { return k.parse(c, &e.Limits[resource], text) },
		format: func(e *Exec) []string { return k.format(&e.Limits[resource]) },
	}
	for _, b := range k.bus {
		out.bus = append(out.bus, form[Exec]{suffix: b.suffix, sig: b.sig,
			write: func(w BusWriter, e *Exec) {
				l := e.Limits[resource]
				if l == nil && e.inherited != nil {
					l = &e.inherited[resource]
				}
				b.write(w, &l)
			},
			read: func(r BusReader, e *Exec) ([]string, error) { return b.read(r, &e.Limits[resource]) },
		})
	}
	return out
}

// rlimitText writes plain numbers; Format of value adds units where people
// want them, but for a file round trip the number is exact.
func rlimitText(soft, hard uint64) string {
	num := func(v uint64) string {
		if v == Infinity {
			return "infinity"
		}
		return strconv.FormatUint(v, 10)
	}
	if soft == hard {
		return num(soft)
	}
	return num(soft) + ":" + num(hard)
}
