package value

import (
	"errors"
	"fmt"
	"strings"
)

// CommandFlags are the prefixes of a command line of Exec*=.
type CommandFlags uint8

// Prefixes of Exec*= (systemd.service(5), Special executable prefixes).
const (
	CommandIgnoreFailure CommandFlags = 1 << 0 // "-": failure counts as success
	CommandPrivileged    CommandFlags = 1 << 1 // "+": no user, capability or namespace settings
	CommandNoSetuid      CommandFlags = 1 << 2 // "!": only user and group are not changed
	CommandAmbient       CommandFlags = 1 << 3 // "!!": as "!" where the kernel has no ambient capabilities
	CommandNoEnvExpand   CommandFlags = 1 << 4 // ":": variables are left alone
	CommandViaShell      CommandFlags = 1 << 5 // "|": run by the user's shell
	CommandArgv0         CommandFlags = 1 << 6 // "@": the second word is argv[0]; with "|" a login shell
)

type commandFlagName struct {
	flag   CommandFlags
	prefix string
	bus    string
}

// Bus names are those of the flags in ExecStartEx; "@" shows in argv only.
var commandFlagNames = [...]commandFlagName{
	{CommandIgnoreFailure, "-", "ignore-failure"},
	{CommandArgv0, "@", ""},
	{CommandNoEnvExpand, ":", "no-env-expand"},
	{CommandPrivileged, "+", "privileged"},
	{CommandNoSetuid, "!", "no-setuid"},
	{CommandAmbient, "!!", "ambient"},
	{CommandViaShell, "|", "via-shell"},
}

// Names are the flags as D-Bus has them, "ignore-failure" and so on.
func (f CommandFlags) Names() []string {
	var names []string
	for _, n := range commandFlagNames {
		if f&n.flag != 0 && n.bus != "" {
			names = append(names, n.bus)
		}
	}
	return names
}

// ParseCommandFlags reads flags by their D-Bus names.
func ParseCommandFlags(names []string) (CommandFlags, error) {
	var f CommandFlags
next:
	for _, name := range names {
		for _, n := range commandFlagNames {
			if n.bus == name && name != "" {
				f |= n.flag
				continue next
			}
		}
		return 0, invalid("command flag", name)
	}
	if f&CommandAmbient != 0 && f&CommandNoSetuid != 0 {
		return 0, invalidf("command flag", strings.Join(names, " "), "ambient and no-setuid exclude each other")
	}
	return f, nil
}

// Command is one command of an Exec*= line.
type Command struct {
	Path  string       `json:"path"` // absolute, or a file name to look up in ExecSearchPath=
	Argv  []string     `json:"argv"` // argv[0] included, never empty
	Flags CommandFlags `json:"flags,omitempty"`
}

// CommandError is an error in a command line. Fatal means that the unit cannot
// be started. It is false where the command carries "-", and where not even the
// first word could be cut off.
type CommandError struct {
	Fatal bool
	Err   error
}

func (e *CommandError) Error() string { return e.Err.Error() }

func (e *CommandError) Unwrap() error { return e.Err }

// Expander replaces specifiers in one word. A nil Expander changes nothing.
type Expander func(word string) (string, error)

func (e Expander) expand(word string) (string, error) {
	if e == nil {
		return word, nil
	}
	return e(word)
}

// ParseCommand reads the value of Exec*=: commands divided by ";" words.
// Specifiers are expanded word by word after unquoting, so that what they stand
// for is never split. On an error the commands before it are returned; err
// then holds a *CommandError, besides warnings about unknown escapes, which
// are kept as they are.
func ParseCommand(line string, expand Expander) ([]Command, error) {
	if strings.IndexByte(line, 0) >= 0 {
		return nil, &CommandError{Fatal: true, Err: invalidf("command line", line, "contains a NUL byte")}
	}
	p := commandParser{
		words:  WordReader{Rest: line, Flags: WordUnquote | WordCUnescape},
		expand: expand,
	}
	var commands []Command
	for {
		c, ok, err := p.next()
		if err != nil {
			fatal := c.Flags&CommandIgnoreFailure == 0 && p.first != ""
			ce := &CommandError{Fatal: fatal, Err: err}
			return commands, errors.Join(append(p.warnings, ce)...)
		}
		if !ok {
			return commands, errors.Join(p.warnings...)
		}
		commands = append(commands, c)
	}
}

type commandParser struct {
	words    WordReader
	expand   Expander
	first    string // the first word of the command being read
	warnings []error
}

func (p *commandParser) word() (string, bool, error) {
	word, ok, warning, err := p.words.nextWordLenient()
	if warning != nil {
		p.warnings = append(p.warnings, warning)
	}
	return word, ok, err
}

func (p *commandParser) next() (Command, bool, error) {
	var c Command
	p.first = ""
	for {
		rest, ok := cutLoneToken(p.words.Rest, ";")
		if !ok {
			break
		}
		p.words.Rest = rest
	}
	first, ok, err := p.word()
	if !ok || err != nil {
		return c, false, err
	}
	p.first = first
	var prefixLength int
	c.Flags, prefixLength = parseCommandPrefix(first)
	path := first[prefixLength:]
	argv0Pending := c.Flags&CommandArgv0 != 0
	if c.Flags&CommandViaShell != 0 {
		return p.viaShell(c, path)
	}
	if path == "" {
		return c, false, invalidf("command line", first, "empty path")
	}
	if c.Path, err = p.expand.expand(path); err != nil {
		return c, false, fmt.Errorf("command line: specifiers in %q: %w", path, err)
	}
	if err = checkCommandPath(c.Path); err != nil {
		return c, false, err
	}
	if !argv0Pending {
		c.Argv = []string{c.Path}
	}
	c.Path = PathSimplify(c.Path)
	if err = p.arguments(&c); err != nil {
		return c, false, err
	}
	if len(c.Argv) == 0 {
		return c, false, invalidf("command line", first, "empty zeroth argument")
	}
	return c, true, nil
}

// arguments reads words up to the end or a ";".
func (p *commandParser) arguments(c *Command) error {
	for p.words.Rest != "" {
		if rest, ok := cutLoneToken(p.words.Rest, ";"); ok {
			p.words.Rest = rest
			return nil
		}
		// Looked for before unquoting, so that "\;" in quotes stays as it is.
		if rest, ok := cutLoneToken(p.words.Rest, `\;`); ok {
			p.words.Rest = rest
			c.Argv = append(c.Argv, ";")
			continue
		}
		word, ok, err := p.word()
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		resolved, err := p.expand.expand(word)
		if err != nil {
			return fmt.Errorf("command line: specifiers in %q: %w", word, err)
		}
		c.Argv = append(c.Argv, resolved)
	}
	return nil
}

// viaShell reads a command with "|". Path is a placeholder until the user's
// shell is known; the words are handed to the shell as one text.
func (p *commandParser) viaShell(c Command, first string) (Command, bool, error) {
	c.Path = "/bin/sh"
	name := "sh"
	if c.Flags&CommandArgv0 != 0 {
		name = "-sh"
	}
	if first != "" {
		resolved, err := p.expand.expand(first)
		if err != nil {
			return c, false, fmt.Errorf("command line: specifiers in %q: %w", first, err)
		}
		c.Argv = append(c.Argv, resolved)
	}
	if err := p.arguments(&c); err != nil {
		return c, false, err
	}
	if len(c.Argv) == 0 {
		c.Argv = []string{name}
		return c, true, nil
	}
	c.Argv = []string{name, "-c", strings.Join(c.Argv, " ")}
	return c, true, nil
}

func cutLoneToken(s, token string) (rest string, ok bool) {
	after, ok := strings.CutPrefix(s, token)
	if !ok || after != "" && !isSpace(after[0]) {
		return s, false
	}
	return strings.TrimLeft(after, whitespace), true
}

const commandUserFlags = CommandPrivileged | CommandNoSetuid | CommandAmbient

// parseCommandPrefix reads prefix characters, each at most once and of "+", "!"
// and "!!" only one.
func parseCommandPrefix(s string) (f CommandFlags, length int) {
	for length < len(s) {
		var set, clear, conflicts CommandFlags
		switch s[length] {
		case '-':
			set, conflicts = CommandIgnoreFailure, CommandIgnoreFailure
		case '@':
			set, conflicts = CommandArgv0, CommandArgv0
		case ':':
			set, conflicts = CommandNoEnvExpand, CommandNoEnvExpand
		case '|':
			set, conflicts = CommandViaShell, CommandViaShell
		case '+':
			set, conflicts = CommandPrivileged, commandUserFlags
		case '!':
			set, conflicts = CommandNoSetuid, commandUserFlags
			if f&CommandNoSetuid != 0 {
				set, clear, conflicts = CommandAmbient, CommandNoSetuid, CommandPrivileged|CommandAmbient
			}
		default:
			return f, length
		}
		if f&conflicts != 0 {
			return f, length
		}
		f = f&^clear | set
		length++
	}
	return f, length
}

func checkCommandPath(path string) error {
	switch {
	case !StringIsSafe(path):
		return invalidf("command line", path, "executable name contains special characters")
	case strings.HasSuffix(path, "/"), strings.HasSuffix(path, "/."), strings.HasSuffix(path, "/.."): // the dots since 257
		return invalidf("command line", path, "executable path specifies a directory")
	case !PathIsAbsolute(path) && !FilenameIsValid(path):
		return invalidf("command line", path, "neither a valid executable name nor an absolute path")
	}
	return nil
}

// Prefix is the prefix characters of the command.
func (c Command) Prefix() string {
	var b strings.Builder
	for _, n := range commandFlagNames {
		if c.Flags&n.flag != 0 {
			b.WriteString(n.prefix)
		}
	}
	return b.String()
}

// Format writes the command as Exec*= takes it. Specifiers are not protected:
// double "%" before, if the text goes into a unit file.
func (c Command) Format() string {
	words := c.Argv
	if c.Flags&CommandViaShell != 0 {
		if len(words) > 2 {
			return c.Prefix() + words[2]
		}
		return c.Prefix()
	}
	path := c.Prefix() + c.Path
	if c.Flags&CommandArgv0 == 0 && len(words) > 0 {
		words = words[1:]
		if c.Argv[0] != c.Path {
			// Only a path in another spelling, or a transient command.
			words = c.Argv
			path = Command{Flags: c.Flags | CommandArgv0}.Prefix() + c.Path
		}
	}
	var b strings.Builder
	if path == ";" {
		b.WriteString(`";"`)
	} else {
		b.WriteString(QuoteWord(path))
	}
	for _, w := range words {
		b.WriteByte(' ')
		if w == ";" {
			b.WriteString(`\;`)
		} else {
			b.WriteString(QuoteWord(w))
		}
	}
	return b.String()
}

// FormatCommands writes several commands as one line.
func FormatCommands(commands []Command) string {
	lines := make([]string, len(commands))
	for i, c := range commands {
		lines[i] = c.Format()
	}
	return strings.Join(lines, " ; ")
}
