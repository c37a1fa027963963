package ctl

import "strings"

// color is a set of terminal attributes.
type color string

// The colours systemctl has: 16-colour codes, or their neighbours of the 256-colour palette that are readable on light and dark grounds.
const (
	colorNone          color = ""
	colorBold          color = "\x1b[0;1;39m"
	colorGrey          color = "\x1b[0;38:5:245m"
	colorBrightRed     color = "\x1b[0;1;31m"
	colorBrightGreen   color = "\x1b[0;1;32m"
	colorBrightYellow  color = "\x1b[0;1;38:5:185m"
	colorGreen         color = "\x1b[0;32m"
	colorYellow        color = "\x1b[0;38:5:185m"
	colorRed           color = "\x1b[0;31m"
	colorBlue          color = "\x1b[0;34m"
	colorCyan          color = "\x1b[0;36m"
	colorMagenta       color = "\x1b[0;35m"
	colorUnderline     color = "\x1b[4m"
	colorGreyLine      color = "\x1b[4m\x1b[58:5:245m"
	colorBoldGrey      color = "\x1b[0;1;38:5:245m"
	colorCyanBright    color = "\x1b[0;1;36m"
	colorBrightMagenta color = "\x1b[0;1;35m"
	colorLine          color = "\x1b[0;4m"
	colorBrightBlue    color = "\x1b[0;1;34m"
	colorReset               = "\x1b[0m"
)

// in colours text, if colours are on.
func (e *Env) in(c color, text string) string {
	if c == colorNone || text == "" || !e.colors() {
		return text
	}
	return string(e.palette(c)) + text + colorReset
}

// palette gives the colour as the terminal's mode has it: with 16 colours grey is bright black and yellow plain.
func (e *Env) palette(c color) color {
	if e.colorMode() != "16" {
		return c
	}
	switch c {
	case colorGrey:
		return "\x1b[0;90m"
	case colorYellow:
		return "\x1b[0;33m"
	case colorBrightYellow:
		return "\x1b[0;1;33m"
	case colorBoldGrey:
		return "\x1b[0;1;90m"
	}
	return c
}

func (e *Env) colors() bool { return e.colorMode() != "" }

// colorMode is "", "16" or "256", from $SYSTEMD_COLORS, $NO_COLOR, $TERM and whether both outputs are a terminal.
func (e *Env) colorMode() string {
	switch v := strings.TrimPrefix(strings.ToLower(e.Getenv("SYSTEMD_COLORS")), "auto-"); v {
	case "":
	case "16", "256":
		return v
	case "24bit":
		return "256"
	case "0", "no", "n", "false", "f", "off":
		return ""
	case "1", "yes", "y", "true", "t", "on":
		return e.paletteSize()
	}
	if e.Getenv("NO_COLOR") != "" || e.Getenv("TERM") == "dumb" || !e.OutTerminal || !e.ErrTerminal {
		return ""
	}
	return e.paletteSize()
}

func (e *Env) paletteSize() string {
	if e.Getenv("TERM") == "linux" || e.Getenv("TERM") == "dumb" {
		return "16"
	}
	return "256"
}
