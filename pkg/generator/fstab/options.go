package fstab

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// options are the fourth field, split at commas that aren't escaped. An empty list and "defaults" mean the same.
type options []string

func splitOptions(text string) options {
	var list options
	start := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && (text[i] != ',' || i > start && text[i-1] == '\\') {
			continue
		}
		if i > start {
			list = append(list, text[start:i])
		}
		start = i + 1
	}
	return list
}

// text is what goes into Options=; "" where nothing need be said.
func (o options) text() string {
	if len(o) == 1 && o[0] == "defaults" {
		return ""
	}
	return strings.Join(o, ",")
}

// has reports an option, with a value or without.
func (o options) has(names ...string) bool {
	for _, opt := range o {
		key, _, _ := strings.Cut(opt, "=")
		for _, n := range names {
			if key == n || opt == n {
				return true
			}
		}
	}
	return false
}

// yes reports which of two opposite options comes last.
func (o options) yes(on, off string) bool {
	result := false
	for _, opt := range o {
		switch opt {
		case on:
			result = true
		case off:
			result = false
		}
	}
	return result
}

// last is the value of the last of several assignments.
func (o options) last(name string) (text string, ok bool) {
	for _, opt := range o {
		if key, v, has := strings.Cut(opt, "="); has && key == name {
			text, ok = v, true
		}
	}
	return text, ok
}

// all are the values of an option that may be given more than once.
func (o options) all(name string) (list []string) {
	for _, opt := range o {
		if key, v, has := strings.Cut(opt, "="); has && key == name {
			list = append(list, v)
		}
	}
	return list
}

// without leaves options out, with or without a value.
func (o options) without(names ...string) options {
	var list options
	for _, opt := range o {
		if !(options{opt}).has(names...) {
			list = append(list, opt)
		}
	}
	return list
}

// networkTypes are file systems whose source is another machine.
var networkTypes = " afs ceph cifs davfs gfs gfs2 glusterfs lustre ncp ncpfs nfs nfs4 ocfs2 orangefs pvfs2 smb3 smbfs sshfs "

func (e *entry) network() bool {
	return strings.Contains(networkTypes, " "+strings.TrimPrefix(e.fstype, "fuse.")+" ") || e.options.has("_netdev")
}

func (e *entry) bind() bool {
	return e.options.has("bind", "rbind") || e.fstype == "bind" || e.fstype == "rbind"
}

// backgroundNFS rewrites `bg`, which would fork a process nobody watches: the mount is tried in the foreground for as long as it takes, and nothing
// waits for it.
func (e *entry) backgroundNFS() {
	if (e.fstype == "nfs" || e.fstype == "nfs4") && e.options.yes("bg", "fg") {
		e.options = append(append(options{"x-systemd.mount-timeout=infinity", "retry=10000", "nofail"}, e.options...), "fg")
	}
}

// dependencies writes the x-systemd.* options that are settings of [Unit].
func (g *generator) dependencies(e *entry, u *output.Unit) {
	for _, d := range []struct {
		option string
		keys   []string
	}{
		{"x-systemd.after", []string{"After"}},
		{"x-systemd.before", []string{"Before"}},
		{"x-systemd.requires", []string{"Requires", "After"}},
		{"x-systemd.wants", []string{"Wants", "After"}},
	} {
		for _, text := range e.options.all(d.option) {
			name, _, err := unit.Mangle(text, ".mount", 0)
			if err != nil {
				// DEVIATION: an option that names no unit costs the option, not the mount.
				g.tree.Fail("%s: %s=%s: %v", e.where, d.option, text, err)
				continue
			}
			for _, key := range d.keys {
				u.Set("Unit", key, name)
			}
		}
	}
	for _, d := range [][2]string{{"x-systemd.requires-mounts-for", "RequiresMountsFor"}, {"x-systemd.wants-mounts-for", "WantsMountsFor"}} {
		for _, path := range e.options.all(d[0]) {
			if strings.ContainsAny(path, " \t") {
				path = value.QuoteWord(path)
			}
			u.Set("Unit", d[1], path)
		}
	}
}

// timeout writes a time span option of [Mount] or [Automount]. 0 means no limit.
func (g *generator) timeout(e *entry, option, section, key string, u *output.Unit) {
	text, ok := e.options.last(option)
	if !ok || text == "" {
		return
	}
	span, err := value.ParseSecFixZero(text)
	if err != nil {
		g.tree.Warn("%s: %s=%s: %v, ignored", e.where, option, text, err)
		return
	}
	u.Set(section, key, value.FormatSpan(span, 1))
}
