package unit

import (
	"errors"
	"strings"
)

// Host is what parsing needs to know about the machine, given by the caller.
type Host struct {
	Specifiers *SpecifierContext // nil: host specifiers aren't known and fail
	User       bool              // user manager, not PID 1
	// What percentages are of; 0 if not known, which leaves only Limit.Scale.
	MemoryTotal uint64 // physical memory in bytes
	TasksTotal  uint64 // most tasks the kernel allows
	// Intern gives one shared string for equal ones; nil copies.
	Intern func(s string) string
}

// Context is the state of reading one unit: where we are and what was said.
type Context struct {
	Host     *Host
	Unit     *Unit          // nil when reading manager configuration
	Manager  *ManagerConfig // nil when reading a unit
	Messages []Message

	file    string
	section string
	row     *Row
	pos     Pos
	dropped int
	badText string // first fatal fault

	skipInstall bool
	stop        bool      // the rest of the file isn't to be read
	brokenBy    FaultKind // why the fragment can't be read at all

	deps map[depKey]struct{} // of Unit, where there are many
}

// say records a message at the current position.
func (c *Context) say(level Level, text string) {
	if len(c.Messages) >= messagesMax {
		c.dropped++
		return
	}
	c.Messages = append(c.Messages, Message{Level: level, File: c.file, Line: c.pos.Line, Text: text})
}

func (c *Context) warn(parts ...string) {
	s := ""
	for _, p := range parts {
		s += p
	}
	c.say(LevelWarning, s)
}

// assign runs a row's parser on one value and turns its error into messages.
func (c *Context) assign(row *Row, text string) {
	if row.Legacy != "" {
		c.say(LevelNotice, row.Name+"= "+row.Legacy)
	}
	c.row = row
	err := row.impl.parse(c, c.target(), text)
	c.row = nil
	if err == nil {
		return
	}
	if isFatal(err) {
		// As in systemd the rest of the file isn't read. A drop-in loses only
		// that; the unit can't be used if it is the fragment.
		c.say(LevelError, row.Name+"= "+err.Error())
		c.stop = true
		if c.pos.File == 0 {
			c.fail(row.Name + "= " + err.Error())
		}
		return
	}
	for _, e := range splitErrors(err) {
		c.warn(row.Name, "= ignored: ", e.Error())
	}
}

// intern makes a string that doesn't hold on to the text of the file.
func (c *Context) intern(s string) string {
	if c.Host != nil && c.Host.Intern != nil {
		return c.Host.Intern(s)
	}
	return strings.Clone(s)
}

func (c *Context) target() target { return target{u: c.Unit, m: c.Manager} }

// splitErrors takes joined errors apart, one message each.
func splitErrors(err error) []error {
	var p *partialError
	if errors.As(err, &p) {
		err = p.err
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		if _, ok := err.(faultList); ok || strings.Contains(err.Error(), "\n") {
			var out []error
			for _, e := range list.Unwrap() {
				out = append(out, splitErrors(e)...)
			}
			return out
		}
	}
	return []error{err}
}

// expand replaces the specifiers of a value.
func (c *Context) expand(text string) (string, error) {
	return c.expandSet(text, specSettings)
}

func (c *Context) expandSet(text string, set specSet) (string, error) {
	for i := range len(text) {
		if text[i] == '%' {
			var ctx *SpecifierContext
			if c.Host != nil {
				ctx = c.Host.Specifiers
			}
			return expandSpecifiers(text, c.Unit, ctx, set)
		}
	}
	return text, nil
}

// expandName replaces those specifiers that may stand in names of units.
func (c *Context) expandName(text string) (string, error) { return c.expandSet(text, specNames) }
