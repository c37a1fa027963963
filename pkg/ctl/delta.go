package ctl

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// The directories and kinds of files systemd-delta(1) compares, first wins.
var (
	deltaPrefixes = []string{"/etc", "/run", "/usr/local/lib", "/usr/local/share", "/usr/lib", "/usr/share"}
	deltaSuffixes = []string{"sysctl.d", "tmpfiles.d", "modules-load.d", "binfmt.d", "systemd/system", "systemd/user", "systemd/system-preset", "systemd/user-preset", "udev/rules.d", "modprobe.d"}
	deltaTypes    = []string{"masked", "equivalent", "redirected", "overridden", "unchanged", "extended", "default"}
)

// delta is one run of systemd-delta.
type delta struct {
	*Env
	types map[string]bool
	diff  bool
	n     int
}

// deltaTool is systemd-delta.
func deltaTool(e *Env, args []string) int {
	d := &delta{Env: e, types: map[string]bool{}, diff: true}
	noPager := false
	table := []option{
		{long: "no-pager", doc: "don't pipe output into a pager", set: setBool(&noPager, true)},
		{long: "diff", arg: mayHaveArgument, name: "BOOL", doc: "show what differs", set: func(v string) error {
			b, err := value.ParseBool(orDefault(v, "yes"))
			d.diff = b
			return err
		}},
		{long: "type", short: 't', arg: needsArgument, name: "TYPES", doc: "which: masked, equivalent, redirected, overridden, unchanged, extended", set: func(v string) error {
			for _, w := range splitList(v) {
				if !contains(deltaTypes, w) {
					return usageError("Failed to parse flags field.")
				}
				d.types[w] = true
			}
			return nil
		}},
	}
	words, status, done := e.parseTool("systemd-delta [OPTIONS...] [SUFFIX...]\n\nFind configuration files that stand over others.\n\nOptions:\n", table, args, false)
	if done {
		return status
	}
	if len(d.types) == 0 || d.types["default"] {
		for _, w := range []string{"masked", "equivalent", "redirected", "overridden", "extended"} {
			d.types[w] = true
		}
	}
	if len(words) == 0 {
		words = deltaSuffixes
	}
	e.startPager(noPager)
	for _, w := range words {
		w = strings.Trim(w, "/")
		for _, p := range deltaPrefixes {
			w = strings.TrimPrefix(w, strings.TrimPrefix(p, "/")+"/")
		}
		d.suffix(w)
	}
	if d.n > 0 {
		e.printf("\n")
	}
	e.printf("%d overridden configuration files found.\n", d.n)
	return 0
}

// deltaFile is where the files of one name are, in order of precedence.
type deltaFile struct{ paths []string }

// suffix compares one kind of files in all prefixes.
func (d *delta) suffix(suffix string) {
	files := map[string]*deltaFile{}
	dropIns := map[string]map[string]string{} // unit → drop-in → path
	for _, prefix := range deltaPrefixes {
		dir := filepath.Join(prefix, suffix)
		entries, err := os.ReadDir(d.path(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			name, full := e.Name(), filepath.Join(dir, e.Name())
			if strings.HasSuffix(name, ".d") && e.IsDir() {
				d.dropIns(dropIns, strings.TrimSuffix(name, ".d"), full)
				continue
			}
			if e.IsDir() {
				continue
			}
			if files[name] == nil {
				files[name] = &deltaFile{}
			}
			files[name].paths = append(files[name].paths, full)
		}
	}
	for _, name := range sortedKeys(files) {
		f := files[name]
		for i := 1; i < len(f.paths); i++ {
			d.compare(f.paths[i-1], f.paths[i])
		}
		if len(f.paths) == 1 && d.types["unchanged"] {
			d.printf("%s  %s\n", d.in(colorBold, "[UNCHANGED]"), f.paths[0])
		}
		for _, drop := range sortedKeys(dropIns[name]) {
			if d.types["extended"] {
				d.n++
				d.printf("%s   %s → %s\n", d.in(colorBold, "[EXTENDED]"), f.paths[0], dropIns[name][drop])
			}
		}
	}
}

func (d *delta) dropIns(all map[string]map[string]string, name, dir string) {
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		if all[name] == nil {
			all[name] = map[string]string{}
		}
		full := filepath.Join(dir, e.Name())
		all[name][full] = full
	}
}

// compare tells how the file top stands over bottom.
func (d *delta) compare(top, bottom string) {
	say := func(kind, label string, c color) {
		if d.types[kind] {
			d.n++
			d.printf("%s%s%s → %s\n", d.in(c, "["+label+"]"), spaces(11-len(label)), top, bottom)
		}
	}
	target, err := os.Readlink(d.path(top))
	switch {
	case err == nil && target == "/dev/null" || isEmptyFile(d.path(top)):
		say("masked", "MASKED", colorBrightRed)
		return
	case err == nil:
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(top), target)
		}
		if filepath.Clean(target) == bottom || realPath(d.path(top)) == realPath(d.path(bottom)) {
			say("equivalent", "EQUIVALENT", colorGreen)
		} else {
			say("redirected", "REDIRECTED", colorBrightYellow)
		}
		return
	}
	a, errA := os.ReadFile(d.path(top))
	b, errB := os.ReadFile(d.path(bottom))
	if errA == nil && errB == nil && bytes.Equal(a, b) {
		say("equivalent", "EQUIVALENT", colorGreen)
		return
	}
	say("overridden", "OVERRIDDEN", colorBrightYellow)
	if d.diff && d.types["overridden"] {
		d.printDiff(top, bottom)
	}
}

func isEmptyFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Size() == 0
}

func realPath(path string) string {
	p, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path
	}
	return p
}

// printDiff shows what diff(1) says, which ends with 1 where files differ.
func (d *delta) printDiff(top, bottom string) {
	out, err := exec.Command("diff", "-us", "--", d.path(bottom), d.path(top)).Output()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		return
	}
	d.printf("\n%s\n", out)
}
