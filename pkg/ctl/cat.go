package ctl

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/loader"
)

// unitPaths are the files that make a unit.
type unitPaths struct {
	name     string
	fragment string
	dropIns  []string
	changed  bool // newer than what the manager has read
	loaded   bool // the manager answered
	masked   bool
}

// findPaths asks the manager for the files of a unit, or looks for them where there is none.
func (s *systemctl) findPaths(name string) (unitPaths, error) {
	u := unitPaths{name: name}
	if s.installClientSide() {
		p := s.paths()
		search := make([]string, len(p.Search))
		for i, d := range p.Search {
			search[i] = filepath.Join(p.Root, d)
		}
		index := loader.Scan(search)
		r := index.Resolve(name)
		u.fragment, u.masked = r.Fragment, r.Masked
		u.dropIns = index.DropIns([]string{name})
		return u, nil
	}
	list, err := getAll(s.bus, bus.UnitPath(name), unitIface)
	if err != nil {
		return u, err
	}
	p := indexProperties(list)
	u.loaded = true
	u.fragment, u.dropIns, u.changed = p.str("FragmentPath"), p.strings("DropInPaths"), p.boolean("NeedDaemonReload")
	u.masked = p.str("LoadState") == "masked"
	return u, nil
}

// catUnits is cat.
func catUnits(s *systemctl, _ string, args []string) int {
	local := s.installClientSide()
	if !local && !s.online() {
		return exitFailure
	}
	names, ok := s.patternNames(local, args)
	if !ok {
		return exitFailure
	}
	s.startPager(s.o.noPager)
	status, first := 0, true
	for _, n := range names {
		u, err := s.findPaths(n)
		if err != nil {
			s.errorf("Failed to get properties: %s", errorText(err))
			return exitFailure
		}
		if u.masked {
			if !first {
				s.printf("\n")
			}
			first = false
			s.printf("%s\n", s.in(colorBrightMagenta, "# Unit "+n+" is masked")+".")
			continue
		}
		if u.fragment == "" && len(u.dropIns) == 0 {
			s.errorf("No files found for %s.", n)
			status = exitFailure
			continue
		}
		if !first {
			s.printf("\n")
		}
		first = false
		if u.changed {
			s.notef("# Warning: %s changed on disk, the version systemd has loaded is outdated.\n"+
				"# This output shows the current version of the unit's original fragment and drop-in files.\n"+
				"# If fragments or drop-ins were added or removed, they are not properly reflected in this output.\n"+
				"# Run 'systemctl%s daemon-reload' to reload units.", n, map[bool]string{true: " --user", false: ""}[s.o.scope == scopeUser])
		}
		if !s.catFiles(u) {
			status = exitFailure
		}
	}
	return status
}

// patternNames makes names of arguments; patterns need a manager.
func (s *systemctl) patternNames(local bool, args []string) ([]string, bool) {
	if !local {
		names, _, ok := s.expandNames(args, ".service")
		return names, ok
	}
	return s.manglePatterns(args)
}

// catFiles prints the files of a unit with their names above.
func (s *systemctl) catFiles(u unitPaths) bool {
	files := u.dropIns
	if u.fragment != "" {
		files = append([]string{u.fragment}, u.dropIns...)
	}
	for i, f := range files {
		if i > 0 {
			s.printf("\n")
		}
		s.printf("%s\n", s.in(colorBrightBlue, "# "+f))
		content, err := os.ReadFile(s.path(f))
		if err != nil {
			s.warnf("Failed to cat %s: %s", f, errnoText(err))
			return false
		}
		if s.o.terse {
			content = terse(content)
		}
		s.printf("%s", s.highlight(string(content)))
		if n := len(content); n > 0 && content[n-1] != '\n' {
			s.printf("\n")
		}
	}
	return true
}

// terse leaves out comments, empty lines, and sections with nothing else.
func terse(content []byte) []byte {
	var out []byte
	section := ""
	for _, line := range strings.Split(string(content), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[':
			section = line + "\n"
		default:
			out = append(out, section+line+"\n"...)
			section = ""
		}
	}
	return out
}

// highlight colours the text of a unit file: sections, keys and comments.
func (s *systemctl) highlight(content string) string {
	if !s.colors() {
		return content
	}
	var b strings.Builder
	continued := false
	for _, line := range strings.SplitAfter(content, "\n") {
		text := strings.TrimSuffix(line, "\n")
		end := line[len(text):]
		trimmed := strings.TrimSpace(text)
		comment := trimmed != "" && (trimmed[0] == '#' || trimmed[0] == ';')
		switch {
		case line == "":
		case comment || trimmed == "" && !continued:
			b.WriteString(string(s.palette(colorBoldGrey)) + text + colorReset)
		case continued:
			b.WriteString(text)
		case trimmed[0] == '[':
			b.WriteString(s.in(colorCyanBright, text))
		default:
			if i := strings.IndexByte(text, '='); i >= 0 {
				b.WriteString(s.in(colorBrightGreen, text[:i+1]) + text[i+1:])
			} else {
				b.WriteString(text)
			}
		}
		if !comment {
			continued = strings.HasSuffix(text, "\\")
		}
		b.WriteString(end)
	}
	return b.String()
}
