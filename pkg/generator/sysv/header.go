package sysv

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// header is what the comments of a script say about it.
type header struct {
	lsb         bool // it has a block of the LSB (init-functions, "comment conventions")
	description string
	pidFile     string
	reload      bool // its usage text offers it
	provides    []string
	after       []string // Required-Start, Should-Start, X-Start-After
	before      []string // X-Start-Before
}

// listMax bounds the names of one header.
const listMax = 512

// parse reads the comments of a script. It never fails: what isn't understood is left out.
func parse(text string) *header {
	h := &header{}
	inBlock, inDescription := false, false
	short, long := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if offersReload(line) {
			h.reload = true
		}
		comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !ok {
			continue
		}
		switch strings.TrimSpace(line) {
		case "### BEGIN INIT INFO":
			inBlock, h.lsb = true, true
			continue
		case "### END INIT INFO":
			inBlock, inDescription = false, false
			continue
		}
		if inDescription && (strings.HasPrefix(comment, "  ") || strings.HasPrefix(comment, "\t")) {
			long += " " + strings.TrimSpace(comment)
			continue
		}
		inDescription = false
		key, rest, ok := strings.Cut(strings.TrimSpace(comment), ":")
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		key = strings.ToLower(key)
		if !inBlock {
			h.old(key, rest)
			continue
		}
		switch key {
		case "provides":
			h.provides = words(h.provides, rest)
		case "required-start", "should-start", "x-start-after":
			h.after = words(h.after, rest)
		case "x-start-before":
			h.before = words(h.before, rest)
		case "short-description":
			short = rest
		case "description":
			long, inDescription = rest, true
		}
	}
	for _, d := range []string{short, long} {
		if d != "" && h.description == "" {
			h.description = d
		}
	}
	return h
}

// old reads the comments of the time before the LSB (chkconfig).
func (h *header) old(key, rest string) {
	switch key {
	case "pidfile":
		if value.PathIsAbsolute(rest) && value.StringIsSafe(rest) {
			h.pidFile = value.PathSimplify(rest)
		}
	case "description":
		if d := strings.TrimSpace(strings.TrimSuffix(rest, `\`)); d != "" {
			h.description = d
		}
	}
}

func words(list []string, text string) []string {
	r := value.WordReader{Rest: text, Flags: value.WordUnquote | value.WordRelax}
	for len(list) < listMax {
		word, ok, err := r.Next()
		if !ok || err != nil {
			break
		}
		list = append(list, word)
	}
	return list
}

// offersReload reports a usage text such as `{start|stop|reload}`.
func offersReload(line string) bool {
	line = strings.ToLower(line)
	for {
		i := strings.Index(line, "reload")
		if i < 0 {
			return false
		}
		if i > 0 && strings.IndexByte("{|", line[i-1]) >= 0 && i+6 < len(line) && strings.IndexByte(`|}"`, line[i+6]) >= 0 {
			return true
		}
		line = line[i+6:]
	}
}
